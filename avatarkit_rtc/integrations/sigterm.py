"""SIGTERM for those who have something to end, in programs that handle it nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

_log = logging.getLogger("avatarkit_rtc.integrations")

_TERMINATED: Final = 128 + signal.SIGTERM

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


class SigtermEnd:
    """Lets an async context manager end on SIGTERM as it does on Ctrl-C: what it holds begins to end, the
    task that entered it is cancelled, and once the block has been left the process ends with exit code 143.

    A program with a handler of its own is left alone; it should leave the block.
    """

    def __init__(self, begin_end: Callable[[], None]) -> None:
        """Call ``begin_end`` first of all."""
        self._begin_end = begin_end
        self._owner: asyncio.Task[Any] | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self.came = False
        """Whether SIGTERM came."""

    @contextlib.contextmanager
    def entering(self, *, watch: bool) -> Iterator[None]:
        """Around what ``__aenter__`` does: with ``watch`` SIGTERM is waited for, by the task that runs now,
        until :meth:`leave`, or until the block raises."""
        if watch:
            self._owner = asyncio.current_task()
            self._unwatch = watch_sigterm(self._on_sigterm)
        try:
            yield
        except BaseException as error:
            self._unwatch()
            if isinstance(error, asyncio.CancelledError):
                self._exit_after(error)
            raise

    async def leave(self, end: Coroutine[Any, Any, None], error: BaseException | None) -> None:
        """What ``__aexit__`` does: ``end`` what is held, after a block that raised ``error`` or None.

        Raises:
            SystemExit: SIGTERM came, and nothing else went wrong.
        """
        try:
            await end
        except asyncio.CancelledError:
            if not self.came:
                raise
        finally:
            self._unwatch()
        self._exit_after(error)

    def _exit_after(self, error: BaseException | None) -> None:
        if self.came and (error is None or isinstance(error, asyncio.CancelledError)):
            raise SystemExit(_TERMINATED) from None

    def _on_sigterm(self) -> None:
        _log.warning("SIGTERM: ending the session, then the program")
        self.came = True
        self._begin_end()
        if self._owner is not None:
            self._owner.cancel()
