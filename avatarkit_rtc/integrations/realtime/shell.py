"""Carries out what the pure machine wants done, on an event loop, and tells it how that went."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from avatarkit_rtc.emitter import EventHub
from avatarkit_rtc.integrations.error_text import text_of
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.core.effects import (
    CancelOp,
    Connect,
    Disconnect,
    DropTools,
    Effect,
    Emit,
    EndAudio,
    FlushAudio,
    Log,
    LogLevel,
    PlayAudio,
    Project,
    RunTool,
    SendToolResult,
    Settle,
    TellInterrupted,
    Update,
)
from avatarkit_rtc.integrations.realtime.core.machine import Machine
from avatarkit_rtc.integrations.realtime.core.tools import ToolContext
from avatarkit_rtc.integrations.realtime.events import ClientEvent
from avatarkit_rtc.integrations.realtime.log import RealtimeLogger
from avatarkit_rtc.integrations.realtime.operations import Operations, Timeouts, as_realtime_error
from avatarkit_rtc.integrations.realtime.output import (
    AudioOutput,
    Heard,
    OutputEvent,
)
from avatarkit_rtc.integrations.realtime.payloads import PAYLOADS, ToolOutcome
from avatarkit_rtc.integrations.realtime.tool_runner import ToolRunner

_log = logging.getLogger("avatarkit_rtc.realtime")

ResultProjector: TypeAlias = Callable[[ToolOutcome], None]

MAX_CALLS_AT_ONCE: Final = 16
"""Tools that run at the same time."""
MAX_CALLS_WAITING: Final = 64
"""Calls that wait for one of them to end; more are refused."""


class EventBridge(Protocol):
    """Where else events go: it is given them, and asked for none."""

    def emit(self, event: str, payload: Any, /) -> object:
        """Pass ``event`` on."""


class Shell:
    """Everything of the manager's that waits. Effects are carried out in their order, also those that come of
    carrying out others."""

    def __init__(
        self,
        client: RealtimeClient,
        machine: Machine,
        output: AudioOutput,
        logger: RealtimeLogger,
        projectors: Iterable[ResultProjector],
        *,
        tool_timeout_s: float,
        timeouts: Timeouts,
    ) -> None:
        """See :class:`~.manager.RealtimeManager`."""
        self._client = client
        self._machine = machine
        self._output = output
        self._logger = logger
        self.hub = EventHub(PAYLOADS)
        self.bridge: EventBridge | None = None
        self.projectors = list(projectors)
        self._timeouts = timeouts
        self._operations = Operations(client, timeouts, self._operation_ended)
        self._runner = ToolRunner(
            self,
            client.send_tool_result,
            timeout_s=tool_timeout_s,
            at_once=MAX_CALLS_AT_ONCE,
            waiting=MAX_CALLS_WAITING,
        )
        self._effects: deque[Effect] = deque()
        self._performing = False
        self._timer: asyncio.TimerHandle | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._heard: Heard | None = None
        client.set_event_handler(self._client_event)
        output.set_listener(self._output_event)

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carry out ``effects``: at once, or behind what is being carried out. Never raises."""
        self._effects.extend(effects)
        if self._performing:
            return
        self._performing = True
        try:
            while self._effects:
                effect = self._effects.popleft()
                try:
                    self._perform(effect)
                except Exception:  # of an output or a client that is not ours: the rest still counts
                    _log.exception("realtime: %s failed", type(effect).__name__)
        finally:
            self._performing = False
        self._arm()

    async def closed(self) -> None:
        """Wait until a connection that is being closed is."""
        await self._operations.closed()

    async def interrupt_client(self) -> None:
        """Tell the provider of the last interruption.

        Raises:
            AvatarKitError: it could not be told.
        """
        heard, self._heard = self._heard, None
        try:
            if heard is None:
                await self._client.interrupt()
            else:
                await self._client.interrupt(item_id=heard.item_id, played_ms=heard.played_ms)
        except Exception as error:
            raise as_realtime_error(error, "interrupt") from error

    def log(self, level: LogLevel, message: str, context: Mapping[str, Any] | None = None) -> None:
        """Write a line. The session's id wins over one in ``context``. Never raises."""
        merged = dict(context or {})
        if self._machine.session_id is not None:
            merged["sessionId"] = self._machine.session_id
        try:
            self._logger.log(level, message, merged)
        except Exception:
            _log.exception("a realtime logger failed")

    def emit(self, event: str, payload: Any = None) -> None:
        """Tell listeners, then the bridge.

        Raises:
            ConfigurationError: there is no such event.
        """
        if payload is None:
            self.hub.emit(event)
        else:
            self.hub.emit(event, payload)
        if self.bridge is not None:
            try:
                self.bridge.emit(event, payload)
            except Exception as error:
                said = {"event": event, "error": f"{type(error).__name__}: {text_of(error)}"}
                self.log("warning", "Realtime event bridge failed", said)

    async def aclose(self) -> None:
        """End what still runs. Never raises."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = {*self._operations.tasks, *self._runner.tasks, *self._telling}
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=self._timeouts.disconnect_s)
            if left:
                _log.error("realtime: %d tasks of a client or of tools do not end", len(left))
        with contextlib.suppress(Exception):
            self._output.flush()
        with contextlib.suppress(Exception):
            self._output.set_listener(None)
        with contextlib.suppress(Exception):
            self._client.set_event_handler(None)

    # Reports of the tools' runner.

    def returned(self, serial: int, result: Any) -> None:
        """A tool has returned."""
        self.perform(self._machine.conversation.calls.returned(serial, result))

    def failed(self, serial: int, error: Exception) -> None:
        """A tool has failed."""
        self.perform(self._machine.conversation.calls.failed(serial, error))

    def sent(self, serial: int) -> None:
        """A call's answer has been sent."""
        self.perform(self._machine.conversation.calls.sent(serial))

    def send_failed(self, serial: int, error: Exception) -> None:
        """A call's answer could not be sent."""
        wrapped = as_realtime_error(error, "answer a tool call")
        self.perform(self._machine.conversation.calls.send_failed(serial, wrapped))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Emit():
                self.emit(effect.event, effect.payload)
            case Log():
                self.log(effect.level, effect.message, effect.context)
            case Settle():
                _settle(effect)
            case Connect() | Update() | Disconnect():
                self._operations.start(effect)
            case CancelOp():
                self._operations.cancel()
            case RunTool() | SendToolResult() | DropTools() | Project():
                self._perform_tool(effect)
            case PlayAudio():
                self._output.play(effect.audio)
            case EndAudio():
                self._output.end()
            case FlushAudio():
                self._heard = self._output.flush()
            case TellInterrupted():
                self._tell_interrupted()

    def _perform_tool(self, effect: RunTool | SendToolResult | DropTools | Project) -> None:
        match effect:
            case RunTool():
                state = self._machine.state
                context = ToolContext(self._machine.character, state, effect.call_id, self.log)
                self._runner.run(effect, context)
            case SendToolResult():
                self._runner.send(effect)
            case DropTools():
                for serial in effect.serials:
                    self._runner.drop(serial)
            case Project():
                self._project(ToolOutcome(effect.name, effect.output, effect.call_id, self.emit))

    def _project(self, outcome: ToolOutcome) -> None:
        for projector in tuple(self.projectors):
            try:
                projector(outcome)
            except Exception as error:
                said = {"name": outcome.name, "callId": outcome.call_id}
                said["error"] = f"{type(error).__name__}: {text_of(error)}"
                self.log("warning", "Realtime result projector failed", said)

    def _tell_interrupted(self) -> None:
        async def tell() -> None:
            try:
                await self.interrupt_client()
            except Exception as error:
                self.log("warning", "Realtime interruption not told", {"error": str(error)})

        task = asyncio.create_task(tell(), name="realtime interruption")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _operation_ended(self, effect: Connect | Update | Disconnect, error: Exception | None) -> None:
        machine, now = self._machine, asyncio.get_running_loop().time()
        match effect, error:
            case Connect(), None:
                effects = machine.opened(effect.op, now)
            case Connect(), Exception():
                effects = machine.open_failed(effect.op, error, now)
            case Update(), None:
                effects = machine.patched(effect.op)
            case Update(), Exception():
                effects = machine.patch_failed(effect.op, error)
            case Disconnect(), None:
                effects = machine.closed(effect.op)
            case Disconnect(), Exception():
                effects = machine.close_failed(effect.op, error)
        self.perform(effects)

    def _client_event(self, event: ClientEvent) -> None:
        self.perform(self._machine.handle(event, asyncio.get_running_loop().time()))

    def _output_event(self, event: OutputEvent) -> None:
        self.perform(self._machine.heard(event))

    def _arm(self) -> None:
        deadline = self._machine.deadline
        if self._timer is not None and self._timer.when() != deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._due, deadline)

    def _due(self, deadline: float) -> None:
        self._timer = None
        # A timer may fire up to the clock's resolution early.
        now = max(asyncio.get_running_loop().time(), deadline)
        self.perform(self._machine.due(now))


def _settle(effect: Settle) -> None:
    waiter = effect.waiter
    if not isinstance(waiter, asyncio.Future) or waiter.done():  # nobody waits, or not any more
        return
    if effect.error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(effect.error)
