"""What is drawn on top of a painted picture: lights that eyes mirror, and lashes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats, Indices

_SHIFT: Final = 4


@dataclass(frozen=True, slots=True)
class Glint:
    """The image of a lamp on a shiny surface: a small bright spot, seen where shiny quads are."""

    x: float
    y: float
    radius: float
    """Pixels."""
    strength: float
    """0 to 1: white in the middle."""


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A thin dark shape over the skin, such as lashes: seen where quads are that strokes may cover."""

    outline: Floats
    """Shape (n, 2), pixels."""
    color: tuple[int, int, int]
    """Blue, green, red."""
    strength: float
    """0 to 1."""


def draw_glint(
    glint: Glint,
    shiny: npt.NDArray[np.bool_],
    ids: Indices,
    region: npt.NDArray[np.uint8],
    corner: tuple[int, int],
) -> None:
    """Draw ``glint`` onto ``region``.

    Args:
        glint: In pixels of the whole picture.
        shiny: Which ids it is seen on.
        ids: What each pixel of the region shows, shape (height, width).
        region: A part of the picture, shape (height, width, 3).
        corner: x and y of the region in the picture.
    """
    reach = 2.2 * glint.radius
    x, y = glint.x - corner[0], glint.y - corner[1]
    rows = slice(max(0, int(y - reach)), max(0, int(y + reach) + 1))
    columns = slice(max(0, int(x - reach)), max(0, int(x + reach) + 1))
    seen = ids[rows, columns]
    if not seen.size:
        return
    down = (np.arange(rows.start, rows.start + seen.shape[0]) + 0.5 - y)[:, None]
    across = (np.arange(columns.start, columns.start + seen.shape[1]) + 0.5 - x)[None]
    # Flat in the middle, soft at the rim.
    bright = glint.strength * np.exp(-(((down**2 + across**2) / glint.radius**2) ** 1.5))
    amount = (bright * shiny[seen])[:, :, None]
    patch = region[rows, columns]
    patch[:] = np.rint(patch + (255.0 - patch) * amount)


def draw_stroke(
    stroke: Stroke,
    covered: npt.NDArray[np.bool_],
    ids: Indices,
    region: npt.NDArray[np.uint8],
    corner: tuple[int, int],
) -> None:
    """Draw ``stroke`` where the ids are ``covered``; the rest as :func:`draw_glint`."""
    import cv2

    outline = stroke.outline - np.array(corner)
    high, wide = ids.shape
    low_x, low_y = outline.min(0).tolist()
    high_x, high_y = outline.max(0).tolist()
    left, top = max(0, math.floor(low_x) - 1), max(0, math.floor(low_y) - 1)
    right, bottom = min(wide, math.ceil(high_x) + 2), min(high, math.ceil(high_y) + 2)
    if left >= right or top >= bottom:
        return
    mask = np.zeros((bottom - top, right - left), np.uint8)
    fixed = np.rint((outline - (left + 0.5, top + 0.5)) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SHIFT)
    allowed = covered[ids[top:bottom, left:right]]
    amount = (mask * np.float32(stroke.strength / 255) * allowed)[:, :, None]
    patch = region[top:bottom, left:right]
    patch[:] = np.rint(patch + (np.array(stroke.color, np.float32) - patch) * amount)
