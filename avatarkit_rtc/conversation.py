"""What is said about a conversation in data messages of an avatar's service. Pure.

Two forms of transcript are known, both from Runway's sessions: pieces of a turn, ``{"type": "transcription",
"role", "turn", "text"}``, each with what is new; and ``{"segments": [{"id", "text", "final"}, …]}``, with
whole texts. An event for the program is ``{"type": "client_event", "tool", "args"}``; the service also sends
such messages to say that one was sent (``args`` with ``"status": "event_sent"``), which are none.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any, Final

from avatarkit_rtc.events import ClientEvent, Transcript

MAX_TURNS: Final = 200
"""Turns and segments whose texts are remembered, to tell what is new; the oldest are forgotten."""

MAX_TEXT: Final = 20_000
"""Characters of a turn that are kept, the last ones."""

_SEGMENT_TYPES: Final = (None, "transcription", "transcript", "voice_transcript")


class Conversation:
    """Reads the messages of one conversation."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, Transcript] = OrderedDict()

    def receive(self, data: bytes, sender: str) -> list[Transcript | ClientEvent]:
        """What the message ``data`` of the participant ``sender`` says; nothing where it is another kind of
        message."""
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return []
        if not isinstance(message, dict):
            return []
        if message.get("type") == "client_event":
            return self._client_event(message, sender)
        segments = _segments(message)
        if segments:
            found = [self._segment(each, sender) for each in segments]
            return [each for each in found if each is not None]
        if message.get("type") == "transcription" and isinstance(message.get("text"), str):
            return [*self._piece(message, sender)]
        return []

    def reset(self) -> None:
        """Another conversation begins."""
        self._texts.clear()

    def _client_event(self, message: dict[str, Any], sender: str) -> list[Transcript | ClientEvent]:
        tool, args = message.get("tool"), message.get("args")
        if not isinstance(tool, str) or not isinstance(args, dict) or args.get("status") == "event_sent":
            return []
        return [ClientEvent(tool, args, sender)]

    def _segment(self, segment: Any, sender: str) -> Transcript | None:
        if not isinstance(segment, dict):
            return None
        name, text = segment.get("id"), segment.get("text")
        if not isinstance(name, str) or not isinstance(text, str):
            return None
        final, speaker, role = segment.get("final"), segment.get("participantIdentity"), segment.get("role")
        return self._remember(
            name,
            text,
            final if isinstance(final, bool) else True,
            role if isinstance(role, str) else None,
            None,
            speaker if isinstance(speaker, str) else sender,
        )

    def _piece(self, message: dict[str, Any], sender: str) -> list[Transcript]:
        role, turn, piece = message.get("role"), message.get("turn"), message["text"]
        role = role if isinstance(role, str) else "assistant"
        turn = turn if isinstance(turn, int) and not isinstance(turn, bool) else 0
        name = f"{role}-{turn}"
        # A turn is over when the same role begins another; nothing else says so.
        over = [
            known
            for known in self._texts.values()
            if known.role == role and known.turn is not None and known.id != name and not known.final
        ]
        done = [self._remember(each.id, each.text, True, role, each.turn, each.speaker) for each in over]
        known = self._texts.get(name)
        text = (known.text if known is not None else "") + piece
        return [*done, self._remember(name, text, False, role, turn, sender, delta=piece)]

    def _remember(
        self,
        name: str,
        text: str,
        final: bool,
        role: str | None,
        turn: int | None,
        speaker: str,
        delta: str | None = None,
    ) -> Transcript:
        known = self._texts.pop(name, None)
        before = known.text if known is not None else ""
        if delta is None:
            delta = text[len(before) :] if text.startswith(before) else text
        entry = Transcript(name, text[-MAX_TEXT:], final, role, turn, delta, speaker)
        self._texts[name] = entry
        while len(self._texts) > MAX_TURNS:
            self._texts.popitem(last=False)
        return entry


def _segments(message: dict[str, Any]) -> list[Any]:
    if message.get("type") not in _SEGMENT_TYPES:
        return []
    inner = message.get("data")
    found = message.get("segments")
    if not isinstance(found, list) and isinstance(inner, dict):
        found = inner.get("segments")
    return found if isinstance(found, list) else []
