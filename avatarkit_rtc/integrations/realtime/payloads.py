"""Events of the realtime manager: their names and what comes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from avatarkit_rtc.integrations.realtime.types import RealtimeState

TransitionReason: TypeAlias = Literal["user", "server"]
"""Who wanted it: the caller, or the provider."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state, after it has changed."""

    state: RealtimeState


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A session has begun or ended."""

    state: RealtimeState
    reason: TransitionReason


@dataclass(frozen=True, slots=True)
class Words:
    """Something said."""

    text: str


@dataclass(frozen=True, slots=True)
class UserSpeech:
    """The user has begun, or ended, to speak."""

    item_id: str | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model has called a tool."""

    name: str
    args: Any
    """What its arguments are as JSON; the text itself where it is none."""
    call_id: str | None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool's result, which the model has been sent."""

    name: str
    output: Mapping[str, Any]
    call_id: str


@dataclass(frozen=True, slots=True)
class ToolError:
    """A tool call that has no result; the model is told ``{"success": false, "error": …}``."""

    name: str
    error: Exception
    call_id: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a response has cost."""

    usage: Mapping[str, Any]
    model: str | None
    response_id: str | None
    session_id: str | None
    """The manager's, not the provider's."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something went wrong."""

    error: Exception


@dataclass(frozen=True, slots=True)
class ReconnectAttempt:
    """The connection is lost, and after ``delay_ms`` there will be an attempt to come back."""

    attempt: int
    """From 1."""
    delay_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class ReconnectSuccess:
    """The connection is back."""

    attempts: int
    total_ms: int
    """Since the loss."""
    cause: str


@dataclass(frozen=True, slots=True)
class ReconnectExhausted:
    """The last attempt has failed."""

    attempts: int
    total_ms: int
    cause: str
    last_error: Exception


@dataclass(frozen=True, slots=True)
class LipSync:
    """How loud the model's voice is now."""

    rms: float
    """Root mean square, 0 … 1."""


@dataclass(frozen=True, slots=True)
class Expression:
    """The model wants the avatar to put on an expression."""

    expression_id: str


@dataclass(frozen=True, slots=True)
class Motion:
    """The model wants the avatar to play a motion."""

    group: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Gaze:
    """The model wants the avatar to look somewhere."""

    x: float
    """-1 … 1, left to right as the viewer sees it."""
    y: float
    """-1 … 1, down to up."""


PAYLOADS: Final[Mapping[str, type | None]] = {
    "realtime:session:start": SessionChanged,
    "realtime:session:end": SessionChanged,
    "realtime:state": StateChanged,
    "realtime:user:transcript": Words,
    "realtime:user:speech:start": UserSpeech,
    "realtime:user:speech:end": UserSpeech,
    "realtime:assistant:start": StateChanged,
    "realtime:assistant:delta": Words,
    "realtime:assistant:done": Words,
    "realtime:text:delta": Words,
    "realtime:tool:call": ToolCall,
    "realtime:tool:result": ToolResult,
    "realtime:tool:error": ToolError,
    "realtime:usage": Usage,
    "realtime:error": Failure,
    "realtime:reconnect:attempt": ReconnectAttempt,
    "realtime:reconnect:success": ReconnectSuccess,
    "realtime:reconnect:exhausted": ReconnectExhausted,
    "realtime:expression": Expression,
    "realtime:motion": Motion,
    "realtime:gaze": Gaze,
    "tts:audio:start": None,
    "tts:audio:end": None,
    "tts:lipsync:update": LipSync,
}
"""Every event of the manager and the class of its payload; None: it has none."""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a result projector is given: a result that the model has been sent."""

    name: str
    output: Mapping[str, Any]
    call_id: str
    emit: Any = field(repr=False, compare=False)
    """``emit(event, payload)``: an event of the manager's, to listeners and bridge."""
