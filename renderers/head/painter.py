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
        self._shiny = surface.shiny
        self._lashed = surface.lashed
        self._windows = surface.windows
        self._texture, self._balls, self._radius = texture, balls, np.float32(ball_radius)
        self._edge = _EDGE * texels_per_pixel
        width, height = size
        self._numbers = np.zeros((2 * height, 2 * width), np.int16)
        across = (np.arange(width, dtype=np.float32) + 0.5)[None, :, None]
        down = (np.arange(height, dtype=np.float32) + 0.5)[:, None, None]
        self._x = np.broadcast_to(across, (height, width, 2)).copy()
        self._y = np.broadcast_to(down, (height, width, 2)).copy()

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
        pixel_x, pixel_y = self._x[top:bottom, left:right], self._y[top:bottom, left:right]
        uv = _evaluate(tables[0], ids, pixel_x, pixel_y)
        colors = self._colors(uv, _evaluate(tables[1], ids, pixel_x, pixel_y))
        region = image[top:bottom, left:right]
        covered = (ids != 0).view(np.uint8)
        rows, columns = self._edges(uv, colors)
        before = region[rows, columns]
        self._cv2.copyTo(self._cv2.cvtColor(colors, self._cv2.COLOR_BGRA2BGR), covered, region)
        below = None
        if alpha is not None:
            below = alpha[top + rows, left + columns]
            self._cv2.copyTo(np.full_like(covered, 255), covered, alpha[top:bottom, left:right])
        mean, outside = self._smooth(rows, columns, numbers, (left, top), tables, before)
        region[rows, columns] = mean
        if alpha is not None and below is not None:
            share = outside.astype(np.uint16)
            alpha[top + rows, left + columns] = (255 * (4 - share) + share * below + 2) >> 2
        for glint in glints:
            self._mirror(glint, shown, ids, region, (left, top))
        for stroke in strokes:
            self._stroke(stroke, shown, ids, region, (left, top))

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

    def _mirror(
        self,
        glint: Glint,
        shown: Indices,
        ids: Indices,
        region: npt.NDArray[np.uint8],
        corner: tuple[int, int],
    ) -> None:
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
        shiny = np.concatenate([[False], self._shiny[shown]])
        amount = (bright * shiny[seen])[:, :, None]
        patch = region[rows, columns]
        patch[:] = np.rint(patch + (255.0 - patch) * amount)

    def _stroke(
        self,
        stroke: Stroke,
        shown: Indices,
        ids: Indices,
        region: npt.NDArray[np.uint8],
        corner: tuple[int, int],
    ) -> None:
        outline = stroke.outline - np.array(corner)
        high, wide = ids.shape
        left, top = np.clip(np.floor(outline.min(0)).astype(int) - 1, 0, (wide, high))
        right, bottom = np.clip(np.ceil(outline.max(0)).astype(int) + 2, 0, (wide, high))
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        fixed = np.rint((outline - (left + 0.5, top + 0.5)) * (1 << _SHIFT)).astype(np.int32)
        self._cv2.fillPoly(mask, [fixed], 255, self._cv2.LINE_AA, _SHIFT)
        allowed = np.concatenate([[False], self._lashed[shown]])[ids[top:bottom, left:right]]
        amount = (mask * np.float32(stroke.strength / 255) * allowed)[:, :, None]
        patch = region[top:bottom, left:right]
        patch[:] = np.rint(patch + (np.array(stroke.color, np.float32) - patch) * amount)

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
        before: npt.NDArray[np.uint8],
    ) -> tuple[npt.NDArray[np.uint8], Indices]:
        """Mean of the four colours of the pixels at ``rows`` and ``columns`` (of the box at ``corner``).

        Returns:
            Colours, shape (n, 3), and how many of the four are outside, where ``before`` is seen.
        """
        pixels = len(rows)
        # OpenCV takes no more than 32767 columns: a block of rows, the last one not full.
        wide = 1024
        high = -(-4 * pixels // wide)
        ids = np.zeros(high * wide, np.intp)
        x: Floats = np.zeros((high * wide, 2), np.float32)
        y: Floats = np.zeros((high * wide, 2), np.float32)
        left, top = corner
        for part, (down, across) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            own = slice(part * pixels, (part + 1) * pixels)
            ids[own] = numbers[2 * rows + down, 2 * columns + across]
            x[own] = (columns + (left + 0.25 + 0.5 * across))[:, None]
            y[own] = (rows + (top + 0.25 + 0.5 * down))[:, None]
        block = ids.reshape(high, wide)
        x, y = x.reshape(high, wide, 2), y.reshape(high, wide, 2)
        if not high:
            return before, np.zeros(0, np.intp)
        colors = self._colors(_evaluate(tables[0], block, x, y), _evaluate(tables[1], block, x, y))
        # Outside, the texture is looked up beyond its border, which is black.
        total = colors.reshape(-1, 4)[: 4 * pixels, :3].reshape(4, pixels, 3).sum(0, dtype=np.uint16)
        outside = (ids[: 4 * pixels] == 0).reshape(4, pixels).sum(0)
        total += before * outside[:, None].astype(np.uint16)
        return ((total + 2) >> 2).astype(np.uint8), outside


def _convex(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The corners of quads, shape (4, k), with those that point inwards drawn out to a straight side."""
    next_x, next_y = np.roll(x, -1, axis=0) - x, np.roll(y, -1, axis=0) - y
    turn = np.roll(next_x, 1, axis=0) * next_y - np.roll(next_y, 1, axis=0) * next_x
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
    """The planes numbered ``ids`` at ``x`` and ``y`` (both given twice, for the two values of each plane)."""
    value = np.take(table[1], ids, axis=0)
    value *= x
    part = np.take(table[2], ids, axis=0)
    part *= y
    value += part
    np.take(table[0], ids, axis=0, out=part)
    value += part
    return value
