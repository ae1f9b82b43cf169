"""Events of a session: their names and their payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from avatarkit_rtc.errors import AvatarKitError
    from avatarkit_rtc.integrations.agents.playback import Playback


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Payload of ``speech-started``: the avatar has begun to say it."""

    request_id: str
    """The service's name of the utterance."""
    playback: Playback


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Payload of ``speech-paused`` and ``speech-resumed``, as the service reports it, if it does."""

    request_id: str
    position_s: float | None
    """So much of it has been said, in seconds; None where the service does not report it."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Payload of ``speech-ended``: once for each utterance that began to be sent."""

    request_id: str
    playback: Playback
    position_s: float | None
    """So much of it was said, in seconds; None where nobody knows."""
    interrupted: bool
    """It was cut off."""
    reason: str
    """Why, where it was: ``explicit``, ``preempted``, ``pause_timeout`` from the service;
    ``connection-lost``, ``service-error``, ``session-ended``, ``not-reported`` from here. Empty where it was
    not."""


@dataclass(frozen=True, slots=True)
class RetryAttempt:
    """Payload of ``retry``: another connection is tried after ``delay_s`` seconds."""

    attempt: int
    delay_s: float
    cause: AvatarKitError


EVENTS: Final = (
    "state-changed",
    "speech-started",
    "speech-paused",
    "speech-resumed",
    "speech-ended",
    "interrupted",
    "retry",
    "error",
)
"""``state-changed(SessionState)``; ``interrupted`` without payload, at once when ``interrupt()`` is called;
``error(AvatarKitError)`` for what no caller is waiting for."""
