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
"""So long an update waits for a further answer where the one that has come may be of an earlier update that
nobody waits for any more. None comes where the server never answered that: then it was of this one."""


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

    def sent(self, event_id: str) -> asyncio.Future[None]:
        """An update is sent as ``event_id``; returns what its answer settles."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.append(_Patch(event_id, answer))
        return answer

    def forget(self, event_id: str) -> None:
        """Nobody waits for the answer any more. Nothing happens where it has come."""
        for patch in self._open:
            if patch.event_id == event_id:
                self._open.remove(patch)
                if not patch.answer.done():
                    self._given_up.append(event_id)
                return

    def accepted(self) -> None:
        """The server has taken an update over."""
        given_up = bool(self._given_up)
        if given_up:
            self._given_up.popleft()
        if self._open and not given_up:
            answer(self._open.popleft().answer)
        elif self._open:
            asyncio.get_running_loop().call_later(self._doubt_s, self._doubted, tuple(self._open))

    def _doubted(self, waited: tuple[_Patch, ...]) -> None:
        """No answer settles it any more: it was of the oldest of those that ``waited`` when it came and do so
        still."""
        for patch in waited:
            if patch in self._open:
                self._open.remove(patch)
                answer(patch.answer)
                return

    def refused(self, error: RealtimeServerError) -> bool:
        """The server reports ``error``; whether it is of an update. One that does not say what it is of is
        of the oldest that waits."""
        if error.event_id is not None and error.event_id in self._given_up:
            self._given_up.remove(error.event_id)
            return True
        for patch in self._open:
            if error.event_id in (None, patch.event_id):
                self._open.remove(patch)
                answer(patch.answer, error)
                return True
        return False

    def lost(self, error: Exception) -> None:
        """The connection has gone."""
        while self._open:
            answer(self._open.popleft().answer, error)


def answer(future: asyncio.Future[None], error: Exception | None = None) -> None:
    """Settle ``future``, unless nobody waits any more."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # it is no surprise to anybody if nobody asks
