"""Where the model's voice goes, and what the manager is told of it being heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from avatarkit_rtc.integrations.realtime.events import AudioDelta


@dataclass(frozen=True, slots=True)
class OutputStarted:
    """The voice begins to be heard."""


@dataclass(frozen=True, slots=True)
class OutputLevel:
    """How loud it is now."""

    rms: float
    """Root mean square, 0 … 1."""


@dataclass(frozen=True, slots=True)
class OutputEnded:
    """All there was of it has been heard."""


OutputEvent: TypeAlias = OutputStarted | OutputLevel | OutputEnded
OutputListener: TypeAlias = Callable[[OutputEvent], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of a message was heard before it was cut off."""

    item_id: str | None
    played_ms: int


class AudioOutput(Protocol):
    """Plays the model's voice, or pretends to. Its methods are called on the event loop and never block."""

    def set_listener(self, listener: OutputListener | None) -> None:
        """Tell ``listener``, on the event loop, what is heard; None: nobody."""

    def play(self, audio: AudioDelta) -> None:
        """Play ``audio`` behind what there is. What is queued is bounded."""

    def end(self) -> None:
        """All sound of this response has come; what is queued plays on."""

    def flush(self) -> Heard | None:
        """Be silent at once, drop what is queued and tell nothing of it.

        Returns:
            What was cut off; None where nothing was.
        """
