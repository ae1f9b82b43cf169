"""A window that shows the avatar, with OpenCV."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from avatarkit_rtc.errors import AvatarKitError, ConfigurationError, DisplayError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers._gui import Gui, GuiThread, MainThreadGui, get_gui
from renderers._log import ThinnedLog
from renderers._worker import Worker
from renderers.face import DEFAULT_FACE, DEFAULT_SIZE, Face, Image, check_size, hearing, make_face

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock

_ESCAPE: Final = 27


class OpenCVWindow:
    """A window that shows the newest pose; ``q``, Esc or closing it ends it.

    Pictures are drawn on a thread of the window's own and put on the screen by one thread that all windows
    of the process share for its whole life. Poses that come faster than they can be drawn are skipped.
    Where a program uses OpenCV's windows itself, it must not do so beside this class: OpenCV serves one
    thread only.

    **macOS** allows windows on the main thread only. There the window must be made on the main thread, and
    the event loop running on it (``asyncio.run()``) looks after the window; a program without such a loop
    calls :meth:`pump` some 30 times a second.

    **Without a display** making a window raises :class:`~avatarkit_rtc.errors.DisplayError`; this is found
    out in a child process, as OpenCV would end the process. **If the display goes away later**, the window
    ends like a closed one. Qt ends the process when it notices first; a watch on the X server makes that
    unlikely, but it stays possible (while Qt is just then talking to the server, and where the server is
    reached by TCP through a tunnel that stays open).
    """

    def __init__(
        self,
        title: str = "avatarkit-rtc",
        *,
        face: str | Face = DEFAULT_FACE,
        size: tuple[int, int] = DEFAULT_SIZE,
        fullscreen: bool = False,
        on_close: Callable[[], object] | None = None,
        on_key: Callable[[int], object] | None = None,
        gui: GuiThread = "auto",
    ) -> None:
        """Open the window, with a neutral face in it. The first window of a process takes about a second.

        Args:
            title: What the title bar says.
            face: A name (see :func:`renderers.make_face`, not ``"null"``) or a face.
            size: Width and height in pixels of the pictures, and of the window at first.
            fullscreen: Fill the screen.
            on_close: Called once when the user (or the loss of the display) has ended the window, not by
                :meth:`close`; on the thread of the windows.
            on_key: Called with the code of each key but ``q`` and Esc; on the thread of the windows. OpenCV
                does not say in which window a key was pressed: with several windows each of them gets it.
            gui: ``"own"``: windows have a thread of their own; ``"main"``: they live on the main thread (all
                that macOS allows); ``"auto"``: what fits the system.

        Raises:
            DisplayError: no window can be opened here; the message says why.
            MissingDependencyError: OpenCV cannot be loaded.
            ConfigurationError: an argument cannot be right.
        """
        size = check_size(size)
        chosen = make_face(face, size)
        if chosen is None:
            raise ConfigurationError("a window needs a face that draws: face='head', for instance")
        self._face = chosen
        self._hear = hearing(chosen)
        if self._hear is not None:
            self.sound = self._sound
        self._title = title
        self._fullscreen = fullscreen
        self._on_close = on_close
        self._on_key = on_key
        self._log = ThinnedLog(logging.getLogger("avatarkit_rtc"))
        self._lock = threading.Lock()
        self._picture: Image | None = None
        self._closed = False
        self._overwritten = 0
        self.shown = 0
        """Poses shown."""
        self.drawn = 0
        """Pictures that came to the screen."""
        self.end_reason: str | None = None
        """Why the window ended by itself: key, closed, display-lost, exit (of the process) or failed."""
        self._gui: Gui = get_gui(gui)
        self.name = self._gui.new_name()
        """What OpenCV knows the window by."""
        self._worker: Worker[Pose] = Worker("avatarkit-window", self._draw, max_queue=1, log=self._log)
        try:
            self._picture = self._face.render(Pose(0.0, PoseKind.IDLE, MotionFrame.neutral()))
            self._gui.call(self._open)
        except AvatarKitError:
            self._worker.close()
            raise
        except Exception as error:
            self._worker.close()
            raise DisplayError(f"the window could not be opened: {error}") from error

    render_rate_hz: float | None = 60.0
    """Poses per second that the player is asked for; set it before the player is made."""

    # -- for the player and the program ---------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """True once the window has ended, by the user, by :meth:`close` or with the display."""
        return self._closed

    @property
    def skipped(self) -> int:
        """Poses that were not drawn, or drawn and not put on the screen, because a newer one was there."""
        return self._overwritten + self._worker.dropped

    @property
    def errors(self) -> int:
        """Poses that the face failed to draw."""
        return self._worker.errors

    def show(self, pose: Pose) -> None:
        """Show ``pose``; never blocks. Ignored once closed."""
        if self._closed:
            return
        self.shown += 1
        if isinstance(self._gui, MainThreadGui):
            self._gui.attach()
        self._worker.put(pose)

    def _sound(self, block: AudioBlock) -> None:
        """The avatar's sound, for a face that speaks by it."""
        if not self._closed and self._hear is not None:
            self._hear(block)

    def pump(self) -> None:
        """Look after the windows on the main thread where no event loop does; elsewhere nothing is to be
        done."""
        if isinstance(self._gui, MainThreadGui):
            self._gui.call(self._gui.step)

    def close(self) -> None:
        """Close the window. More than once is fine; never raises; waits a moment for the screen."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(Exception):
                self._gui.call(lambda: self._gui.remove(self))
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- on the drawing thread ------------------------------------------------------------------------------

    def _draw(self, pose: Pose) -> None:
        picture = self._face.render(pose)
        with self._lock:
            if self._picture is not None:
                self._overwritten += 1
            self._picture = picture
        self._gui.wake()

    # -- on the thread of the windows -----------------------------------------------------------------------

    def _open(self) -> None:
        cv2 = self._gui.cv2
        cv2.namedWindow(self.name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        self._gui.add(self)
        cv2.setWindowTitle(self.name, self._title)
        cv2.resizeWindow(self.name, *self._face.size)
        if self._fullscreen:
            cv2.setWindowProperty(self.name, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN)
        self.put_picture()
        cv2.pollKey()

    def put_picture(self) -> None:
        """Put the newest picture on the screen, if there is a new one."""
        with self._lock:
            picture, self._picture = self._picture, None
        if picture is not None and (self.drawn == 0 or self.visible()):
            # imshow would open a closed window again.
            self._gui.cv2.imshow(self.name, picture)
            self.drawn += 1

    def visible(self) -> bool:
        """Whether the window is still there (minimised counts)."""
        try:
            return bool(self._gui.cv2.getWindowProperty(self.name, self._gui.cv2.WND_PROP_VISIBLE) >= 1)
        except self._gui.cv2.error:
            return False

    def key(self, code: int) -> bool:
        """A key was pressed; True if it ends the window."""
        if code & 0xFF in (_ESCAPE, ord("q"), ord("Q")):
            return True
        if self._on_key is not None:
            try:
                self._on_key(code)
            except Exception as error:
                self._log.warning("on_key", f"OpenCVWindow: on_key raised {type(error).__name__}", error)
        return False

    def ended(self, why: str) -> None:
        """The window has ended by itself."""
        if self._closed:
            return
        self._closed = True
        self.end_reason = why
        if self._on_close is not None and why != "exit":
            try:
                self._on_close()
            except Exception as error:
                self._log.warning("on_close", f"OpenCVWindow: on_close raised {type(error).__name__}", error)
