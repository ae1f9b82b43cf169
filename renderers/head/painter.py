"""Draws a mesh of quads with OpenCV's polygon filler: textured, shaded, with smooth edges.

The way of a picture:

1. Quads that face the viewer are sorted from back to front, and each is filled with its own number into a
   picture of twice the size (``cv2.fillConvexPoly``; what is drawn last is seen, so this is all the hiding
   there is).
2. Over a quad, the place in the texture and the surface's normal are taken as linear in the picture's x and y
   (least squares over its four corners). A table has these planes by number, so numpy finds them for all
   pixels at once.
3. The texture is looked up at its place, and the light in a picture of a lit ball at the normal ("matcap");
   their product is the colour.
4. Where the place in the texture jumps from one pixel to the next there is an edge: only there all four
   numbers per pixel are coloured, and their mean is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats, Indices

_SHIFT: Final = 4
"""Fractional bits of the corners that OpenCV gets."""

_EDGE: Final = 5.0
"""Jump of the place in the texture, in multiples of its usual change per pixel, that counts as an edge."""

_MARGIN: Final = 2
"""Pixels around the drawn quads that are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What does not change from frame to frame about the quads that are drawn."""

    quads: Indices
    """Vertices of each quad, shape (q, 4)."""
    uvs: Floats
    """Place of each corner in the texture, in pixels, shape (q, 4, 2)."""
    balls: Floats
    """Centre of the lit ball of each quad's material in the picture of balls, in pixels, shape (q, 2)."""
    layers: npt.NDArray[np.int32]
    """Quads of a higher layer lie before those of a lower one, whatever their distance, shape (q,)."""


class Painter:
    """Draws one surface into pictures of one size."""

    def __init__(
        self,
        size: tuple[int, int],
        surface: Surface,
        texture: npt.NDArray[np.uint8],
        balls: npt.NDArray[np.uint8],
        ball_radius: float,
        texels_per_pixel: float,
    ) -> None:
        """``size`` is (width, height); ``texture`` and ``balls`` are pictures, blue-green-red."""
        import cv2

        self._cv2: Any = cv2
        self._width, self._height = size
        self._surface = surface
        self._texture, self._balls, self._radius = texture, balls, ball_radius
        self._edge = _EDGE * texels_per_pixel
        width, height = size
        self._numbers = np.zeros((2 * height, 2 * width), np.int32)
        self._x = np.broadcast_to(
            (np.arange(width, dtype=np.float32) + 0.5)[None, :, None], (height, width, 2)
        ).copy()
        self._y = np.broadcast_to(
            (np.arange(height, dtype=np.float32) + 0.5)[:, None, None], (height, width, 2)
        ).copy()

    def paint(
        self,
        points: Floats,
        normals: Floats,
        image: npt.NDArray[np.uint8],
        alpha: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Draw onto ``image``.

        Args:
            points: Vertices in the picture, shape (n, 3): x, y in pixels, distance.
            normals: Their normals, shape (n, 3), unit vectors; x right, y up, z to the viewer.
            image: Shape (height, width, 3). With ``alpha``, what is seen through is black.
            alpha: How much of each pixel is covered, shape (height, width), 0 to 255, or None. Colours are
                multiplied by it.
        """
        corners, shown = self._visible(points)
        if not len(shown):
            return
        left, top, right, bottom = self._box(corners)
        if left >= right or top >= bottom:
            return
        numbers = self._numbers[2 * top : 2 * bottom, 2 * left : 2 * right]
        numbers[:] = 0
        self._fill(corners, numbers, left, top)
        tables = self._tables(corners, normals[self._surface.quads[shown], :2], shown)
        ids = numbers[::2, ::2].astype(np.intp)
        x, y = self._x[top:bottom, left:right], self._y[top:bottom, left:right]
        uv = self._evaluate(tables[0], ids, x, y)
        colors = self._colors(uv, self._evaluate(tables[1], ids, x, y))
        region = image[top:bottom, left:right]
        covered = (ids != 0).view(np.uint8)
        before = region.copy()
        self._cv2.copyTo(colors, covered, region)
        below = None
        if alpha is not None:
            below = alpha[top:bottom, left:right].copy()
            alpha[top:bottom, left:right][covered != 0] = 255
        rows, columns = self._edges(uv)
        self._smooth(rows, columns, numbers, (left, top), tables, image, before, alpha, below)

    def _visible(self, points: Floats) -> tuple[Floats, Indices]:
        """Corners of the quads to draw, shape (k, 4, 2), back to front, and their indices."""
        surface = self._surface
        corners = points[surface.quads]
        a = corners[:, 2, :2] - corners[:, 0, :2]
        b = corners[:, 3, :2] - corners[:, 1, :2]
        area = a[:, 1] * b[:, 0] - a[:, 0] * b[:, 1]
        # Twice the area, in square pixels: from behind it is negative, and slivers show no colour of their own.
        shown = np.flatnonzero(area > 0.05)
        distance = corners[shown, :, 2].sum(1) - 1000.0 * surface.layers[shown]
        shown = shown[np.argsort(-distance)]
        return corners[shown, :, :2], shown

    def _box(self, corners: Floats) -> tuple[int, int, int, int]:
        low, high = corners.min((0, 1)), corners.max((0, 1))
        return (
            max(0, int(low[0]) - _MARGIN),
            max(0, int(low[1]) - _MARGIN),
            min(self._width, int(high[0]) + 1 + _MARGIN),
            min(self._height, int(high[1]) + 1 + _MARGIN),
        )

    def _fill(self, corners: Floats, numbers: npt.NDArray[np.int32], left: int, top: int) -> None:
        # Two cells per pixel; a cell's middle is where OpenCV has whole numbers.
        scale = float(1 << _SHIFT)
        shift = np.array([2 * left + 0.5, 2 * top + 0.5], np.float32)
        fixed = np.rint((corners * 2 - shift) * scale).astype(np.int32)
        fill = self._cv2.fillConvexPoly
        for number, quad in enumerate(fixed, 1):
            fill(numbers, quad, number, 8, _SHIFT)

    def _tables(self, corners: Floats, normals: Floats, shown: Indices) -> tuple[Floats, Floats]:
        """Planes by number, for the texture and for the normals: shape (3, k + 1, 2) each."""
        middle = corners.mean(1, keepdims=True)
        away = corners - middle
        dx, dy = away[:, :, 0], away[:, :, 1]
        # The constant keeps slivers, seen from the side, from having planes of any steepness.
        xx = (dx * dx).sum(1, keepdims=True) + 0.3
        yy = (dy * dy).sum(1, keepdims=True) + 0.3
        xy = (dx * dy).sum(1, keepdims=True)
        scale = 1 / (xx * yy - xy * xy)
        along_x = ((yy * dx - xy * dy) * scale)[:, :, None]
        along_y = ((xx * dy - xy * dx) * scale)[:, :, None]
        balls = self._surface.balls[shown]
        results = []
        for values, offset, outside in (
            (self._surface.uvs[shown], None, -100.0),
            (normals, balls, 0.0),
        ):
            table = np.empty((3, len(shown) + 1, 2), np.float32)
            table[0, 0] = outside
            table[1:, 0] = 0
            step_x = (values * along_x).sum(1)
            step_y = (values * along_y).sum(1)
            base = values.mean(1) - step_x * middle[:, 0, :1] - step_y * middle[:, 0, 1:]
            if offset is not None:
                # Up in the world is up in the picture of the ball.
                turn = np.array([self._radius, -self._radius], np.float32)
                step_x, step_y, base = step_x * turn, step_y * turn, base * turn + offset
            table[0, 1:], table[1, 1:], table[2, 1:] = base, step_x, step_y
            results.append(table)
        return results[0], results[1]

    @staticmethod
    def _evaluate(table: Floats, ids: Indices, x: Floats, y: Floats) -> Floats:
        value = np.take(table[1], ids, axis=0)
        value *= x
        part = np.take(table[2], ids, axis=0)
        part *= y
        value += part
        np.take(table[0], ids, axis=0, out=part)
        value += part
        return value

    def _colors(self, uv: Floats, ball: Floats) -> npt.NDArray[np.uint8]:
        cv2 = self._cv2
        albedo = cv2.remap(self._texture, uv, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        light = cv2.remap(self._balls, ball, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colors: npt.NDArray[np.uint8] = cv2.multiply(albedo, light, scale=1 / 128)
        return colors

    def _edges(self, uv: Floats) -> tuple[Indices, Indices]:
        """Rows and columns of pixels beside a jump of the place in the texture."""
        rough = self._edge
        # Two booleans side by side are one number of 16 bits: "either of them" without a reduction.
        across = (np.abs(uv[:, 1:] - uv[:, :-1]) > rough).view(np.uint16)[:, :, 0] != 0
        down = (np.abs(uv[1:] - uv[:-1]) > rough).view(np.uint16)[:, :, 0] != 0
        marked = np.zeros(uv.shape[:2], np.bool_)
        marked[:, 1:] |= across
        marked[:, :-1] |= across
        marked[1:] |= down
        marked[:-1] |= down
        return np.nonzero(marked)

    def _smooth(
        self,
        rows: Indices,
        columns: Indices,
        numbers: npt.NDArray[np.int32],
        corner: tuple[int, int],
        tables: tuple[Floats, Floats],
        image: npt.NDArray[np.uint8],
        before: npt.NDArray[np.uint8],
        alpha: npt.NDArray[np.uint8] | None,
        below: npt.NDArray[np.uint8] | None,
    ) -> None:
        """Colour the pixels at ``rows`` and ``columns`` (of the box at ``corner``) by the mean of four."""
        if not len(rows):
            return
        left, top = corner
        ids = np.empty((len(rows), 4), np.intp)
        x = np.empty((len(rows), 4, 2), np.float32)
        y = np.empty((len(rows), 4, 2), np.float32)
        for part, (down, across) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            ids[:, part] = numbers[2 * rows + down, 2 * columns + across]
            x[:, part] = (left + columns + (0.25 + 0.5 * across))[:, None]
            y[:, part] = (top + rows + (0.25 + 0.5 * down))[:, None]
        # OpenCV takes no more than 32767 rows.
        colors = np.concatenate(
            [
                self._colors(
                    self._evaluate(tables[0], ids[at : at + 16384], x[at : at + 16384], y[at : at + 16384]),
                    self._evaluate(tables[1], ids[at : at + 16384], x[at : at + 16384], y[at : at + 16384]),
                )
                for at in range(0, len(rows), 16384)
            ]
        )
        outside = ids == 0
        old = np.broadcast_to(before[rows, columns][:, None], colors.shape)
        colors[outside] = old[outside]
        image[top + rows, left + columns] = (colors.sum(1, dtype=np.uint16) + 2) >> 2
        if alpha is not None and below is not None:
            count = outside.sum(1, dtype=np.uint16)
            alpha[top + rows, left + columns] = (
                255 * (4 - count) + count * below[rows, columns].astype(np.uint16) + 2
            ) >> 2
