"""The state machines of a realtime session, as tables. What is not in a table does not happen.

:data:`TRANSITIONS` is the whole course of a session, its connection included: one phase at a time, of which
:data:`SHOWN` tells what the caller sees. :data:`RESPONSES` and :data:`CALLS` are the model's responses and
the calls of tools. The diagrams of ``docs/realtime.md`` are made of them by :func:`diagram`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from avatarkit_rtc.integrations.realtime.types import RealtimeConnection, ResponseStatus, SessionStatus

RECONNECT_DELAYS_MS: Final = (500, 1000, 2000, 4000, 5000)
"""Before each attempt to come back, in milliseconds; after as many attempts the session has failed."""


class Phase(StrEnum):
    """Where a session is in its course."""

    IDLE = "idle"
    STARTING = "starting"
    ACTIVE = "active"
    PATCHING = "patching"
    """Active, and the provider is being given another config."""
    WAITING = "waiting"
    """Lost; the delay before the next attempt runs."""
    RECOVERING = "recovering"
    """Lost; an attempt to come back runs."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


SHOWN: Final[Mapping[Phase, tuple[RealtimeConnection, SessionStatus]]] = {
    Phase.IDLE: (RealtimeConnection.IDLE, SessionStatus.IDLE),
    Phase.STARTING: (RealtimeConnection.CONNECTING, SessionStatus.STARTING),
    Phase.ACTIVE: (RealtimeConnection.CONNECTED, SessionStatus.ACTIVE),
    Phase.PATCHING: (RealtimeConnection.CONNECTED, SessionStatus.ACTIVE),
    Phase.WAITING: (RealtimeConnection.CONNECTING, SessionStatus.ACTIVE),
    Phase.RECOVERING: (RealtimeConnection.CONNECTING, SessionStatus.ACTIVE),
    Phase.STOPPING: (RealtimeConnection.DISCONNECTING, SessionStatus.ACTIVE),
    Phase.STOPPED: (RealtimeConnection.IDLE, SessionStatus.STOPPED),
    Phase.FAILED: (RealtimeConnection.ERROR, SessionStatus.STOPPED),
}
"""The states of connection and session that a phase is shown as."""


class Input(StrEnum):
    """What moves a session on."""

    START = "start"
    UPDATE = "update"
    STOP = "stop"
    OPENED = "opened"
    """``client.connect()`` returned."""
    OPEN_FAILED = "open failed"
    PATCHED = "patched"
    """``client.update()`` returned."""
    PATCH_FAILED = "patch failed"
    CLOSED = "closed"
    """``client.disconnect()`` returned."""
    CLOSE_FAILED = "close failed"
    LOST = "lost"
    """The client lost its connection."""
    DUE = "delay over"
    EXHAUSTED = "exhausted"
    """The last attempt failed."""
    ENDED = "ended"
    """The provider ended the session."""
    FATAL = "fatal error"
    """The client reported an error after which the session cannot go on."""


TRANSITIONS: Final[Mapping[tuple[Phase, Input], Phase]] = {
    (Phase.IDLE, Input.START): Phase.STARTING,
    (Phase.STOPPED, Input.START): Phase.STARTING,
    (Phase.FAILED, Input.START): Phase.STARTING,
    (Phase.STARTING, Input.OPENED): Phase.ACTIVE,
    (Phase.STARTING, Input.OPEN_FAILED): Phase.FAILED,
    (Phase.STARTING, Input.STOP): Phase.STOPPING,
    (Phase.ACTIVE, Input.UPDATE): Phase.PATCHING,
    (Phase.ACTIVE, Input.LOST): Phase.WAITING,
    (Phase.ACTIVE, Input.STOP): Phase.STOPPING,
    (Phase.ACTIVE, Input.ENDED): Phase.STOPPING,
    (Phase.ACTIVE, Input.FATAL): Phase.FAILED,
    (Phase.PATCHING, Input.PATCHED): Phase.ACTIVE,
    (Phase.PATCHING, Input.PATCH_FAILED): Phase.ACTIVE,
    (Phase.PATCHING, Input.LOST): Phase.WAITING,
    (Phase.PATCHING, Input.STOP): Phase.STOPPING,
    (Phase.PATCHING, Input.ENDED): Phase.STOPPING,
    (Phase.PATCHING, Input.FATAL): Phase.FAILED,
    (Phase.WAITING, Input.DUE): Phase.RECOVERING,
    (Phase.WAITING, Input.STOP): Phase.STOPPING,
    (Phase.RECOVERING, Input.OPENED): Phase.ACTIVE,
    (Phase.RECOVERING, Input.OPEN_FAILED): Phase.WAITING,
    (Phase.RECOVERING, Input.EXHAUSTED): Phase.FAILED,
    (Phase.RECOVERING, Input.STOP): Phase.STOPPING,
    (Phase.STOPPING, Input.CLOSED): Phase.STOPPED,
    (Phase.STOPPING, Input.CLOSE_FAILED): Phase.FAILED,
}

CONNECTED: Final = frozenset({Phase.ACTIVE, Phase.PATCHING})
"""Phases in which something can be sent, and in which what the client tells counts."""


class ResponseInput(StrEnum):
    """What moves a response on."""

    STARTED = "started"
    DELTA = "delta"
    """Words or sound."""
    DONE = "done"
    CANCELLED = "cancelled"
    """Done, because the provider cancelled it."""
    INTERRUPT = "interrupt"
    """The caller, or the user by beginning to speak."""
    LOST = "lost"
    RESET = "session begins or ends"


RESPONSES: Final[Mapping[tuple[ResponseStatus, ResponseInput], ResponseStatus]] = {
    (ResponseStatus.IDLE, ResponseInput.STARTED): ResponseStatus.RESPONDING,
    (ResponseStatus.IDLE, ResponseInput.DELTA): ResponseStatus.RESPONDING,
    (ResponseStatus.IDLE, ResponseInput.DONE): ResponseStatus.COMPLETED,
    (ResponseStatus.IDLE, ResponseInput.INTERRUPT): ResponseStatus.INTERRUPTED,
    (ResponseStatus.RESPONDING, ResponseInput.STARTED): ResponseStatus.RESPONDING,
    (ResponseStatus.RESPONDING, ResponseInput.DELTA): ResponseStatus.RESPONDING,
    (ResponseStatus.RESPONDING, ResponseInput.DONE): ResponseStatus.COMPLETED,
    (ResponseStatus.RESPONDING, ResponseInput.CANCELLED): ResponseStatus.INTERRUPTED,
    (ResponseStatus.RESPONDING, ResponseInput.INTERRUPT): ResponseStatus.INTERRUPTED,
    (ResponseStatus.RESPONDING, ResponseInput.LOST): ResponseStatus.INTERRUPTED,
    (ResponseStatus.RESPONDING, ResponseInput.RESET): ResponseStatus.IDLE,
    (ResponseStatus.INTERRUPTED, ResponseInput.STARTED): ResponseStatus.RESPONDING,
    (ResponseStatus.INTERRUPTED, ResponseInput.DELTA): ResponseStatus.RESPONDING,
    (ResponseStatus.INTERRUPTED, ResponseInput.DONE): ResponseStatus.INTERRUPTED,
    (ResponseStatus.INTERRUPTED, ResponseInput.RESET): ResponseStatus.IDLE,
    (ResponseStatus.COMPLETED, ResponseInput.STARTED): ResponseStatus.RESPONDING,
    (ResponseStatus.COMPLETED, ResponseInput.DELTA): ResponseStatus.RESPONDING,
    (ResponseStatus.COMPLETED, ResponseInput.DONE): ResponseStatus.COMPLETED,
    (ResponseStatus.COMPLETED, ResponseInput.INTERRUPT): ResponseStatus.INTERRUPTED,
    (ResponseStatus.COMPLETED, ResponseInput.RESET): ResponseStatus.IDLE,
}
"""Of the responses that still count: see :class:`~.response.Responses` for those that do not."""


class CallPhase(StrEnum):
    """Where a tool call is."""

    CALLED = "called"
    """Its arguments are being checked, at once: no other input can come meanwhile."""
    RUNNING = "running"
    ANSWERING = "answering"
    """Its result is being sent."""
    REFUSING = "refusing"
    """Its failure is being sent."""
    OVER = "over"


class CallInput(StrEnum):
    """What moves a tool call on."""

    ACCEPTED = "accepted"
    """There is such a tool and the arguments will do."""
    FAILED = "failed"
    """No such tool, wrong arguments, an exception, out of time, no object as result."""
    RETURNED = "returned"
    SENT = "sent"
    SEND_FAILED = "send failed"
    DROPPED = "dropped"
    """The connection is lost, or the session over."""


CALLS: Final[Mapping[tuple[CallPhase, CallInput], CallPhase]] = {
    (CallPhase.CALLED, CallInput.ACCEPTED): CallPhase.RUNNING,
    (CallPhase.CALLED, CallInput.FAILED): CallPhase.REFUSING,
    (CallPhase.RUNNING, CallInput.RETURNED): CallPhase.ANSWERING,
    (CallPhase.RUNNING, CallInput.FAILED): CallPhase.REFUSING,
    (CallPhase.RUNNING, CallInput.DROPPED): CallPhase.OVER,
    (CallPhase.ANSWERING, CallInput.SENT): CallPhase.OVER,
    (CallPhase.ANSWERING, CallInput.SEND_FAILED): CallPhase.OVER,
    (CallPhase.ANSWERING, CallInput.DROPPED): CallPhase.OVER,
    (CallPhase.REFUSING, CallInput.SENT): CallPhase.OVER,
    (CallPhase.REFUSING, CallInput.SEND_FAILED): CallPhase.OVER,
    (CallPhase.REFUSING, CallInput.DROPPED): CallPhase.OVER,
}


def diagram(table: Mapping[tuple[StrEnum, StrEnum], StrEnum]) -> str:
    """A Mermaid state diagram of ``table``: one arrow for each pair of states, with its inputs."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, cause), after in table.items():
        arrows.setdefault((before.value, after.value), []).append(cause.value)
    lines = [f"    {before} --> {after}: {', '.join(causes)}" for (before, after), causes in arrows.items()]
    return "\n".join(["stateDiagram-v2", *lines])
