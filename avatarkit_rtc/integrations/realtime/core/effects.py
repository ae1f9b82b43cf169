"""What the pure core wants done: by the manager, in this order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistration
from avatarkit_rtc.integrations.realtime.events import AudioDelta

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell listeners and bridge."""

    event: str
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Log:
    """Write a line."""

    level: LogLevel
    message: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Connect:
    """Call ``client.connect(config)`` and report how it ended, with ``op``."""

    op: int
    config: RealtimeSessionConfig
    again: bool
    """Whether there was a connection before, of which something may be left."""


@dataclass(frozen=True, slots=True)
class Update:
    """Call ``client.update(config)`` and report how it ended, with ``op``."""

    op: int
    config: RealtimeSessionConfig


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Cancel what the client is at, call ``client.disconnect()`` and report how it ended, with ``op``."""

    op: int


@dataclass(frozen=True, slots=True)
class CancelOp:
    """Cancel what the client is at; nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Let a caller that waits go on, or raise ``error`` there."""

    waiter: Hashable
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Hand sound to the output."""

    audio: AudioDelta


@dataclass(frozen=True, slots=True)
class EndAudio:
    """Tell the output that all sound of a response has come."""


@dataclass(frozen=True, slots=True)
class FlushAudio:
    """Have the output be silent at once."""


@dataclass(frozen=True, slots=True)
class TellInterrupted:
    """Have the client cancel the response and forget what was not heard of it."""


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool and report its outcome, with ``serial``."""

    serial: int
    tool: ToolRegistration
    args: Mapping[str, Any] = field(repr=False)
    call_id: str


@dataclass(frozen=True, slots=True)
class SendToolResult:
    """Send a call's answer and report how that ended, with ``serial``."""

    serial: int
    call_id: str
    output: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DropTools:
    """Cancel tools and answers; their outcomes do not count any more."""

    serials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """Show a tool's result to the projectors."""

    name: str
    output: Mapping[str, Any] = field(repr=False)
    call_id: str


Effect: TypeAlias = (
    Emit
    | Log
    | Connect
    | Update
    | Disconnect
    | CancelOp
    | Settle
    | PlayAudio
    | EndAudio
    | FlushAudio
    | TellInterrupted
    | RunTool
    | SendToolResult
    | DropTools
    | Project
)
