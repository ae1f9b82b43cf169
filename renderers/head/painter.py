"""Draws a mesh of quads with OpenCV's polygon filler: textured, shaded, with smooth edges.

The way of a picture:

1. Quads that face the viewer are sorted from back to front (:mod:`renderers.head.draw_order`), and each is
   filled with its own number into a picture of twice the size (``cv2.fillConvexPoly``; what is drawn last is
   seen, so this is all the hiding there is).
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
from itertools import count, islice, repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats, Indices
from renderers.head.draw_order import DrawOrder
from renderers.head.surface import Surface
from renderers.head.touches import Glint, Stroke, draw_glint, draw_stroke

_SHIFT: Final = 4
"""Fractional bits of the corners that OpenCV gets."""

_EDGE: Final = 8.0
"""Jump of the place in the texture, in multiples of its usual change per pixel, that counts as an edge."""

_CONTRAST: Final = 36
"""Jump of a colour, of 255, that counts as an edge as well."""

_STEEPEST: Final = 24.0
"""Texels per pixel. What is drawn of a sliver lies partly beside it."""
_STIFF: Final = 0.3
"""Square pixels that the fit of planes takes for the spread of each quad's corners, on top of their own."""
_STIFF_SLIVER: Final = 0.01
"""So much on top of that for each square pixel of their own: little for all but slivers."""

_OUTSIDE: Final = -1000.0
"""Place in the texture of what no quad covers: beyond its border, where it is black."""

_NEXT: Final = [1, 2, 3, 0]
_LAST: Final = [3, 0, 1, 2]
"""A quad's corners, from the second and from the last on."""

_CELLS: Final = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Rows and columns of a pixel's four cells."""
_MIDDLES: Final = 0.25 + 0.5 * np.array(_CELLS, np.float32)
"""Where they are in the pixel."""

_MARGIN: Final = 2
"""Pixels around the drawn quads that are looked at."""


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
        self._order = DrawOrder(surface)
        # All arrays with the corner first: sums over corners are then sums of whole rows.
        self._u = np.ascontiguousarray(surface.uvs[:, :, 0].T, dtype=np.float32)
        self._v = np.ascontiguousarray(surface.uvs[:, :, 1].T, dtype=np.float32)
        self._ball_x = np.ascontiguousarray(surface.balls[:, 0], dtype=np.float32)
        self._ball_y = np.ascontiguousarray(surface.balls[:, 1], dtype=np.float32)
        # One more at the end, for where there is no quad.
        self._shiny = np.append(surface.shiny, False)
        self._lashed = np.append(surface.lashed, False)
        self._under = None if surface.under is None else np.append(surface.under, False)
        self._texture, self._balls, self._radius = texture, balls, np.float32(ball_radius)
        self._edge = _EDGE * texels_per_pixel
        width, height = size
        self._numbers = np.zeros((2 * height, 2 * width), np.int16)
        # Corners for OpenCV, and a view of each quad's: making views takes a tenth of the filling.
        self._fixed = np.empty((len(surface.quads), 4, 2), np.int32)
        self._outlines = list(self._fixed)
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
        *,
        emerged: bool = False,
        solid: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw onto ``image``.

        Args:
            points: Vertices in the picture, shape (n, 3): x, y in pixels, distance.
            normals: Their normals, shape (n, 3), unit vectors; x right, y up, z to the viewer.
            image: Shape (height, width, 3), contiguous. With ``alpha``, what is seen through is black.
            alpha: How much of each pixel is covered, shape (height, width), 0 to 255, contiguous, or None.
                Colours are multiplied by it.
            glints: Spots of light, drawn on top.
            strokes: Lashes, drawn last.
            emerged: Whether the quads that can come out of their window have.
            solid: Where what was drawn before hides the quads that are under it, shape (height, width).
        """
        shown, x, y = self._order.shown(points, normals, emerged=emerged)
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
        hidden = None
        if self._under is not None and solid is not None:
            hidden = self._under[np.append(-1, shown)]
            ids[hidden[ids] & solid[top:bottom, left:right]] = 0
        pixel_x, pixel_y = self._x[:, left:right], self._y[top:bottom]
        uv = _evaluate(tables[0], ids, pixel_x, pixel_y)
        colors = self._colors(uv, _evaluate(tables[1], ids, pixel_x, pixel_y))
        region = image[top:bottom, left:right]
        covered = (ids != 0).view(np.uint8)
        places, rows, columns = self._edges(uv, colors)
        rows += top
        columns += left
        cells = self._cells(ids.ravel()[places], rows, columns)
        if hidden is not None and solid is not None:
            cells[hidden[cells] & solid[rows, columns]] = 0
        # Most of them show one quad alone, beside another.
        mixed = np.flatnonzero((cells[1] != cells[0]) | (cells[2] != cells[0]) | (cells[3] != cells[0]))
        places, rows, columns, cells = places[mixed], rows[mixed], columns[mixed], cells[:, mixed]
        zero = (cells == 0).view(np.uint8)
        outside = zero[0] + zero[1] + zero[2] + zero[3]
        # Of the pixels at edges, those where something of what was there before is seen.
        pixels = rows * self._width + columns
        bare = np.flatnonzero(outside)
        share, at = outside[bare, None].astype(np.uint16), pixels[bare]
        flat = image.reshape(-1, 3)
        before = flat[at] * share
        self._cv2.copyTo(self._cv2.cvtColor(colors, self._cv2.COLOR_BGRA2BGR), covered, region)
        total = self._total(colors.view(np.uint32).ravel()[places], cells, rows, columns, tables)
        total[bare, :3] += before
        flat[pixels] = ((total + 2) >> 2)[:, :3]
        if alpha is not None:
            flat_alpha = alpha.reshape(-1)
            below = flat_alpha[at] * share[:, 0]
            self._cv2.copyTo(np.full_like(covered, 255), covered, alpha[top:bottom, left:right])
            flat_alpha[pixels] = 255
            flat_alpha[at] = (255 * (4 - share[:, 0]) + below + 2) >> 2
        quad_of = np.append(-1, shown)
        shiny, lashed = self._shiny[quad_of], self._lashed[quad_of]
        for glint in glints:
            draw_glint(glint, shiny, ids, region, (left, top))
        for stroke in strokes:
            draw_stroke(stroke, lashed, ids, region, (left, top))

    def _fill(self, x: Floats, y: Floats, numbers: npt.NDArray[np.int16], left: int, top: int) -> None:
        # Two cells per pixel; a cell's middle is where OpenCV has whole numbers.
        scale = float(1 << _SHIFT)
        x, y = _convex(x, y)
        fixed = self._fixed[: x.shape[1]]
        fixed[:, :, 0] = np.rint((x * 2 - (2 * left + 0.5)) * scale).T
        fixed[:, :, 1] = np.rint((y * 2 - (2 * top + 0.5)) * scale).T
        # Some thousand calls: map() spares Python's part of the loop.
        fill, outlines = self._cv2.fillConvexPoly, islice(self._outlines, len(fixed))
        deque(map(fill, repeat(numbers), outlines, count(1), repeat(8), repeat(_SHIFT)), maxlen=0)

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
        corners = self._order.corners[:, shown]
        # Texture's u and v, ball's x and y: shape (4, 4, k).
        values = np.empty((4, *corners.shape), np.float32)
        np.take(self._u, shown, axis=1, out=values[0], mode="clip")
        np.take(self._v, shown, axis=1, out=values[1], mode="clip")
        np.multiply(np.ascontiguousarray(normals[:, 0])[corners], self._radius, out=values[2])
        # Up in the world is up in the picture of the ball.
        np.multiply(np.ascontiguousarray(normals[:, 1])[corners], -self._radius, out=values[3])
        values[2] += self._ball_x[shown]
        values[3] += self._ball_y[shown]
        middle = (values[:, 0] + values[:, 1] + values[:, 2] + values[:, 3]) / 4
        steps = []
        for along in (along_x, along_y):
            parts = values * along
            step = parts[:, 0] + parts[:, 1] + parts[:, 2] + parts[:, 3]
            np.maximum(step, -_STEEPEST, out=step)
            steps.append(np.minimum(step, _STEEPEST, out=step))
        middle -= steps[0] * middle_x + steps[1] * middle_y
        tables = np.empty((2, 3, len(shown) + 1, 2), np.float32)
        tables[:, 1:, 0] = 0
        tables[0, 0, 0], tables[1, 0, 0] = _OUTSIDE, 0
        for row, plane in enumerate((middle, *steps)):
            tables[:, row, 1:] = plane.reshape(2, 2, -1).transpose(0, 2, 1)
        return tables[0], tables[1]

    def _colors(self, uv: Floats, ball: Floats) -> npt.NDArray[np.uint8]:
        cv2 = self._cv2
        albedo = cv2.remap(self._texture, uv, None, cv2.INTER_LINEAR)
        light = cv2.remap(self._balls, ball, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        colors: npt.NDArray[np.uint8] = cv2.multiply(albedo, light, albedo, 1 / 128)
        return colors

    def _edges(self, uv: Floats, colors: npt.NDArray[np.uint8]) -> tuple[Indices, Indices, Indices]:
        """Pixels beside a jump of the place in the texture, or of the colour: number, row and column."""
        rough = self._edge
        # Two booleans side by side are one number of 16 bits: "either of them" without a reduction.
        difference = self._cv2.absdiff
        across = (difference(uv[:, 1:], uv[:, :-1]) > rough).view(np.uint16)[:, :, 0] != 0
        down = (difference(uv[1:], uv[:-1]) > rough).view(np.uint16)[:, :, 0] != 0
        green = self._cv2.extractChannel(colors, 1)
        across |= difference(green[:, 1:], green[:, :-1]) > _CONTRAST
        down |= difference(green[1:], green[:-1]) > _CONTRAST
        marked = np.zeros(uv.shape[:2], np.bool_)
        marked[:, 1:] |= across
        marked[:, :-1] |= across
        marked[1:] |= down
        marked[:-1] |= down
        places = np.flatnonzero(marked)
        rows = places // uv.shape[1]
        return places, rows, places - rows * uv.shape[1]

    def _cells(self, first: Indices, rows: Indices, columns: Indices) -> Indices:
        """What the four cells of pixels show, shape (4, n), ``first`` the first of them."""
        wide = 2 * self._width
        corner = 2 * rows * wide + 2 * columns
        numbers = self._numbers.reshape(-1)
        cells = np.empty((4, len(first)), np.intp)
        cells[0] = first
        for part, (down, across) in enumerate(_CELLS[1:], 1):
            cells[part] = numbers[corner + (down * wide + across)]
        return cells

    def _total(
        self,
        first: npt.NDArray[np.uint32],
        cells: Indices,
        rows: Indices,
        columns: Indices,
        tables: tuple[Floats, Floats],
    ) -> npt.NDArray[np.uint16]:
        """Sum of the four colours of the pixels at ``rows`` and ``columns``; what is outside is black.

        Args:
            first: Each pixel's colour, which is that of its first cell: four bytes, shape (n,).
            cells: What their cells show, shape (4, n).
            rows, columns: Where they are in the whole picture, shape (n,).
            tables: As :meth:`_tables` has them.

        Returns:
            Blue, green, red, and nothing, shape (n, 4).
        """
        # Cells of the same quad as the first one are like it.
        samples = np.empty(cells.shape, np.uint32)
        samples[:] = first
        part, pixel = np.nonzero(cells[1:] != cells[0])
        part += 1
        if len(pixel):
            # OpenCV takes no more than 32767 columns: a block of rows, the last one not full.
            count, wide = len(pixel), 1024
            high = -(-count // wide)
            ids = np.zeros(high * wide, np.intp)
            at = np.zeros((2, high * wide, 2), np.float32)
            ids[:count] = cells[part, pixel]
            at[0, :count] = (columns[pixel] + _MIDDLES[part, 1])[:, None]
            at[1, :count] = (rows[pixel] + _MIDDLES[part, 0])[:, None]
            block = ids.reshape(high, wide)
            x, y = at.reshape(2, high, wide, 2)
            shaded = self._colors(_evaluate(tables[0], block, x, y), _evaluate(tables[1], block, x, y))
            samples[part, pixel] = shaded.view(np.uint32).ravel()[:count]
        colors = samples.view(np.uint8).reshape(4, -1, 4)
        total: npt.NDArray[np.uint16] = np.add(colors[0], colors[1], dtype=np.uint16)
        total += colors[2]
        total += colors[3]
        return total


def _convex(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The corners of quads, shape (4, k), of those that are none that OpenCV fills as they are.

    A corner that points inwards is drawn out to a straight side; where two sides cross, the two corners of
    the smaller part become one. What is seen from behind stays.
    """
    step_x, step_y = x[_NEXT] - x, y[_NEXT] - y
    turn = step_x[_LAST] * step_y
    turn -= step_y[_LAST] * step_x
    inwards = turn > 0
    quads = np.flatnonzero(inwards[0] | inwards[1] | inwards[2] | inwards[3])
    if not len(quads):
        return x, y
    inwards = inwards[:, quads]
    count = inwards.sum(0)
    corner, at = np.nonzero(inwards & (count == 1))
    quad = quads[at]
    crossed = count == 2
    both = inwards[:, crossed]
    x, y = x.copy(), y.copy()
    for values in (x, y):
        values[corner, quad] = (values[corner - 1, quad] + values[(corner + 1) % 4, quad]) / 2
        own = values[:, quads[crossed]]
        values[:, quads[crossed]] = np.where(both, (own * both).sum(0) / 2, own)
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
