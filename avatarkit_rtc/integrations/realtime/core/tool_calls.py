"""The course of tool calls: each is answered once, or, when its connection is gone, not at all."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from avatarkit_rtc.errors import RealtimeTransportError, ToolCallError
from avatarkit_rtc.integrations.error_text import text_of
from avatarkit_rtc.integrations.realtime.core.effects import (
    DropTools,
    Effect,
    Emit,
    Log,
    Project,
    RunTool,
    SendToolResult,
)
from avatarkit_rtc.integrations.realtime.core.tables import CALLS, CallInput, CallPhase
from avatarkit_rtc.integrations.realtime.core.tools import (
    ToolRegistry,
    check_arguments,
    checked_result,
    failure_output,
    read_arguments,
)
from avatarkit_rtc.integrations.realtime.events import ToolCalled
from avatarkit_rtc.integrations.realtime.payloads import ToolCall, ToolError, ToolResult

REMEMBERED: Final = 1024
"""Ids of calls of a session. One that comes again is not carried out again."""


@dataclass(slots=True)
class _Call:
    name: str
    call_id: str
    phase: CallPhase = CallPhase.CALLED
    output: Mapping[str, Any] = field(default_factory=dict)


class ToolCalls:
    """The calls of one session at a time."""

    def __init__(self, registry: ToolRegistry) -> None:
        self._registry = registry
        self._serials = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def begin(self) -> None:
        """A new session: its ids are its own."""
        self._seen.clear()

    def called(self, event: ToolCalled) -> list[Effect]:
        """The model calls a tool."""
        name, call_id = event.name, event.call_id
        args = read_arguments(event.arguments)
        if call_id is None:
            error = ToolCallError(f'Tool "{name}" is missing a call ID', tool=name)
            return [Emit("realtime:tool:call", ToolCall(name, args, None)), *_told(name, None, error)]
        if call_id in self._seen:
            context = {"name": name, "callId": call_id}
            return [Log("warning", "Realtime tool call came again; ignored", context)]
        self._seen[call_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        serial = next(self._serials)
        call = self._calls[serial] = _Call(name, call_id)
        effects: list[Effect] = [Emit("realtime:tool:call", ToolCall(name, args, call_id))]
        tool = self._registry.get(name)
        try:
            if tool is None:
                raise ToolCallError(f'No realtime tool registered for "{name}"', tool=name)
            check_arguments(tool.definition, args)
        except Exception as error:  # whatever a schema makes of it, the call is answered
            return [*effects, *self.failed(serial, error)]
        self._move(serial, CallInput.ACCEPTED)
        context = {"name": name, "callId": call_id}
        log = Log("debug", "Realtime tool execution started", context)
        return [*effects, log, RunTool(serial, tool, args, call.call_id)]

    def returned(self, serial: int, result: Any) -> list[Effect]:
        """A tool has returned ``result``, which may be anything."""
        call = self._calls.get(serial)
        if call is None:
            return []
        try:
            call.output = checked_result(call.name, result)
        except ToolCallError as error:
            return self.failed(serial, error)
        self._move(serial, CallInput.RETURNED)
        return [SendToolResult(serial, call.call_id, call.output)]

    def failed(self, serial: int, error: Exception) -> list[Effect]:
        """A call cannot have a result."""
        call = self._calls.get(serial)
        if call is None:
            return []
        self._move(serial, CallInput.FAILED)
        call.output = failure_output(error)
        return [*_told(call.name, call.call_id, error), SendToolResult(serial, call.call_id, call.output)]

    def sent(self, serial: int) -> list[Effect]:
        """The model has been sent the answer."""
        call = self._calls.get(serial)
        if call is None:
            return []
        answered = call.phase is CallPhase.ANSWERING
        self._move(serial, CallInput.SENT)
        if not answered:
            return []
        return [
            Emit("realtime:tool:result", ToolResult(call.name, call.output, call.call_id)),
            Project(call.name, call.output, call.call_id),
            Log("info", "Realtime tool execution succeeded", {"name": call.name, "callId": call.call_id}),
        ]

    def send_failed(self, serial: int, error: Exception) -> list[Effect]:
        """The answer could not be sent. It may have got out all the same, so no other is sent."""
        call = self._calls.get(serial)
        if call is None:
            return []
        self._move(serial, CallInput.SEND_FAILED)
        return _told(call.name, call.call_id, error)

    def drop(self, *, lost: bool) -> list[Effect]:
        """Answer none of those that are open. ``lost``: because the connection is, which is told."""
        effects: list[Effect] = []
        for serial, call in list(self._calls.items()):
            if lost and call.phase is not CallPhase.REFUSING:  # whose failure was told
                said = f'Realtime tool "{call.name}" is not answered: the connection was lost'
                effects += _told(call.name, call.call_id, RealtimeTransportError(said))
            self._move(serial, CallInput.DROPPED)
            effects.append(DropTools((serial,)))
        return effects

    def _move(self, serial: int, cause: CallInput) -> None:
        call = self._calls[serial]
        call.phase = CALLS[call.phase, cause]
        if call.phase is CallPhase.OVER:
            del self._calls[serial]


def _told(name: str, call_id: str | None, error: Exception) -> list[Effect]:
    context = {"name": name, "callId": call_id, "error": text_of(error)}
    return [
        Log("warning", "Realtime tool execution failed", context),
        Emit("realtime:tool:error", ToolError(name, error, call_id)),
    ]
