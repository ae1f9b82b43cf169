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
4. Where the place in the texture or the colour jumps from one pixel to the next there is an edge: only there
   all four numbers per pixel are coloured, and their mean is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats, Indices
from renderers.head.touches import Glint, Stroke, draw_glint, draw_stroke

_SHIFT: Final = 4
"""Fractional bits of the corners that OpenCV gets."""

_EDGE: Final = 8.0
"""Jump of the place in the texture, in multiples of its usual change per pixel, that counts as an edge."""

_CONTRAST: Final = 36
"""Jump of a colour, of 255, that counts as an edge as well."""

_SLIVER: Final = 0.2
"""Twice the area, square pixels, below which a quad is not worth its call: its neighbours' rims cover it."""

_FACING: Final = 0.3
"""How far the normals of a quad's four corners together face the viewer, for it to be drawn in any case."""
_STEEPEST: Final = 24.0
"""Texels per pixel. What is drawn of a sliver lies partly beside it."""
_STIFF: Final = 0.3
"""Square pixels that the fit of planes takes for the spread of each quad's corners, on top of their own."""
_STIFF_SLIVER: Final = 0.01
"""So much on top of that for each square pixel of their own: little for all but slivers."""

_CELLS: Final = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Rows and columns of a pixel's four cells."""

_MARGIN: Final = 2
"""Pixels around the drawn quads that are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """An opening through which quads are seen, such as the mouth: what lies outside of it is not drawn."""

    ring: Indices
    """Vertices around the opening."""
    quads: Indices
    """Which quads are behind it: indices into the surface's."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What does not change from frame to frame about the quads that are drawn."""

    quads: Indices
    """Vertices of each quad, shape (q, 4)."""
    uvs: Floats
    """Place of each corner in the texture, in texels, shape (q, 4, 2)."""
    balls: Floats
    """Centre of the lit ball of each quad's material in the picture of balls, in pixels, shape (q, 2)."""
    nearness: Floats
    """In the unit of distances, shape (q,): what lies before the rest, whatever its distance, has more."""
    shiny: npt.NDArray[np.bool_]
    """Which quads mirror lights, shape (q,): see :class:`Glint`."""
    lashed: npt.NDArray[np.bool_]
    """Which quads are drawn over by strokes, shape (q,): see :class:`Stroke`."""
    windows: tuple[Window, ...] = ()


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
        """``size`` is (width, height); ``texture`` and ``balls`` are pictures of four channels, blue, green,
        red, and nothing: OpenCV looks up four faster than three."""
        import cv2

        self._cv2: Any = cv2
        self._width, self._height = size
        # All arrays with the corner first: sums over corners are then sums of whole rows.
        self._corners = np.ascontiguousarray(surface.quads.T)
        self._u = np.ascontiguousarray(surface.uvs[:, :, 0].T, dtype=np.float32)
        self._v = np.ascontiguousarray(surface.uvs[:, :, 1].T, dtype=np.float32)
        self._ball_x = np.ascontiguousarray(surface.balls[:, 0], dtype=np.float32)
        self._ball_y = np.ascontiguousarray(surface.balls[:, 1], dtype=np.float32)
        self._nearness = (4 * surface.nearness).astype(np.float32)
        # One more at the end, for where there is no quad.
        self._shiny = np.append(surface.shiny, False)
        self._lashed = np.append(surface.lashed, False)
        self._windows = surface.windows
        self._texture, self._balls, self._radius = texture, balls, np.float32(ball_radius)
        self._edge = _EDGE * texels_per_pixel
        width, height = size
        self._numbers = np.zeros((2 * height, 2 * width), np.int16)
        # Shaped so that numpy multiplies whole rows by them.
        self._x = np.repeat((np.arange(width, dtype=np.float32) + 0.5)[None, :, None], 2, axis=2)
        self._y = (np.arange(height, dtype=np.float32) + 0.5)[:, None, None]

    def paint(
        self,
        points: Floats,
        normals: Floats,
        image: npt.NDArray[np.uint8],
        alpha: npt.NDArray[np.uint8] | None = None,
        glints: Sequence[Glint] = (),
        strokes: Sequence[Stroke] = (),
    ) -> None:
        """Draw onto ``image``.

        Args:
            points: Vertices in the picture, shape (n, 3): x, y in pixels, distance.
            normals: Their normals, shape (n, 3), unit vectors; x right, y up, z to the viewer.
            image: Shape (height, width, 3). With ``alpha``, what is seen through is black.
            alpha: How much of each pixel is covered, shape (height, width), 0 to 255, or None. Colours are
                multiplied by it.
            glints: Spots of light, drawn on top.
            strokes: Lashes, drawn last.
        """
        shown, x, y = self._visible(points, normals)
        if not len(shown):
            return
        left, top = max(0, int(x.min()) - _MARGIN), max(0, int(y.min()) - _MARGIN)
        right = min(self._width, int(x.max()) + 1 + _MARGIN)
        bottom = min(self._height, int(y.max()) + 1 + _MARGIN)
        if left >= right or top >= bottom:
            return
        numbers = self._numbers[2 * top : 2 * bottom, 2 * left : 2 * right]
        numbers[:] = 0
        self._fill(x, y, numbers, left, top)
        tables = self._tables(shown, x, y, normals)
        ids = numbers[::2, ::2].astype(np.intp)
        pixel_x, pixel_y = self._x[:, left:right], self._y[top:bottom]
        uv = _evaluate(tables[0], ids, pixel_x, pixel_y)
        colors = self._colors(uv, _evaluate(tables[1], ids, pixel_x, pixel_y))
        region = image[top:bottom, left:right]
        covered = (ids != 0).view(np.uint8)
        rows, columns = self._edges(uv, colors)
        before = region[rows, columns]
        shaded = self._cv2.cvtColor(colors, self._cv2.COLOR_BGRA2BGR)
        self._cv2.copyTo(shaded, covered, region)
        below = None
        if alpha is not None:
            below = alpha[top + rows, left + columns]
            self._cv2.copyTo(np.full_like(covered, 255), covered, alpha[top:bottom, left:right])
        mean, outside = self._smooth(rows, columns, numbers, (left, top), tables, shaded, before)
        region[rows, columns] = mean
        if alpha is not None and below is not None:
            share = outside.astype(np.uint16)
            alpha[top + rows, left + columns] = (255 * (4 - share) + share * below + 2) >> 2
        quad_of = np.append(-1, shown)
        shiny, lashed = self._shiny[quad_of], self._lashed[quad_of]
        for glint in glints:
            draw_glint(glint, shiny, ids, region, (left, top))
        for stroke in strokes:
            draw_stroke(stroke, lashed, ids, region, (left, top))

    def _visible(self, points: Floats, normals: Floats) -> tuple[Indices, Floats, Floats]:
        """Quads to draw, back to front, and x and y of their corners, shape (4, k)."""
        corners = self._corners
        px, py = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        x, y = px[corners], py[corners]
        area = (y[2] - y[0]) * (x[3] - x[1]) - (x[2] - x[0]) * (y[3] - y[1])
        # Twice the area; from behind it is negative.
        wanted = area > _SLIVER
        # Where it folds or is twisted, a quad may seem to be seen from behind, and would leave a hole.
        behind = np.flatnonzero(area < -_SLIVER)
        facing = _sum(np.ascontiguousarray(normals[:, 2])[corners[:, behind]]) > _FACING
        wanted[behind[facing]] = True
        for window in self._windows:
            wx, wy, own = px[window.ring], py[window.ring], window.quads
            qx, qy = x[:, own], y[:, own]
            outside = (qx.max(0) < wx.min()) | (qx.min(0) > wx.max())
            outside |= (qy.max(0) < wy.min()) | (qy.min(0) > wy.max())
            wanted[own[outside]] = False
        shown = np.flatnonzero(wanted)
        distance = np.ascontiguousarray(points[:, 2])[corners[:, shown]]
        nearness = self._nearness[shown] - distance[0] - distance[1] - distance[2] - distance[3]
        shown = shown[np.argsort(nearness)]
        return shown, x[:, shown], y[:, shown]

    def _fill(self, x: Floats, y: Floats, numbers: npt.NDArray[np.int16], left: int, top: int) -> None:
        # Two cells per pixel; a cell's middle is where OpenCV has whole numbers.
        scale = float(1 << _SHIFT)
        x, y = _convex(x, y)
        fixed = np.empty((x.shape[1], 4, 2), np.int32)
        fixed[:, :, 0] = np.rint((x * 2 - (2 * left + 0.5)) * scale).T
        fixed[:, :, 1] = np.rint((y * 2 - (2 * top + 0.5)) * scale).T
        # Some thousand calls: map() spares Python's part of the loop.
        fill = self._cv2.fillConvexPoly
        deque(map(fill, repeat(numbers), fixed, count(1), repeat(8), repeat(_SHIFT)), maxlen=0)

    def _tables(self, shown: Indices, x: Floats, y: Floats, normals: Floats) -> tuple[Floats, Floats]:
        """Planes by number, for the texture and for the normals: shape (3, k + 1, 2) each."""
        middle_x, middle_y = (x[0] + x[1] + x[2] + x[3]) / 4, (y[0] + y[1] + y[2] + y[3]) / 4
        dx, dy = x - middle_x, y - middle_y
        xx, yy, xy = _sum(dx * dx), _sum(dy * dy), _sum(dx * dy)
        # Slivers, seen from the side, shall not have planes of any steepness.
        stiff = _STIFF + _STIFF_SLIVER * (xx + yy)
        xx += stiff
        yy += stiff
        scale = 1 / (xx * yy - xy * xy)
        along_x, along_y = (yy * dx - xy * dy) * scale, (xx * dy - xy * dx) * scale
        corners = self._corners[:, shown]
        # Up in the world is up in the picture of the ball.
        normal_x = np.ascontiguousarray(normals[:, 0])[corners] * self._radius
        normal_y = np.ascontiguousarray(normals[:, 1])[corners] * -self._radius
        normal_x += self._ball_x[shown]
        normal_y += self._ball_y[shown]
        results = []
        for pair, outside in (((self._u[:, shown], self._v[:, shown]), -1000.0), ((normal_x, normal_y), 0.0)):
            table = np.empty((3, len(shown) + 1, 2), np.float32)
            table[0, 0] = outside
            table[1:, 0] = 0
            for axis, values in enumerate(pair):
                step_x, step_y = (
                    np.clip(_sum(values * along), -_STEEPEST, _STEEPEST) for along in (along_x, along_y)
                )
                table[0, 1:, axis] = _sum(values) / 4 - step_x * middle_x - step_y * middle_y
                table[1, 1:, axis] = step_x
                table[2, 1:, axis] = step_y
            results.append(table)
        return results[0], results[1]

    def _colors(self, uv: Floats, ball: Floats) -> npt.NDArray[np.uint8]:
        cv2 = self._cv2
        albedo = cv2.remap(self._texture, uv, None, cv2.INTER_LINEAR)
        light = cv2.remap(self._balls, ball, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        colors: npt.NDArray[np.uint8] = cv2.multiply(albedo, light, albedo, 1 / 128)
        return colors

    def _edges(self, uv: Floats, colors: npt.NDArray[np.uint8]) -> tuple[Indices, Indices]:
        """Rows and columns of pixels beside a jump of the place in the texture, or of the colour."""
        rough = self._edge
        # Two booleans side by side are one number of 16 bits: "either of them" without a reduction.
        difference = self._cv2.absdiff
        across = (difference(uv[:, 1:], uv[:, :-1]) > rough).view(np.uint16)[:, :, 0] != 0
        down = (difference(uv[1:], uv[:-1]) > rough).view(np.uint16)[:, :, 0] != 0
        green = np.ascontiguousarray(colors[:, :, 1])
        across |= difference(green[:, 1:], green[:, :-1]) > _CONTRAST
        down |= difference(green[1:], green[:-1]) > _CONTRAST
        marked = np.zeros(uv.shape[:2], np.bool_)
        marked[:, 1:] |= across
        marked[:, :-1] |= across
        marked[1:] |= down
        marked[:-1] |= down
        places = np.flatnonzero(marked)
        rows = places // uv.shape[1]
        return rows, places - rows * uv.shape[1]

    def _smooth(
        self,
        rows: Indices,
        columns: Indices,
        numbers: npt.NDArray[np.int16],
        corner: tuple[int, int],
        tables: tuple[Floats, Floats],
        colors: npt.NDArray[np.uint8],
        before: npt.NDArray[np.uint8],
    ) -> tuple[npt.NDArray[np.uint8], Indices]:
        """Mean of the four colours of the pixels at ``rows`` and ``columns`` (of the box at ``corner``).

        Returns:
            Colours, shape (n, 3), and how many of the four are outside, where ``before`` is seen.
        """
        pixels = len(rows)
        ids = np.empty((4, pixels), np.intp)
        for part, (down, across) in enumerate(_CELLS):
            ids[part] = numbers[2 * rows + down, 2 * columns + across]
        # The first of the four is what the pixel has been coloured by: those of the same quad are like it.
        samples = np.broadcast_to(colors[rows, columns], (4, pixels, 3)).reshape(-1, 3)
        others = pixels + np.flatnonzero(ids[1:] != ids[0])
        if len(others):
            # OpenCV takes no more than 32767 columns: a block of rows, the last one not full.
            wide = 1024
            high = -(-len(others) // wide)
            flat = np.zeros(high * wide, np.intp)
            at = np.zeros((2, high * wide, 2), np.float32)
            cell, pixel = np.divmod(others, pixels)
            flat[: len(others)] = ids.ravel()[others]
            offset = 0.25 + 0.5 * np.array(_CELLS, np.float32)[cell]
            at[0, : len(others)] = (columns[pixel] + corner[0] + offset[:, 1])[:, None]
            at[1, : len(others)] = (rows[pixel] + corner[1] + offset[:, 0])[:, None]
            block = flat.reshape(high, wide)
            x, y = at.reshape(2, high, wide, 2)
            shaded = self._colors(_evaluate(tables[0], block, x, y), _evaluate(tables[1], block, x, y))
            samples[others] = shaded.reshape(-1, 4)[: len(others), :3]
        # Outside, the texture is looked up beyond its border, which is black.
        total = samples.reshape(4, pixels, 3).sum(0, dtype=np.uint16)
        outside = (ids == 0).sum(0)
        total += before * outside[:, None].astype(np.uint16)
        return ((total + 2) >> 2).astype(np.uint8), outside


def _convex(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The corners of quads, shape (4, k), with those that point inwards drawn out to a straight side."""
    step_x, step_y = ([part[(k + 1) % 4] - part[k] for k in range(4)] for part in (x, y))
    turn = np.stack([step_x[k - 1] * step_y[k] - step_y[k - 1] * step_x[k] for k in range(4)])
    corner, quad = np.nonzero(turn > 0)
    if not len(quad):
        return x, y
    x, y = x.copy(), y.copy()
    for values in (x, y):
        values[corner, quad] = (values[corner - 1, quad] + values[(corner + 1) % 4, quad]) / 2
    return x, y


def _sum(corners: Floats) -> Floats:
    """Sum over the four corners of shape (4, k)."""
    return np.asarray(corners[0] + corners[1] + corners[2] + corners[3])


def _evaluate(table: Floats, ids: Indices, x: Floats, y: Floats) -> Floats:
    """The pairs of planes numbered ``ids`` at ``x`` and ``y``, which numpy spreads to shape (…, …, 2)."""
    value = np.take(table[1], ids, axis=0)
    value *= x
    part = np.take(table[2], ids, axis=0)
    part *= y
    value += part
    np.take(table[0], ids, axis=0, out=part)
    value += part
    return value
