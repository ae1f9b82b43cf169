"""A window as OpenCV has it: opened, resized, filling the screen. All of it on the thread of the windows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from renderers._stage import Stage

if TYPE_CHECKING:
    from renderers._gui import Gui
    from renderers.face import Image

_FILL_AFTER_S: Final = 0.3
"""So long after asking for the full screen it is seen to that it came."""
_AWAKE_EVERY_S: Final = 20.0
"""A kiosk's screen is kept from going dark so often; screen savers wait for a minute at least."""
_MAX_SIDE: Final = 16384


class Screen:
    """One window on the screen, and the pictures that are put on it."""

    def __init__(self, gui: Gui, name: str, size: tuple[int, int], bars: tuple[int, int, int]) -> None:
        """
        Args:
            gui: who owns the thread of the windows.
            name: what OpenCV knows the window by.
            size: width and height of the window at first, pixels.
            bars: colour around the picture, blue-green-red.
        """
        self._gui = gui
        self._cv2 = gui.cv2
        self._name = name
        self._first_size = size
        self._before: tuple[int, int] | None = None
        self._fill_at: float | None = None
        self._awake_at: float | None = None
        self._number = 0
        self._stage = Stage(bars)
        self._face: Image | None = None
        self._shown: tuple[object, ...] = ()
        self.fullscreen = False
        """Whether it is to fill the screen."""
        self.pictures = 0
        """New pictures of the face that came to the screen."""
        self._empty = True

    def open(self, title: str, *, kiosk: bool) -> None:
        """Open the window; ``kiosk``, under X, takes cursor and mouse from it and keeps the screen from going
        dark."""
        cv2 = self._cv2
        # The proportions are kept here: OpenCV would leave the rest of the window to the toolkit's grey.
        cv2.namedWindow(self._name, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        self._number = self._gui.add_window(self._name)
        cv2.setWindowTitle(self._name, title)
        cv2.resizeWindow(self._name, *self._first_size)
        if kiosk and self._gui.x11 is not None:
            self._gui.x11.cover(self._number)
            self._awake_at = 0.0

    def fill(self, on: bool) -> None:
        """Fill the screen, or no longer."""
        cv2 = self._cv2
        if on:
            self._before = self.size
        cv2.setWindowProperty(
            self._name, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN if on else cv2.WINDOW_NORMAL
        )
        self.fullscreen = on
        self._fill_at = time.monotonic() + _FILL_AFTER_S

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the window's inside in pixels."""
        # OpenCV 4 with Qt says how large the picture is in it, which need not fill it.
        known = self._gui.x11.size(self._number) if self._gui.x11 is not None else None
        if known is not None:
            return known
        _, _, width, height = self._cv2.getWindowImageRect(self._name)
        if 1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE:
            return int(width), int(height)
        return self._first_size  # minimised, or a toolkit that does not say

    def put(self, picture: Image | None, *, gone: float, panel: Image | None) -> bool:
        """Put ``picture``, or the last one again if it is to look different now, on the screen.

        Args:
            picture: a new one of the face; None if there is none.
            gone: 0 to 1, how far it is dimmed.
            panel: figures to lay over it; another array when they have changed.

        Returns:
            Whether anything was put up.
        """
        if picture is not None:
            self._face = picture
        if self._face is None or not (self._empty or self.visible()):
            return False  # imshow would open a closed window again
        now = time.monotonic()
        if self._fill_at is not None and now >= self._fill_at:
            self._without_manager()
        if self._awake_at is not None and now >= self._awake_at and self._gui.x11 is not None:
            self._awake_at = now + _AWAKE_EVERY_S
            self._gui.x11.keep_awake()
        size = self.size
        shown = (size, gone, panel)
        same = len(self._shown) == 3 and shown[:2] == self._shown[:2] and panel is self._shown[2]
        if picture is None and same:
            return False
        self._shown = shown
        self._cv2.imshow(self._name, self._stage.compose(self._face, size, gone=gone, panel=panel))
        self._empty = False
        self.pictures += picture is not None
        return True

    def panel(self, lines: list[str]) -> Image:
        """``lines`` of figures as :meth:`put` takes them."""
        return self._stage.panel(lines, self.size[1])

    def visible(self) -> bool:
        """Whether the window is still there (minimised counts)."""
        try:
            return bool(self._cv2.getWindowProperty(self._name, self._cv2.WND_PROP_VISIBLE) >= 1)
        except self._cv2.error:
            return False

    def _without_manager(self) -> None:
        """Where no window manager does what was asked for."""
        self._fill_at = None
        screen = self._gui.x11.unmanaged_screen() if self._gui.x11 is not None else None
        if screen is None:
            return
        if self.fullscreen:
            self._cv2.moveWindow(self._name, 0, 0)
            self._cv2.resizeWindow(self._name, *screen)
        elif self._before is not None:
            self._cv2.resizeWindow(self._name, *self._before)
