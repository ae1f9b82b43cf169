"""The event loop of a thread that goes on when the main thread has ended, as the process waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def outliving_loop() -> asyncio.AbstractEventLoop:
    """A new event loop in which host names are found, and whatever else needs an executor works, also once
    the main thread has ended: no pool of threads takes anything any more then."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_ThreadEach())
    return loop


class _ThreadEach(ThreadPoolExecutor):
    """A thread for each call, which the process does not wait for: a name server may take its time."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="call", daemon=True).start()
        return future
