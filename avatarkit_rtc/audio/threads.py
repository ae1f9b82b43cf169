"""Calls that a sound system may hang in, on threads that nothing waits for.

``asyncio.to_thread`` lends its threads from the event loop's default executor, whose end ``asyncio.run`` and
the interpreter wait for: one call into a sound server that hangs, and a program that has long done its work
does not end.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """``function``'s result, or what it raises, from a daemon thread of its own.

    When the call is cancelled, the thread goes on and what comes of it is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(settled: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            settled(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_result, function(*args, **kwargs))
        except BaseException as error:
            outcome = (future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    start_thread(contextvars.copy_context().run, run)
    return await future


def start_thread(function: Callable[..., object], *args: object) -> None:
    """Call ``function`` on a daemon thread of its own."""
    threading.Thread(target=function, args=args, name="sound system", daemon=True).start()
