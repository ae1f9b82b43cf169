"""A window that shows the avatar, with OpenCV."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from avatarkit_rtc.errors import AvatarKitError, ConfigurationError, DisplayError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.video.picture import Picture
from renderers._figures import LiveFigures
from renderers._gui import Gui, GuiThread, MainThreadGui, get_gui
from renderers._log import ThinnedLog
from renderers._pace import SLOW_RATE_HZ, Pace
from renderers._screen import Screen
from renderers._still import Still
from renderers._typed_word import TypedWord
from renderers._worker import Worker
from renderers.face import DEFAULT_FACE, DEFAULT_SIZE, Face, Image, check_size, hearing, hush, make_face

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.player import AvatarPlayer

WhenLost: TypeAlias = Literal["still", "live"]

DEFAULT_RATE_HZ: Final = 60.0
"""Poses per second that a window asks for."""

KIOSK_EXIT: Final = "quit"
"""What must be typed to end a kiosk's window."""

_ESCAPE: Final = 27
_NEUTRAL: Final = MotionFrame.neutral()


class OpenCVWindow:
    """A window that shows the newest pose.

    Keys: ``q`` or Esc ends it, as closing it does; ``f`` fills the screen and back; ``i`` shows live figures
    over the picture (pictures a second, delay, jitter, freezes, lip sync, state of the connection) and hides
    them. With ``kiosk`` all of them are off, and so are mouse and cursor under X; typing ``quit`` ends it.

    The face is drawn in the size it was made with and scaled to the window with its proportions kept, so
    that the cost of drawing does not depend on the window; for a large screen, make it larger.

    Pictures are drawn on a thread of the window's own and put on the screen by one thread that all windows
    of the process share for its whole life. Poses that come faster than they can be drawn are skipped; a
    window that cannot draw the 60 a second that it asks for within some two thirds of the time draws every
    second one, until it can (:attr:`rate_hz`, :attr:`slowdowns`).

    **While the network is gone** (two seconds after the connection was lost, or could not be made) the face
    is held as a still, at rest, its eyes open, dimmed and with a small sign in a corner, and lives on when
    the connection is back. What belongs on the screen then is for a program to say: ``when_lost="live"``
    lets the face breathe and blink as if nothing had happened.

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
        kiosk: bool = False,
        when_lost: WhenLost = "still",
        render_rate_hz: float | None = DEFAULT_RATE_HZ,
        bars: tuple[int, int, int] = (0, 0, 0),
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
            kiosk: Fill the screen, without the window's own keys, and under X without mouse, cursor, screen
                saver and power saving of the screen.
            when_lost: ``"still"``: a dimmed still while the connection is lost; ``"live"``: nothing of the
                kind.
            render_rate_hz: Poses per second that the player is asked for, interpolated; None for one per
                frame of the stream, 25 a second.
            bars: Colour of what the picture leaves free in the window, blue-green-red, 0 to 255.
            on_close: Called once when the user (or the loss of the display) has ended the window, not by
                :meth:`close`; on the thread of the windows.
            on_key: Called with the code of each key but the window's own; on the thread of the windows.
                OpenCV does not say in which window a key was pressed: with several windows each of them
                gets it.
            gui: ``"own"``: windows have a thread of their own; ``"main"``: they live on the main thread (all
                that macOS allows); ``"auto"``: what fits the system.

        Raises:
            DisplayError: no window can be opened here; the message says why.
            MissingDependencyError: OpenCV cannot be loaded.
            ConfigurationError: an argument cannot be right.
        """
        _check(when_lost, render_rate_hz, bars)
        self._face = chosen = _drawing_face(face, check_size(size))
        self._hear = hearing(chosen)
        if self._hear is not None:
            self.sound = self._sound
        self._title = title
        self._fullscreen = fullscreen or kiosk
        self._kiosk = kiosk
        self._on_close = on_close
        self._on_key = on_key
        self._log = ThinnedLog(logging.getLogger("avatarkit_rtc"))
        self._lock = threading.Lock()
        self._picture: Image | None = None
        self._video = False  # what was drawn last is a video avatar's picture
        self._closed = False
        self._overwritten = 0
        self.render_rate_hz: float | None = render_rate_hz
        """Poses per second that the player is asked for."""
        self.shown = 0
        """Poses and pictures of a video avatar shown."""
        self.drawn = 0
        """Pictures of poses that came to the screen."""
        self.left_out = 0
        """Poses that were not to be drawn: every second one where drawing is slow, and all during a still."""
        self.end_reason: str | None = None
        """Why the window ended by itself: key, closed, display-lost, exit (of the process) or failed."""
        self._figures = LiveFigures()
        self._pace = Pace(render_rate_hz)
        self._still = Still() if when_lost == "still" else None
        self._opened = time.monotonic()
        self._last = (0.0, self._opened)
        self._exit = TypedWord(KIOSK_EXIT)
        self._gui: Gui = get_gui(gui)
        self.name = self._gui.new_name()
        """What OpenCV knows the window by."""
        self._screen = Screen(self._gui, self.name, chosen.size, bars)
        self._worker: Worker[Pose | Picture] = Worker(
            "avatarkit-window", self._draw, max_queue=1, log=self._log
        )
        try:
            self._picture = self._face.render(Pose(0.0, PoseKind.IDLE, _NEUTRAL))
            self._gui.call(self._open)
        except AvatarKitError:
            self._worker.close()
            raise
        except Exception as error:
            self._worker.close()
            raise DisplayError(f"the window could not be opened: {error}") from error

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

    @property
    def rate_hz(self) -> float:
        """Poses per second that are drawn at most, now."""
        return min(SLOW_RATE_HZ, self._pace.full_rate_hz) if self._pace.slow else self._pace.full_rate_hz

    @property
    def slowdowns(self) -> int:
        """Times the window went to half the rate because drawing was too slow."""
        return self._pace.slowdowns

    @property
    def drawing_ms(self) -> float:
        """Median time it took to draw the last pictures, milliseconds."""
        return 1000 * self._pace.drawing_s

    @property
    def stills(self) -> int:
        """Times the face was held as a still because the connection was gone."""
        return self._still.count if self._still is not None else 0

    @property
    def figures(self) -> bool:
        """Whether the live figures are shown; may be set at any time."""
        return self._figures.on

    @figures.setter
    def figures(self, on: bool) -> None:
        self._figures.on = bool(on)

    @property
    def fullscreen(self) -> bool:
        """Whether it is to fill the screen."""
        return self._screen.fullscreen

    def stats(self) -> dict[str, Any]:
        """The window's figures by name, ready for JSON, and the ``seconds`` since it was opened."""
        names = ("shown", "drawn", "skipped", "left_out", "errors", "rate_hz", "slowdowns", "stills")
        figures = {name: getattr(self, name) for name in names}
        return figures | {"drawing_ms": self.drawing_ms, "seconds": time.monotonic() - self._opened}

    def attached(self, player: AvatarPlayer) -> None:
        """``player`` shows its poses here: its figures are shown on a key."""
        self._figures.player = player

    def connection_state(self, state: str) -> None:
        """The player's connection is in ``state`` now."""
        if self._still is not None:
            self._still.connection(state)
        self._figures.ask(at_once=True)

    def show(self, pose: Pose) -> None:
        """Show ``pose``; never blocks. Ignored once closed."""
        if self._closed:
            return
        self.shown += 1
        if isinstance(self._gui, MainThreadGui):
            self._gui.attach()
        self._figures.ask()
        if (self._still is not None and self._still.held) or not self._pace.due(pose.t):
            self.left_out += 1
            return
        self._last = (pose.t, time.monotonic())
        self._worker.put(pose)

    def show_picture(self, picture: Picture) -> None:
        """Show a video avatar's picture in place of the face; never blocks. Ignored once closed."""
        if self._closed:
            return
        self.shown += 1
        if isinstance(self._gui, MainThreadGui):
            self._gui.attach()
        self._figures.ask()
        self._worker.put(picture)

    def _sound(self, block: AudioBlock) -> None:
        """The avatar's sound, for a face that speaks by it."""
        if not self._closed and self._hear is not None:
            self._hear(block)

    def flushed(self) -> None:
        """The user has interrupted the avatar."""
        hush(self._face)

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

    def _draw(self, item: Pose | Picture) -> None:
        self._video = isinstance(item, Picture)
        if isinstance(item, Picture):
            picture = item.bgr()
        else:
            began = time.perf_counter()
            picture = self._face.render(item)
            self._pace.drawn(time.perf_counter() - began, time.monotonic())
        with self._lock:
            if self._picture is not None:
                self._overwritten += 1
            self._picture = picture
        self._gui.wake()

    # -- on the thread of the windows -----------------------------------------------------------------------

    def _open(self) -> None:
        self._screen.open(self._title, kiosk=self._kiosk)
        self._gui.add(self)
        if self._fullscreen:
            self._screen.fill(True)
        self.put_picture()
        self._gui.cv2.pollKey()

    def put_picture(self) -> None:
        """Put on the screen what is new, if anything is."""
        now = time.monotonic()
        gone = self._follow_connection(now) if self._still is not None else 0.0
        panel = self._figures.panel(now, self._screen, self._pace)
        with self._lock:
            picture, self._picture = self._picture, None
        if self._screen.put(picture, gone=gone, panel=panel) and picture is not None:
            self.drawn += 1

    def _follow_connection(self, now: float) -> float:
        assert self._still is not None
        if self._still.step(now, self._blinks()) and not self._video:
            t, shown_at = self._last
            self._worker.put(Pose(t + now - shown_at, PoseKind.IDLE, _NEUTRAL))
        return self._still.gone(now)

    def _blinks(self) -> int:
        return int(getattr(getattr(self._face, "driver", None), "blinks", 0))

    def visible(self) -> bool:
        """Whether the window is still there (minimised counts)."""
        return self._screen.visible()

    def key(self, code: int) -> bool:
        """A key was pressed; True if it ends the window."""
        letter = chr(code & 0xFF).lower()
        if self._kiosk:
            if self._exit.key(letter):
                return True
        elif code & 0xFF == _ESCAPE or letter == "q":
            return True
        elif letter == "f":
            self._screen.fill(not self._screen.fullscreen)
            return False
        elif letter == "i":
            self.figures = not self.figures
            return False
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


def _drawing_face(face: str | Face, size: tuple[int, int]) -> Face:
    chosen = make_face(face, size)
    if chosen is None:
        raise ConfigurationError("a window needs a face that draws: face='head', for instance")
    return chosen


def _check(when_lost: str, render_rate_hz: float | None, bars: tuple[int, int, int]) -> None:
    if when_lost not in ("still", "live"):
        raise ConfigurationError(f"when_lost is 'still' or 'live', not {when_lost!r}")
    if render_rate_hz is not None and not 1 <= render_rate_hz <= 1000:
        raise ConfigurationError(f"render_rate_hz must be 1 to 1000, or None, not {render_rate_hz!r}")
    if len(bars) != 3 or not all(0 <= part <= 255 for part in bars):
        raise ConfigurationError(f"bars must be (blue, green, red), 0 to 255 each, not {bars!r}")
