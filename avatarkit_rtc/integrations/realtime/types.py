"""State of a realtime session, as :meth:`RealtimeManager.get_state` and ``realtime:state`` show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig


class RealtimeConnection(StrEnum):
    """State of the connection to the provider."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"
    ERROR = "error"


class SessionStatus(StrEnum):
    """State of the session, which outlives lost connections."""

    IDLE = "idle"
    STARTING = "starting"
    ACTIVE = "active"
    STOPPED = "stopped"


class ResponseStatus(StrEnum):
    """State of the model's last response."""

    IDLE = "idle"
    RESPONDING = "responding"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class SessionState:
    """The session."""

    status: SessionStatus = SessionStatus.IDLE
    config: RealtimeSessionConfig | None = None
    """What the provider has taken over last; None without a session."""
    character_id: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseState:
    """The model's last response."""

    status: ResponseStatus = ResponseStatus.IDLE
    text: str = ""
    """Its words so far."""


@dataclass(frozen=True, slots=True)
class RealtimeState:
    """One moment of the manager."""

    connection: RealtimeConnection = RealtimeConnection.IDLE
    session: SessionState = field(default_factory=SessionState)
    response: ResponseState = field(default_factory=ResponseState)
    last_error: Exception | None = None
    audio_playing: bool = False
    """Whether the model is heard, which goes on after its response is completed."""
