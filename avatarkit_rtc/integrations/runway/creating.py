"""A session's creation, whatever happens to the caller meanwhile: a request that was broken off may have
started a session whose id nobody knows."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final

from avatarkit_rtc.integrations.runway.own_loop import outliving_loop
from avatarkit_rtc.integrations.waiting import wait_out

_LOOK_INTERVAL_S: Final = 0.1
"""How often it is looked whether the caller's event loop is closed."""


async def create_in_thread(
    request: Callable[[asyncio.Event], Coroutine[Any, Any, Any]],
    undo: Callable[[Any], Future[None] | None],
) -> Any:
    """The answer to ``request``, which runs in a thread with an event loop of its own, where nobody cancels
    it: not the caller, and not ``asyncio.run()`` at its end. The process does not end before it.

    Args:
        request: makes the request. The event, of that thread's loop, is set when nobody waits any more.
        undo: begins to end what an answer that nobody waits for has started; None where that is nothing. May
            be called in either thread.

    Raises:
        CancelledError: the caller was cancelled; after the request, and the end of what it has started.
        Exception: what the request raised.
    """
    caller = asyncio.get_running_loop()
    loop, abandoned = outliving_loop(), asyncio.Event()
    done: Future[Any] = Future()

    async def watched() -> Any:
        watch = asyncio.create_task(_set_when_closed(abandoned, caller))
        try:
            return await request(abandoned)
        finally:
            watch.cancel()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                answer = runner.run(watched())
        except BaseException as error:
            if not caller.is_closed():
                done.set_exception(error)
            return
        if caller.is_closed():  # it did not even get to abandoning this
            undo(answer)
        else:
            done.set_result(answer)

    threading.Thread(target=run, name="create session").start()
    waiting = asyncio.wrap_future(done)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        with contextlib.suppress(RuntimeError):  # the thread is done
            loop.call_soon_threadsafe(abandoned.set)
        with contextlib.suppress(asyncio.CancelledError):
            await wait_out(waiting)
        undone = undo(waiting.result()) if waiting.exception() is None else None
        if undone is not None:
            await wait_out(asyncio.wrap_future(undone))
        raise


async def _set_when_closed(abandoned: asyncio.Event, caller: asyncio.AbstractEventLoop) -> None:
    while not caller.is_closed():  # noqa: ASYNC110 (of which nobody tells)
        await asyncio.sleep(_LOOK_INTERVAL_S)
    abandoned.set()
