"""Runs tools and sends their results, each in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from avatarkit_rtc.errors import ToolCallError, ToolTimeoutError
from avatarkit_rtc.integrations.calls import (
    Calls,
    Handler,
    HandlerCancelledError,
    OutOfTimeError,
    TooManyCallsError,
    is_coroutine_function,
)
from avatarkit_rtc.integrations.realtime.core.effects import RunTool, SendToolResult
from avatarkit_rtc.integrations.realtime.core.tools import ToolContext, ToolRegistration


class Reports(Protocol):
    """Where outcomes go: :class:`~.tool_calls.ToolCalls`, its effects being carried out."""

    def returned(self, serial: int, result: Any) -> None:
        """The tool has returned."""

    def failed(self, serial: int, error: Exception) -> None:
        """The tool has failed."""

    def sent(self, serial: int) -> None:
        """The answer has been sent."""

    def send_failed(self, serial: int, error: Exception) -> None:
        """The answer could not be sent."""


class ToolRunner:
    """Tasks by the serial number of their call."""

    def __init__(
        self,
        reports: Reports,
        send: Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, None]],
        *,
        timeout_s: float,
        at_once: int,
        waiting: int,
    ) -> None:
        """
        Args:
            send: sends a call's answer.
            timeout_s: for tools without a time of their own.
            at_once: tools that run at the same time.
            waiting: calls that wait for one of them to end; more are refused.
        """
        self._reports = reports
        self._send = send
        self._timeout_s = timeout_s
        self._calls = Calls(at_once, waiting)
        self._tasks: dict[asyncio.Task[None], int] = {}

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """What runs."""
        return tuple(self._tasks)

    def run(self, effect: RunTool, context: ToolContext) -> None:
        """Carry a tool out and report what came of it."""
        self._start(self._run(effect, context), effect.serial)

    def send(self, effect: SendToolResult) -> None:
        """Send an answer and report how that went."""
        self._start(self._answer(effect), effect.serial)

    def drop(self, serial: int) -> None:
        """Cancel what runs for a call."""
        for task, of in list(self._tasks.items()):
            if of == serial:
                task.cancel()

    def _start(self, work: Coroutine[Any, Any, None], serial: int) -> None:
        task = asyncio.create_task(work, name=f"realtime tool call {serial}")
        self._tasks[task] = serial
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _run(self, effect: RunTool, context: ToolContext) -> None:
        tool, name = effect.tool, effect.tool.definition.name
        timeout_s = self._timeout_s if tool.timeout_s is None else tool.timeout_s
        try:
            result = await self._calls.run(_handler(tool, context), effect.args, timeout_s)
        except OutOfTimeError:
            said = f'Realtime tool "{name}" timed out after {timeout_s * 1000:g}ms'
            self._reports.failed(effect.serial, ToolTimeoutError(said, tool=name))
        except TooManyCallsError as error:
            self._reports.failed(effect.serial, ToolCallError(str(error), tool=name))
        except HandlerCancelledError:
            said = f'Realtime tool "{name}" was cancelled'
            self._reports.failed(effect.serial, ToolCallError(said, tool=name))
        except Exception as error:
            self._reports.failed(effect.serial, error)
        else:
            self._reports.returned(effect.serial, result)

    async def _answer(self, effect: SendToolResult) -> None:
        try:
            await self._send(effect.call_id, effect.output)
        except Exception as error:
            self._reports.send_failed(effect.serial, error)
        else:
            self._reports.sent(effect.serial)


def _handler(tool: ToolRegistration, context: ToolContext) -> Handler:
    handler = tool.handler
    if not tool.wants_context:
        return handler
    if is_coroutine_function(handler):

        async def call(args: Any) -> Any:
            return await handler(args, context)

        return call
    return lambda args: handler(args, context)
