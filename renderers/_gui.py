"""OpenCV's user interface: one thread per process, shared by all windows, for the whole life of the process.

OpenCV's window toolkits belong to the thread that first used them; a window from a second one hangs for ever.
Here this is a thread of our own, or (macOS knows no other) the main thread, whose event loop calls in.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from avatarkit_rtc.errors import DisplayError, MissingDependencyError
from renderers._x11 import XConnection
from renderers.canvas import opencv_hint
from renderers.display import DisplayWatch, display_available

if TYPE_CHECKING:
    from renderers.window import OpenCVWindow

GuiThread: TypeAlias = Literal["auto", "own", "main"]

_STEP_S: Final = 0.015
"""Between two looks at windows and keys."""
_NUDGES_S: Final = (0.2, 1.0)
"""After opening a window, when to tell Qt again that it is there."""
_CALL_TIMEOUT_S: Final = 15.0

_log = logging.getLogger("avatarkit_rtc")
_lock = threading.Lock()
_gui: Gui | None = None


def get_gui(kind: GuiThread) -> Gui:
    """The user interface of this process, made at the first call.

    Raises:
        DisplayError: no window can be opened here, or not from this thread.
        MissingDependencyError: OpenCV is missing.
    """
    global _gui  # noqa: PLW0603 - one per process, as the toolkit is
    wanted = ("main" if sys.platform == "darwin" else "own") if kind == "auto" else kind
    if wanted == "main" and threading.current_thread() is not threading.main_thread():
        raise DisplayError(
            "here windows live on the main thread: make and show the window there, "
            "that is, run asyncio.run() on the main thread"
        )
    available, reason = display_available()
    if not available:
        kind_of = MissingDependencyError if reason.startswith("OpenCV could not be loaded") else DisplayError
        raise kind_of(f"no window can be opened: {reason}; HeadlessSink and Recorder need no display")
    with _lock:
        if _gui is None:
            try:
                _gui = OwnThreadGui() if wanted == "own" else MainThreadGui()
            except ImportError as error:
                raise MissingDependencyError(opencv_hint(error)) from error
        if _gui.kind != wanted:
            raise DisplayError(
                f"this process opened its first window with gui={_gui.kind!r}; OpenCV serves one thread, "
                "so all its windows must have the same"
            )
        if _gui.lost:
            raise DisplayError("the display has gone away; windows need a new process")
        return _gui


class Gui:
    """What both kinds share: the windows, and one step of work on them."""

    kind: str = ""

    def __init__(self) -> None:
        import cv2

        self.cv2 = cv2
        self.lost = False
        """The display has gone away; nothing of OpenCV's windows may be called any more."""
        self._watch = DisplayWatch()
        self.x11: XConnection | None = None
        """Our own way to the X server, from the first window on; it does nothing on other systems."""
        self._nudges: list[tuple[float, int]] = []
        self._windows: list[OpenCVWindow] = []
        self._number = 0
        atexit.register(self.stop)

    def call(self, work: Callable[[], Any]) -> None:
        """Run ``work`` on the thread of the user interface and wait for it.

        Raises:
            DisplayError: it did not answer.
        """
        raise NotImplementedError

    def wake(self) -> None:
        """There is a new picture. From any thread."""

    def stop(self) -> None:
        """Close all windows for good; at the end of the process."""
        raise NotImplementedError

    def new_name(self) -> str:
        """A name no other window of this process has; OpenCV knows windows by their names."""
        self._number += 1
        return f"avatarkit-rtc-{os.getpid()}-{self._number}"

    def add(self, window: OpenCVWindow) -> None:
        """Serve ``window``. On the thread of the user interface."""
        self._windows.append(window)

    def add_window(self, name: str) -> int:
        """OpenCV has just made a window that is still titled by its ``name``: see that it is painted. On the
        thread of the user interface.

        Returns:
            Its number under X; 0 elsewhere.
        """
        if self.x11 is None:
            self.x11 = XConnection()
        number = self.x11.find(name)
        self.x11.tell(number)
        later = [(time.monotonic() + delay, number) for delay in _NUDGES_S]
        self._nudges = sorted(self._nudges + later)
        return number

    def remove(self, window: OpenCVWindow) -> None:
        """Close ``window`` on the screen. On the thread of the user interface."""
        if window not in self._windows:
            return
        self._windows.remove(window)
        if not self.lost:
            with contextlib.suppress(self.cv2.error):
                self.cv2.destroyWindow(window.name)
                self.cv2.pollKey()

    def step(self) -> None:
        """Put new pictures on the screen, take keys, notice windows that were closed."""
        if not self._windows:
            return
        if not self._watch.alive():
            self.lost = True
            _log.warning("the display has gone away; its windows are closed")
            for window in list(self._windows):
                self._windows.remove(window)
                window.ended("display-lost")
            return
        while self.x11 is not None and self._nudges and self._nudges[0][0] <= time.monotonic():
            self.x11.tell(self._nudges.pop(0)[1])
        for window in list(self._windows):
            try:
                window.put_picture()
            except Exception as error:
                self._end(window, f"failed: {error}")
        key = self.cv2.pollKey()
        for window in list(self._windows):
            if not window.visible():
                self._end(window, "closed")
            elif key >= 0 and window.key(key):
                self._end(window, "key")

    def _end(self, window: OpenCVWindow, why: str) -> None:
        self.remove(window)
        window.ended(why)

    def _close_all(self) -> None:
        for window in list(self._windows):
            self.remove(window)
            window.ended("exit")
        self._watch.close()
        if self.x11 is not None:
            self.x11.close()


class OwnThreadGui(Gui):
    """The user interface on a thread of its own."""

    kind = "own"

    def __init__(self) -> None:
        super().__init__()
        self._wake = threading.Condition()
        self._pending: list[tuple[Callable[[], Any], threading.Event, list[BaseException]]] = []
        self._fresh = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="avatarkit-gui", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], Any]) -> None:
        """See :meth:`Gui.call`."""
        if threading.current_thread() is self._thread:
            work()
            return
        done = threading.Event()
        raised: list[BaseException] = []
        with self._wake:
            if self._stopping:
                return
            self._pending.append((work, done, raised))
            self._wake.notify()
        if not done.wait(_CALL_TIMEOUT_S):
            raise DisplayError(
                "the window system does not answer; is another thread using OpenCV's windows, or was PyAV "
                "(av) imported before OpenCV? Then import cv2 first"
            )
        if raised:
            raise raised[0]

    def wake(self) -> None:
        """See :meth:`Gui.wake`."""
        with self._wake:
            self._fresh = True
            self._wake.notify()

    def stop(self) -> None:
        """See :meth:`Gui.stop`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(2.0)

    def _run(self) -> None:
        while True:
            with self._wake:
                if not (self._pending or self._fresh or self._stopping):
                    # Without a window there is nothing to look after.
                    self._wake.wait(_STEP_S if self._windows else None)
                pending, self._pending, self._fresh = self._pending, [], False
                stopping = self._stopping
            for work, done, raised in pending:
                try:
                    work()
                except Exception as error:
                    raised.append(error)
                done.set()
            if stopping:
                self._close_all()
                return
            try:
                self.step()
            except Exception:
                _log.exception("the window thread met an error")


class MainThreadGui(Gui):
    """The user interface on the main thread, worked on by its event loop between other things."""

    kind = "main"

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, work: Callable[[], Any]) -> None:
        """See :meth:`Gui.call`."""
        if threading.current_thread() is not threading.main_thread():
            raise DisplayError("here windows live on the main thread: call this there")
        work()
        self.attach()

    def attach(self) -> None:
        """Let the event loop that runs now, if one does, look after the windows."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._loop is not loop:
            self._loop = loop
            self._tick(loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            return
        if not self._windows:
            self._loop = None
            return
        loop.call_later(_STEP_S, self._tick, loop)
        self.step()

    def stop(self) -> None:
        """See :meth:`Gui.stop`."""
        self._close_all()
