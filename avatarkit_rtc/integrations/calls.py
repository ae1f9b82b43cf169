"""Carries tool calls out: so many at once, each within its time, the rest waiting in a bounded queue."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

Handler: TypeAlias = Callable[[Any], Any]
"""Takes the arguments, returns (or is a coroutine that returns) the result."""


class TooManyCallsError(Exception):
    """As many calls as may wait already."""


class OutOfTimeError(Exception):
    """The handler took longer than it may."""


class HandlerCancelledError(Exception):
    """The handler was cancelled, not by us."""


class Calls:
    """Runs handlers on one event loop. A place is taken until the work is really over: a plain function that
    runs past its time goes on in its thread, and threads must not pile up."""

    def __init__(self, at_once: int, waiting: int) -> None:
        """
        Args:
            at_once: handlers that run at the same time.
            waiting: calls that wait for a place; more are refused.
        """
        self._free = at_once
        self._at_once = at_once
        self._most_waiting = waiting
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def running(self) -> int:
        """Places taken."""
        return self._at_once - self._free

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return len(self._queue)

    async def run(self, handler: Handler, arguments: Any, timeout_s: float) -> Any:
        """The handler's result. Cancelled, or out of time, it cancels a coroutine and abandons a thread.

        Raises:
            TooManyCallsError: too many calls wait already.
            OutOfTimeError: it took longer than ``timeout_s`` from its start.
            HandlerCancelledError: it was cancelled by somebody else.
            Exception: what the handler raised.
        """
        if is_coroutine_function(handler):
            return await self._within(handler, arguments, timeout_s, in_thread=False)
        result = await self._within(handler, arguments, timeout_s, in_thread=True)
        if inspect.isawaitable(result):  # a plain function around a coroutine function
            return await self._within(lambda _: result, None, timeout_s, in_thread=False)
        return result

    async def _within(self, handler: Handler, arguments: Any, timeout_s: float, *, in_thread: bool) -> Any:
        await self._place()
        work: asyncio.Future[Any]
        work = (
            _start_thread(handler, arguments)
            if in_thread
            else asyncio.ensure_future(_await(handler, arguments))
        )
        work.add_done_callback(lambda _: self._leave())
        try:
            done, _ = await asyncio.wait([work], timeout=timeout_s)
        except asyncio.CancelledError:
            _abandon(work)
            raise
        if not done:
            _abandon(work)
            raise OutOfTimeError
        if work.cancelled():
            raise HandlerCancelledError("the tool was cancelled")
        return work.result()

    async def _place(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        if len(self._queue) >= self._most_waiting:
            raise TooManyCallsError("Too many tool calls at once; try again later")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place came in the very moment of the cancellation
            else:
                with contextlib.suppress(ValueError):
                    self._queue.remove(turn)
            raise

    def _leave(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)  # the place goes to the next in the queue
                return
        self._free += 1


def is_coroutine_function(handler: Handler) -> bool:
    """Whether calling ``handler`` gives a coroutine, as far as can be told beforehand."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


async def _await(handler: Handler, arguments: Any) -> Any:
    return await handler(arguments)


def _start_thread(handler: Handler, arguments: Any) -> asyncio.Future[Any]:
    """Run in a thread that does not keep the process alive. The future is done when the thread is."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(result: Any, error: BaseException | None) -> None:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def run() -> None:
        result: Any = None
        problem: BaseException | None = None
        try:
            result = context.run(handler, arguments)
        except Exception as error:
            problem = error
        except BaseException as error:  # SystemExit would end the event loop
            problem = RuntimeError(f"the tool raised {type(error).__name__}")
            problem.__cause__ = error
        if isinstance(problem, StopIteration):  # a future does not take it
            problem = RuntimeError("the tool raised StopIteration")
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(deliver, result, problem)

    threading.Thread(target=run, name="tool call", daemon=True).start()
    return future


def _abandon(work: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more."""
    if isinstance(work, asyncio.Task):  # the future of a thread stays, as its place does
        work.cancel()
    work.add_done_callback(_observe)


def _observe(work: asyncio.Future[Any]) -> None:
    if work.cancelled() or work.exception() is not None:
        return
    if inspect.iscoroutine(work.result()):
        work.result().close()
