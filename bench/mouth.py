"""How far a mouth is open, as seen in the picture: the lips are found by their colour."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MIDDLE: Final = (0.465, 0.535)
"""Columns that are looked at, as shares of the width: the middle of the lips, away from their corners."""
_ROWS: Final = (0.35, 0.8)
"""Rows among which the lips of the resting face are looked for, as shares of the height."""
_EDGE: Final = 0.025
"""Less skin than this, as a share of the height, is an edge."""
_REACH: Final = 0.10
"""So far above and below these, as a share of the height, they are looked for in other pictures."""
_LIP_REDNESS: Final = 0.66
"""Lips have less green than this to their red; skin has more."""
_LIP_BRIGHTNESS: Final = 90
_SKIN_REDNESS: Final = 0.86
"""Teeth have more green than this to their red."""
_SKIN_BRIGHTNESS: Final = 105
"""The inside of the mouth is darker."""


class MouthSeen:
    """Measures pictures of one face."""

    def __init__(self, resting: npt.NDArray[np.uint8]) -> None:
        """``resting``: a picture of the face with its lips closed, shape (height, width, 3), BGR.

        Raises:
            ValueError: there are no lips in it.
        """
        height, width = resting.shape[:2]
        self._columns = slice(round(_MIDDLE[0] * width), round(_MIDDLE[1] * width))
        rows = slice(round(_ROWS[0] * height), round(_ROWS[1] * height))
        share = _lips(resting[rows, self._columns]).mean(axis=1)
        if share.max() < 0.5:
            raise ValueError("no lips are to be seen")
        middle = rows.start + int(share.argmax())
        reach = round(_REACH * height)
        self._rows = slice(middle - reach, middle + round(1.6 * reach))
        self._closed = 0.0
        self._closed = self.opening(resting)

    def opening(self, picture: npt.NDArray[np.uint8]) -> float:
        """Height of the mouth from the upper lip's upper to the lower lip's lower edge, in pixels, beyond
        that of the resting one: all that is no skin below the upper lip's edge."""
        part = picture[self._rows, self._columns]
        # A row or two like skin are the blurred edge between lip and teeth.
        lips, skin = _lips(part), _lasting(_skin(part), max(2, round(_EDGE * len(picture))))
        heights = []
        for column in range(lips.shape[1]):
            first = int(lips[:, column].argmax())
            if lips[first, column]:
                below = skin[first:, column]
                heights.append(int(below.argmax()) if below.any() else len(below))
        return float(np.mean(heights)) - self._closed if heights else 0.0


def _lips(picture: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    green, red = picture[..., 1].astype(np.float32), picture[..., 2].astype(np.float32)
    lips: npt.NDArray[np.bool_] = (red > _LIP_BRIGHTNESS) & (green < _LIP_REDNESS * red)
    return lips


def _lasting(skin: npt.NDArray[np.bool_], rows: int) -> npt.NDArray[np.bool_]:
    """Where skin begins that goes on for ``rows`` downwards, at least to the end."""
    padded = np.pad(skin, ((0, rows - 1), (0, 0)), constant_values=True)
    lasting: npt.NDArray[np.bool_] = np.lib.stride_tricks.sliding_window_view(padded, rows, axis=0).all(
        axis=-1
    )
    return lasting


def _skin(picture: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    green, red = picture[..., 1].astype(np.float32), picture[..., 2].astype(np.float32)
    inside = (green < _LIP_REDNESS * red) | (green > _SKIN_REDNESS * red) | (red < _SKIN_BRIGHTNESS)
    skin: npt.NDArray[np.bool_] = ~inside
    return skin
