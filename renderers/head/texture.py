"""The picture that is laid around the figure: where each part lies in it, and how its texels are filled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.assemble import PARTS
from renderers.head.asset import Floats
from renderers.head.figure import Figure

_GAP: Final = 4
"""Texels between the parts."""

_BOXES: Final[dict[str, tuple[int, int, int, int]]] = {
    "head": (0, 0, 1020, 582),
    "torso": (0, 588, 988, 551),
    "sheet": (1026, 0, 640, 420),
    "eye": (1026, 426, 160, 160),
    "upper_teeth": (1192, 426, 320, 120),
    "lower_teeth": (1192, 552, 320, 120),
    "tongue": (1026, 592, 64, 64),
    "cavity": (1096, 592, 64, 64),
    "lining": (1026, 662, 64, 64),
}
"""Left, top, width and height of each part at a picture of 512 pixels."""
_WIDTH, _HEIGHT = 1668, 1141


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of the parts in the texture, in texels."""

    scale: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return math.ceil(_HEIGHT * self.scale), math.ceil(_WIDTH * self.scale), 3

    def box(self, part: str) -> tuple[int, int, int, int]:
        """Left, top, width, height."""
        left, top, width, height = (round(side * self.scale) for side in _BOXES[part])
        return left, top, width, height

    def place(self, figure: Figure) -> Floats:
        """Corners of the figure's quads in the texture, in texels (0 is the first texel's middle)."""
        uvs = np.empty_like(figure.uvs)
        for number, part in enumerate(PARTS):
            own = figure.parts == number
            left, top, width, height = self.box(part)
            inner = np.array([width - 1, height - 1], np.float32)
            uvs[own] = figure.uvs[own] * inner + np.array([left, top], np.float32)
        return uvs


def texture_scale(size: tuple[int, int]) -> float:
    """Texels per texel of a picture of 512: fine enough for ``size``, within what is worth its memory."""
    return min(1.5, max(0.5, min(size) * 0.75 / 512))


def spread(corners: Floats, values: Floats, width: int, height: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Values of the corners of quads, spread over a picture of them.

    Args:
        corners: Shape (m, 4, 2), pixels.
        values: Shape (m, 4, c).

    Returns:
        Shape (height, width, c), and which pixels lie in a quad or near one. Those near one get its values,
        so that looking up between pixels finds no foreign ones.
    """
    import cv2

    numbers = np.zeros((height, width), np.int32)
    for number, quad in enumerate(np.rint(corners * 16).astype(np.int32), 1):
        cv2.fillConvexPoly(numbers, quad, number, 8, 4)
    covered = numbers != 0
    # Each pixel outside takes the number of the nearest one inside (that is near).
    distance, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(labels.max()) + 1, np.int32)
    owner[labels[covered]] = numbers[covered]
    near = distance < 12
    filled = np.where(near, owner[labels], 0)
    middle = corners.mean(1, keepdims=True)
    away = corners - middle
    dx, dy = away[:, :, 0], away[:, :, 1]
    xx = (dx * dx).sum(1, keepdims=True) + 0.05
    yy = (dy * dy).sum(1, keepdims=True) + 0.05
    xy = (dx * dy).sum(1, keepdims=True)
    scale = 1 / (xx * yy - xy * xy)
    step_x = (values * ((yy * dx - xy * dy) * scale)[:, :, None]).sum(1)
    step_y = (values * ((xx * dy - xy * dx) * scale)[:, :, None]).sum(1)
    rows, columns = np.nonzero(filled)
    ids = filled[rows, columns] - 1
    # Outside, the plane is held at the border: it would run off.
    reach = 1.0
    at_x = np.clip(columns - middle[ids, 0, 0], dx.min(1)[ids] - reach, dx.max(1)[ids] + reach)
    at_y = np.clip(rows - middle[ids, 0, 1], dy.min(1)[ids] - reach, dy.max(1)[ids] + reach)
    result = np.zeros((height, width, values.shape[2]), np.float32)
    result[rows, columns] = values.mean(1)[ids] + step_x[ids] * at_x[:, None] + step_y[ids] * at_y[:, None]
    return result, filled != 0
