"""What a realtime client tells of its connection: frozen events, one class each.

They come on the event loop, in the order in which the server sent them. Ids are the provider's; a client
whose provider has none leaves them None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from avatarkit_rtc.errors import RealtimeError


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """The provider has made a session."""

    provider_session_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The provider has taken a config over."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The provider has ended the session for good: not a loss, nothing to reconnect to."""

    reason: str = "ended"


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The provider hears the user begin to speak."""

    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The provider hears the user's speech end."""

    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class UserTranscript:
    """What the user has said, written down."""

    text: str
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class AssistantStarted:
    """A response begins."""

    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class AssistantDelta:
    """Further words of a response."""

    text: str
    response_id: str | None = None
    spoken: bool = True
    """Whether they are what the audio says; else they come in writing only."""


@dataclass(frozen=True, slots=True)
class AssistantDone:
    """A response is over. Also sent for one that was cancelled."""

    text: str = ""
    """All its words, if the provider says them again; "" means: what the deltas said."""
    response_id: str | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """Further sound of a response, as it comes: faster than it is played."""

    pcm: bytes = field(repr=False)
    """16-bit mono, little-endian."""
    sample_rate: int
    response_id: str | None = None
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class AudioDone:
    """All sound of a response has come. It plays on."""

    response_id: str | None = None
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model calls a tool."""

    call_id: str | None
    name: str
    arguments: str = field(repr=False)
    """JSON as the model wrote it, which may be anything."""
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class UsageReported:
    """What a response has cost. Comes before its :class:`AssistantDone`."""

    usage: Mapping[str, Any]
    """As the provider counts: ``total_tokens``, ``input_tokens``, ``output_tokens``, …"""
    model: str | None = None
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """The provider says that something is wrong, or the client cannot make sense of what it sends."""

    error: RealtimeError
    recoverable: bool = True
    """Whether the session goes on; else the manager ends it as failed."""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection broke, and nobody here wanted it. The last event of a connection."""

    cause: str
    """``closed``, ``failed``, ``timeout``, …: a word for logs and programs."""
    error: Exception | None = None


ClientEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | SessionEnded
    | SpeechStarted
    | SpeechStopped
    | UserTranscript
    | AssistantStarted
    | AssistantDelta
    | AssistantDone
    | AudioDelta
    | AudioDone
    | ToolCalled
    | UsageReported
    | ErrorReported
    | ConnectionLost
)
