"""SIGTERM, and SIGHUP of a terminal that is closed, for those who have something to end, in programs that
handle them nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

_log = logging.getLogger("avatarkit_rtc.integrations")

# Windows has no SIGHUP.
_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

_callbacks: list[Callable[[signal.Signals], None]] = []
_watched: list[signal.Signals] = []
_loop: asyncio.AbstractEventLoop | None = None


def watch_sigterm(callback: Callable[[signal.Signals], None]) -> Callable[[], None]:
    """Call ``callback`` on the running event loop when SIGTERM or SIGHUP comes; returns what ends that.

    Several may watch. A program that handles one of them itself keeps its handler, and that one is not
    watched, nor is SIGHUP under ``nohup``; so it is outside the main thread, and on Windows, where nobody
    sends them.
    """
    global _loop  # noqa: PLW0603 (one per process, as the signals are)
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if _loop is not None and _loop.is_closed():
        _callbacks.clear()  # their loop went down without them
        _watched.clear()
    if not _callbacks:
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(number, _on_signal, number)
                    _watched.append(number)
        if not _watched:
            return lambda: None
        _loop = loop
    _callbacks.append(callback)

    def end() -> None:
        if callback not in _callbacks:
            return
        _callbacks.remove(callback)
        if not _callbacks and _loop is not None and not _loop.is_closed():
            while _watched:
                _loop.remove_signal_handler(_watched.pop())

    return end


def _on_signal(number: signal.Signals) -> None:
    for callback in tuple(_callbacks):
        callback(number)


class SigtermEnd:
    """Lets an async context manager end on SIGTERM and SIGHUP as it does on Ctrl-C: what it holds begins to
    end, the task that entered it is cancelled, and once the block has been left the process ends with exit
    code 143 (SIGTERM) or 129.

    A program with a handler of its own is left alone; it should leave the block.
    """

    def __init__(self, begin_end: Callable[[], None]) -> None:
        """Call ``begin_end`` first of all."""
        self._begin_end = begin_end
        self._owner: asyncio.Task[Any] | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._came: signal.Signals | None = None

    @property
    def came(self) -> bool:
        """Whether such a signal came."""
        return self._came is not None

    @contextlib.contextmanager
    def entering(self, *, watch: bool) -> Iterator[None]:
        """Around what ``__aenter__`` does: with ``watch`` the signals are waited for, by the task that runs
        now, until :meth:`leave`, or until the block raises."""
        if watch:
            self._owner = asyncio.current_task()
            self._unwatch = watch_sigterm(self._on_signal)
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
            SystemExit: a signal came, and nothing else went wrong.
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
        if self._came is not None and (error is None or isinstance(error, asyncio.CancelledError)):
            raise SystemExit(128 + self._came) from None

    def _on_signal(self, number: signal.Signals) -> None:
        _log.warning("%s: ending the session, then the program", number.name)
        self._came = number
        try:
            self._begin_end()
        except Exception:  # whoever else watches is still to be told
            _log.exception("ending on %s failed; leaving the block", number.name)
        finally:
            if self._owner is not None:
                self._owner.cancel()
