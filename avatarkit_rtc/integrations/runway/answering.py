"""From one RPC call to its answer: the checks in their order, the tool, the reply or the error."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from livekit import rtc

from avatarkit_rtc.errors import ToolCallError, ToolReplyError, ToolTimeoutError
from avatarkit_rtc.integrations.calls import (
    Calls,
    HandlerCancelledError,
    OutOfTimeError,
    TooManyCallsError,
)
from avatarkit_rtc.integrations.error_text import text_or_class_of
from avatarkit_rtc.integrations.runway.tools import (
    Handler,
    Refused,
    Tool,
    check_caller,
    checked_tools,
    cut,
    read_arguments,
    reply_text,
)

_log = logging.getLogger("avatarkit_rtc.runway")

_APPLICATION_ERROR: Final = int(rtc.RpcError.ErrorCode.APPLICATION_ERROR)
_REPLY_TOO_LARGE: Final = int(rtc.RpcError.ErrorCode.RESPONSE_PAYLOAD_TOO_LARGE)


@dataclass(frozen=True, slots=True)
class RpcHandlerStats:
    """Counts since the handler was made."""

    calls: int
    """Calls that came."""
    answered: int
    """Calls answered with a result."""
    refused: int
    """Calls refused before a tool was asked: caller, payload, arguments, too many at once."""
    failed: int
    """Calls whose tool raised, took too long, or had no result that can be sent."""
    running: int
    """Tools at work now."""
    waiting: int
    """Calls that wait for one of them to end."""


class Answering:
    """Answers calls for as long as it is asked; knows nothing of rooms."""

    def __init__(
        self,
        tools: Mapping[str, Handler | Tool],
        on_error: Callable[[ToolCallError], None],
        *,
        tool_timeout_s: float,
        max_calls_at_once: int,
        max_calls_waiting: int,
        max_reply_bytes: int,
        log_level: int,
    ) -> None:
        """See :func:`~avatarkit_rtc.integrations.runway.create_rpc_handler`.

        Args:
            log_level: of the line that each call writes.
        """
        self._tools = checked_tools(tools)
        self._on_error = on_error
        self._timeout = tool_timeout_s
        self._max_reply = max_reply_bytes
        self._level = log_level
        self._slots = Calls(max_calls_at_once, max_calls_waiting)
        self._in_flight: set[asyncio.Task[str]] = set()
        self._calls = self._answered = self._refused = self._failed = 0
        self.last_answer_at: float | None = None
        """When the last answer was given, in monotonic seconds."""

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names."""
        return tuple(self._tools)

    def stats(self) -> RpcHandlerStats:
        """A snapshot of the counts."""
        return RpcHandlerStats(
            self._calls,
            self._answered,
            self._refused,
            self._failed,
            self._slots.running,
            self._slots.waiting,
        )

    def method(self, name: str) -> Callable[[rtc.RpcInvocationData], Awaitable[str]]:
        """What is registered as RPC method ``name``."""

        async def answer(call: rtc.RpcInvocationData) -> str:
            # A task of its own: the SDK cancels this one when the caller's time is up or the room is gone;
            # close() cancels the other, and the caller gets an answer.
            task = asyncio.create_task(self._answer(name, call), name=f"tool {name}")
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                raise
            finally:
                self.last_answer_at = time.monotonic()
            if task.cancelled():
                raise rtc.RpcError(_APPLICATION_ERROR, "The tool handler was closed before the tool was done")
            return task.result()

        return answer

    async def finish(self, timeout_s: float) -> None:
        """Wait for the calls in flight; after ``timeout_s`` the rest is answered with an error."""
        if self._in_flight:
            await asyncio.wait(tuple(self._in_flight), timeout=timeout_s)
        left = tuple(self._in_flight)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=timeout_s)
            # The tasks that wait for these run after them, and note when they answered.
            await asyncio.sleep(0)
            self.last_answer_at = time.monotonic()

    async def _answer(self, name: str, call: rtc.RpcInvocationData) -> str:
        """The reply's text.

        Raises:
            RpcError: what the caller gets instead.
        """
        self._calls += 1
        began = time.monotonic()
        tool, check = self._tools[name]
        timeout_s = tool.timeout_s or self._timeout
        try:
            check_caller(call.caller_identity)
            arguments = read_arguments(call.payload)
            check(arguments)
            result = await self._slots.run(tool.handler, arguments, timeout_s)
        except (Refused, TooManyCallsError) as refusal:
            self._refused += 1
            _log.log(self._level, "call of %r refused after %.3f s", name, time.monotonic() - began)
            raise rtc.RpcError(_APPLICATION_ERROR, cut(str(refusal))) from None
        except OutOfTimeError:
            said = f"tool {name!r} did not end within {timeout_s:g} s; make it faster, or allow more time"
            raise self._fail(ToolTimeoutError(said, tool=name), said) from None
        except Exception as error:
            raise self._fail(_failure(name, error), text_or_class_of(error)) from None
        try:
            text = reply_text(result)
        except Exception as error:  # the tool's own objects have a say in this
            said = f"the result of tool {name!r} is no JSON: {text_or_class_of(error)}"
            failure = ToolReplyError(said, tool=name)
            failure.__cause__ = error
            raise self._fail(failure, said) from None
        size = len(text.encode())
        if size > self._max_reply:
            said = (
                f"Response payload too large: tool {name!r} returned {size} bytes, and at most "
                f"{self._max_reply} can be sent; return less"
            )
            raise self._fail(ToolReplyError(said, tool=name), said, _REPLY_TOO_LARGE) from None
        self._answered += 1
        took = time.monotonic() - began
        _log.log(self._level, "call of %r answered after %.3f s, %d bytes", name, took, size)
        return text

    def _fail(self, error: ToolCallError, said: str, code: int = _APPLICATION_ERROR) -> rtc.RpcError:
        self._failed += 1
        self._on_error(error)
        return rtc.RpcError(code, cut(said))


def _failure(name: str, error: Exception) -> ToolCallError:
    what = "was cancelled" if isinstance(error, HandlerCancelledError) else f"raised {type(error).__name__}"
    failure = ToolCallError(f"tool {name!r} {what}: {text_or_class_of(error)}", tool=name)
    failure.__cause__ = error
    return failure
