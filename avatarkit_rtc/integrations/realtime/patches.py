"""Updates that were sent and are not answered yet, and which of them an answer is of.

An OpenAI-style server answers ``session.update`` in order, with a ``session.updated`` that does not say of
which one it is, or with an ``error`` that mostly does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

from avatarkit_rtc.errors import RealtimeServerError

MAX_GIVEN_UP: Final = 8
"""Updates without an answer whose answers may still come; of the oldest none is awaited any more."""

DOUBT_S: Final = 1.0
"""So long after the last answer an update waits for a further one, where that which has come may be of an
earlier update that nobody waits for any more. None comes where the server never answered that: then it was of
this one."""


class _Patch(NamedTuple):
    event_id: str
    answer: asyncio.Future[None]


class Patches:
    """Of one connection."""

    def __init__(self, doubt_s: float = DOUBT_S) -> None:
        """``doubt_s``: see :data:`DOUBT_S`."""
        self._doubt_s = doubt_s
        self._open: deque[_Patch] = deque()
        self._given_up: deque[str] = deque(maxlen=MAX_GIVEN_UP)
        self._doubtful = 0  # answers that may have been of those in ``_given_up``
        self._waited: list[_Patch] = []  # of one of these, then: they were open when the last answer came
        self._timer: asyncio.TimerHandle | None = None

    def sent(self, event_id: str) -> asyncio.Future[None]:
        """An update is sent as ``event_id``; returns what its answer settles."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.append(_Patch(event_id, answer))
        return answer

    def forget(self, event_id: str) -> None:
        """Nobody waits for the answer any more. Nothing happens where it has come."""
        for patch in self._open:
            if patch.event_id == event_id:
                self._remove(patch)
                if not patch.answer.done():
                    self._given_up.append(event_id)
                return

    def accepted(self) -> None:
        """The server has taken an update over."""
        if self._given_up:
            self._given_up.popleft()
            self._doubtful += 1
        elif self._open:
            answer(self._open.popleft().answer)
        # If none of those in doubt was of one given up, each answer was of the next one.
        self._waited = list(self._open)
        self._doubtful = min(self._doubtful, len(self._waited))
        self._await_further()

    def refused(self, error: RealtimeServerError) -> bool:
        """The server reports ``error``; whether it is of an update. One that does not say what it is of is
        of the oldest that waits."""
        if error.event_id is not None and error.event_id in self._given_up:
            self._given_up.remove(error.event_id)
            self._await_further()
            return True
        for patch in self._open:
            if error.event_id in (None, patch.event_id):
                self._remove(patch)
                answer(patch.answer, error)
                self._await_further()
                return True
        return False

    def lost(self, error: Exception) -> None:
        """The connection has gone."""
        while self._open:
            patch = self._open[0]
            self._remove(patch)
            answer(patch.answer, error)
        self._await_further()

    def _remove(self, patch: _Patch) -> None:
        self._open.remove(patch)
        if patch in self._waited:
            self._waited.remove(patch)
            self._doubtful = min(self._doubtful, len(self._waited))

    def _await_further(self) -> None:
        """Doubt lasts until for a while no answer has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._doubtful:
            self._timer = asyncio.get_running_loop().call_later(self._doubt_s, self._settle)

    def _settle(self) -> None:
        """No further answer comes: those in doubt were of the oldest that waited for one then."""
        for patch in self._waited[: self._doubtful]:
            self._remove(patch)
            answer(patch.answer)
        self._doubtful = 0


def answer(future: asyncio.Future[None], error: Exception | None = None) -> None:
    """Settle ``future``, unless nobody waits any more."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # it is no surprise to anybody if nobody asks
