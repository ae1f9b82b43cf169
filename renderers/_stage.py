"""What a window puts on the screen: the face's picture, scaled to the window, and what is laid over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from renderers.face import Image

DIMMED: Final = 0.42
"""How much of its light a face loses while it is a still."""

_PANEL_SHADE: Final = 0.32
"""What is left of the picture's light under the figures."""
_LINES_PER_HEIGHT: Final = 34
_MIN_LINE, _MAX_LINE = 14, 30
"""Pixels from one line of figures to the next."""
_TEXT: Final = (235, 240, 235)
_SIGN: Final = (255, 255, 255)


def fit(picture: tuple[int, int], window: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a picture goes in a window, with its proportions kept: x, y, width, height in pixels.

    Args:
        picture: width and height of the picture.
        window: width and height of the window's inside.
    """
    scale = min(window[0] / picture[0], window[1] / picture[1])
    width = min(window[0], max(1, round(picture[0] * scale)))
    height = min(window[1], max(1, round(picture[1] * scale)))
    return (window[0] - width) // 2, (window[1] - height) // 2, width, height


class Stage:
    """Puts the pictures of one window together. One thread at a time."""

    def __init__(self, bars: tuple[int, int, int] = (0, 0, 0)) -> None:
        """
        Args:
            bars: colour of what the picture leaves free, blue-green-red.
        """
        import cv2

        self._cv2: Any = cv2
        self._bars = bars
        self._canvas: Image = np.empty((0, 0, 3), np.uint8)
        self._drawn_over = False
        self._place = (0, 0, 0, 0)

    def compose(
        self, picture: Image, window: tuple[int, int], *, gone: float = 0.0, panel: Image | None = None
    ) -> Image:
        """The picture of the whole window.

        Args:
            picture: the face, shape (height, width, 3), blue-green-red; it is not changed.
            window: width and height of the window's inside in pixels.
            gone: 0 to 1, how far the face is dimmed, with the sign of a lost connection.
            panel: figures to lay over the upper left corner, as :meth:`panel` makes them.

        Returns:
            Shape (window height, window width, 3). ``picture`` itself where there is nothing to do; else an
            array that the next call writes into.
        """
        height, width = picture.shape[:2]
        if (width, height) == window and gone <= 0 and panel is None:
            return picture
        place = fit((width, height), window)
        canvas = self._cleared(window, place)
        x, y, w, h = place
        into = canvas[y : y + h, x : x + w]
        if (w, h) == (width, height):
            into[:] = picture
        else:
            smaller = w < width
            how = self._cv2.INTER_AREA if smaller else self._cv2.INTER_LINEAR
            self._cv2.resize(picture, (w, h), dst=into, interpolation=how)
        if gone > 0:
            self._cv2.convertScaleAbs(into, dst=into, alpha=1 - DIMMED * min(1.0, gone))
            self._sign(into, min(1.0, gone))
        if panel is not None:
            self._lay_over(canvas, panel)
        self._drawn_over = panel is not None
        return canvas

    def panel(self, lines: Sequence[str], window_height: int) -> Image:
        """``lines`` in light letters on black, sized for a window of that height in pixels."""
        cv2 = self._cv2
        step = min(_MAX_LINE, max(_MIN_LINE, window_height // _LINES_PER_HEIGHT))
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, step / 34
        width = max((cv2.getTextSize(line, font, scale, 1)[0][0] for line in lines), default=0)
        image: Image = np.zeros((step * len(lines) + step // 2, width + step, 3), np.uint8)
        for number, line in enumerate(lines, 1):
            at = (step // 2, number * step)
            cv2.putText(image, line, at, font, scale, _TEXT, 1, cv2.LINE_AA)
        return image

    def _cleared(self, window: tuple[int, int], place: tuple[int, int, int, int]) -> Image:
        width, height = window
        if self._canvas.shape[:2] != (height, width):
            self._canvas = np.empty((height, width, 3), np.uint8)
            self._drawn_over = True
        if self._drawn_over or place != self._place:
            self._canvas[:] = self._bars
        self._place = place
        return self._canvas

    def _lay_over(self, canvas: Image, panel: Image) -> None:
        height, width = (min(a, b) for a, b in zip(canvas.shape[:2], panel.shape[:2], strict=True))
        under = canvas[:height, :width]
        over = panel[:height, :width]
        under[:] = self._cv2.addWeighted(under, _PANEL_SHADE, over, 1.0, 0)

    def _sign(self, into: Image, strength: float) -> None:
        """Three waves, crossed out, in the lower right corner."""
        cv2 = self._cv2
        side = max(18, round(0.07 * min(into.shape[:2])))
        if min(into.shape[:2]) < 2 * side:
            return
        under = into[-side - side // 2 : -side // 2, -side - side // 2 : -side // 2]
        drawn = under.copy()
        # In sixteenths of a pixel, for smooth edges.
        shift, unit = 4, side * 16 / 100
        thick = max(1, round(side / 14))
        foot = (round(50 * unit), round(82 * unit))
        for radius in (20, 40, 60):
            axes = (round(radius * unit), round(radius * unit))
            cv2.ellipse(drawn, foot, axes, 0, 225, 315, _SIGN, thick, cv2.LINE_AA, shift)
        cv2.circle(drawn, foot, round(6 * unit), _SIGN, -1, cv2.LINE_AA, shift)
        ends = (round(18 * unit), round(88 * unit)), (round(82 * unit), round(16 * unit))
        cv2.line(drawn, *ends, _SIGN, thick, cv2.LINE_AA, shift)
        under[:] = cv2.addWeighted(drawn, 0.8 * strength, under, 1 - 0.8 * strength, 0)
