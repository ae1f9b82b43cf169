"""The model's responses: which of them counts, what it has said, and when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from avatarkit_rtc.integrations.realtime.core.effects import Effect, Emit
from avatarkit_rtc.integrations.realtime.core.tables import RESPONSES, ResponseInput
from avatarkit_rtc.integrations.realtime.events import AssistantDelta, AssistantDone
from avatarkit_rtc.integrations.realtime.payloads import StateChanged, Words
from avatarkit_rtc.integrations.realtime.types import RealtimeState, ResponseState, ResponseStatus

REMEMBERED: Final = 64
"""Ids of responses that are over. What still comes of one of these is ignored."""


class Responses:
    """One response at a time. What the server sends of one that is over or was interrupted, or sends again,
    has no effect; what it sends without its beginning begins it."""

    def __init__(self, snapshot: Callable[[], RealtimeState]) -> None:
        """
        Args:
            snapshot: the whole state, of which :attr:`state` is a part.
        """
        self._snapshot = snapshot
        self._status = ResponseStatus.IDLE
        self._text = ""
        self._current: str | None = None
        self._over: deque[str] = deque(maxlen=REMEMBERED)

    @property
    def state(self) -> ResponseState:
        """What the caller sees."""
        return ResponseState(self._status, self._text)

    @property
    def responding(self) -> bool:
        """Whether one runs."""
        return self._status is ResponseStatus.RESPONDING

    def started(self, response_id: str | None) -> list[Effect]:
        """A response begins."""
        if response_id in self._over:
            return []
        if self.responding and response_id is not None and response_id == self._current:
            return []  # said twice
        return [*self._begin(response_id, ResponseInput.STARTED), self._state()]

    def words(self, event: AssistantDelta) -> list[Effect]:
        """Further words."""
        if not self._counts(event.response_id):
            return []
        effects = self._continue(event.response_id)
        self._text += event.text
        words = Words(event.text)
        return [
            *effects,
            Emit("realtime:assistant:delta", words),
            Emit("realtime:text:delta", words),
            self._state(),
        ]

    def sound(self, response_id: str | None) -> list[Effect] | None:
        """Further sound; None: it is not to be heard."""
        if not self._counts(response_id):
            return None
        effects = self._continue(response_id)
        return [*effects, self._state()] if effects else []

    def done(self, event: AssistantDone) -> list[Effect]:
        """A response is over."""
        known = event.response_id is None or event.response_id == self._current
        if not self._counts(event.response_id) or (self.responding and not known):
            return []
        if event.response_id is None and self._status is ResponseStatus.COMPLETED:
            return []  # said twice
        if event.cancelled:
            if not self.responding:
                self._end(event.response_id)
                return []
            self._end(self._current)
            self._move(ResponseInput.CANCELLED)
            return [self._state()]
        if self._status is ResponseStatus.INTERRUPTED:  # cancelled before it was known to have begun
            self._move(ResponseInput.DONE)
            self._end(event.response_id)
            return []
        effects = self._continue(event.response_id)
        self._text = event.text or self._text
        self._end(event.response_id)
        self._move(ResponseInput.DONE)
        return [*effects, Emit("realtime:assistant:done", Words(self._text)), self._state()]

    def interrupt(self) -> None:
        """The caller or the user wants no more of it."""
        self._end(self._current)
        self._move(ResponseInput.INTERRUPT)

    def lost(self) -> None:
        """The connection is lost, and with it a response that runs."""
        self._end(self._current)
        self._move(ResponseInput.LOST)

    def reset(self) -> None:
        """A session begins or ends."""
        self._move(ResponseInput.RESET)
        self._text = ""
        self._current = None
        self._over.clear()

    def _counts(self, response_id: str | None) -> bool:
        if response_id is None:  # cannot be told from a late one of the response that was interrupted
            return self._status is not ResponseStatus.INTERRUPTED
        return response_id not in self._over

    def _continue(self, response_id: str | None) -> list[Effect]:
        """The response that something has come of runs; what there is to tell if it did not yet."""
        if self.responding and (response_id is None or response_id == self._current):
            self._move(ResponseInput.DELTA)
            return []
        return self._begin(response_id, ResponseInput.DELTA)

    def _begin(self, response_id: str | None, cause: ResponseInput) -> list[Effect]:
        if self.responding:  # never ended, but there is one response at a time
            self._end(self._current)
        self._current = response_id
        self._text = ""
        self._move(cause)
        return [Emit("realtime:assistant:start", StateChanged(self._snapshot()))]

    def _end(self, response_id: str | None) -> None:
        if response_id is not None:
            self._over.append(response_id)

    def _move(self, cause: ResponseInput) -> None:
        self._status = RESPONSES.get((self._status, cause), self._status)

    def _state(self) -> Effect:
        return Emit("realtime:state", StateChanged(self._snapshot()))
