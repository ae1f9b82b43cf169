"""When an OpenAI-style server has to be asked for a response. Pure.

Such a server has one response under way at a time and refuses a second one. It responds by itself to what the
user says aloud, but neither to a message in writing nor to the results of tools. So a response is asked for

* once the one under way is over,
* once all tool calls of a response are answered,
* not while the user speaks: the server responds to that, and will know of message and results by then; where
  it does not respond by itself, it is asked when the user has spoken. The user does not speak any more once
  the turn is committed, by whomever, or the server's turn detection is another, or when no sound has been
  sent for some seconds: a server hears the end of speech in the sound only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from avatarkit_rtc.integrations.realtime.events import (
    AssistantDone,
    AssistantStarted,
    ClientEvent,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
)

_MAX_CALLS: Final = 128


class Turns:
    """Decides for one connection. ``True`` from a method means: ask for a response now."""

    def __init__(self, creates_responses: Callable[[], bool] = lambda: True) -> None:
        """``creates_responses``: whether the server responds by itself when the user has spoken."""
        self._creates_responses = creates_responses
        self._under_way: set[str | None] = set()
        self._asked = False  # and the server has not begun yet
        self._unwanted = False  # what was asked for was cancelled meanwhile
        self._wanted = False
        self._speaking = False
        self._unanswered: dict[str, str | None] = {}  # calls and their responses

    @property
    def responding(self) -> bool:
        """A response is under way, or was asked for."""
        return bool(self._under_way) or self._asked

    @property
    def unwanted(self) -> bool:
        """The response that begins next was cancelled before it did."""
        return self._unwanted

    @property
    def speaking(self) -> bool:
        """The user does, as far as the server has said."""
        return self._speaking

    def silent(self) -> bool:
        """The user does not speak any more, whatever the server has said."""
        self._speaking = False
        return self._ask()

    def committed(self) -> bool:
        """Somebody here has ended the user's turn."""
        self._speaking = False
        return self.asked()

    def happened(self, event: ClientEvent) -> bool:
        """Take an event of the server's."""
        if isinstance(event, AssistantStarted):
            self._asked = self._unwanted = False
            self._under_way.add(event.response_id)
        elif isinstance(event, AssistantDone):
            self._under_way.discard(event.response_id)
            if event.cancelled:
                self._forget_calls(event.response_id)
        elif isinstance(event, ToolCalled):
            if event.call_id is not None and len(self._unanswered) < _MAX_CALLS:
                self._unanswered[event.call_id] = event.response_id
        elif isinstance(event, SpeechStarted):
            self._speaking = True
        elif isinstance(event, SpeechStopped):
            self._speaking = False
            self._unwanted = False  # what begins next may be the answer to that
            self._wanted = self._wanted and not self._creates_responses()
        return self._ask()

    def asked(self) -> bool:
        """Somebody here wants the model to respond: a message was written."""
        self._wanted = True
        return self._ask()

    def answered(self, call_id: str) -> bool:
        """The result of a tool call was sent."""
        if call_id not in self._unanswered:
            return False
        response_id = self._unanswered.pop(call_id)
        if response_id not in self._unanswered.values():
            self._wanted = True
        return self._ask()

    def refused(self, *, busy: bool) -> bool:
        """The server does not begin the response that it was asked for.

        Args:
            busy: because one is under way, which it began by itself meanwhile: it is asked again after that.
        """
        self._asked = self._unwanted = False
        self._wanted = self._wanted or (busy and bool(self._under_way))
        return self._ask()

    def cancelled(self) -> None:
        """What is under way was cancelled from here: its calls need no answer to go on with. What was asked
        for and has not begun is to be cancelled when it does: :attr:`unwanted`."""
        self._wanted = False
        self._unwanted = self._asked
        for response_id in self._under_way:
            self._forget_calls(response_id)

    def _forget_calls(self, response_id: str | None) -> None:
        self._unanswered = {call: of for call, of in self._unanswered.items() if of != response_id}

    def _ask(self) -> bool:
        if not self._wanted or self._speaking or self.responding:
            return False
        self._wanted, self._asked = False, True
        return True
