"""SIGTERM for those who have something to end, in programs that handle it nowhere else."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

_callbacks: list[Callable[[], None]] = []
_loop: asyncio.AbstractEventLoop | None = None


def watch_sigterm(callback: Callable[[], None]) -> Callable[[], None]:
    """Call ``callback`` on the running event loop when SIGTERM comes; returns what ends that.

    Several may watch. A program that handles SIGTERM itself keeps its handler, and nothing is watched; so it
    is outside the main thread, and on Windows, where nobody sends it.
    """
    global _loop  # noqa: PLW0603 (one per process, as the signal is)
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if _loop is not None and _loop.is_closed():
        _callbacks.clear()  # their loop went down without them
    if not _callbacks:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return lambda: None
        try:
            loop.add_signal_handler(signal.SIGTERM, _on_sigterm)
        except NotImplementedError:
            return lambda: None
        _loop = loop
    _callbacks.append(callback)

    def end() -> None:
        if callback not in _callbacks:
            return
        _callbacks.remove(callback)
        if not _callbacks and _loop is not None and not _loop.is_closed():
            _loop.remove_signal_handler(signal.SIGTERM)

    return end


def _on_sigterm() -> None:
    for callback in tuple(_callbacks):
        callback()
