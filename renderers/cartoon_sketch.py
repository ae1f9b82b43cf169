"""A cartoon before it is painted: shapes from back to front, whose points are worked out all at once.

A drawing has about a hundred shapes of some twenty points each. One numpy call costs more than so few points
do, so the shapes are collected first and projected, outlined and rounded together.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from renderers.canvas import Canvas, Color, Points, Polygon
from renderers.cartoon_shapes import COARSE, Projection, on_face

_Place: TypeAlias = "slice | Points"
"""Points of the face that are not projected yet, or pixels."""

_Indices: TypeAlias = npt.NDArray[np.intp]

_FEW: Final = 16
"""Outlines on the face of so many points have none too many, however small the picture."""

_CAP_POINTS: Final = 5
_CAP: Final = np.linspace(0, np.pi, _CAP_POINTS + 2)[1:-1, None]
_CAP_COS, _CAP_SIN = np.cos(_CAP), np.sin(_CAP)
_QUARTER_TURN: Final = np.array([-1.0, 1.0])


class Sketch:
    """Shapes of one picture, from back to front. Each is given in pixels, or on the face: see ``lift``."""

    def __init__(self, projection: Projection) -> None:
        """``projection`` is what brings points of the face to pixels."""
        self._to = projection
        self._skip = 2 if projection.unit < COARSE else 1
        self._face: list[Points] = []
        self._lifts: list[float] = []
        self._count = 0
        self._shapes: list[tuple[_Place, Color, Points | float | None, bool]] = []
        self._glows: list[tuple[int, _Place, tuple[float, float], Color, float]] = []

    def _place(self, points: Points, lift: float | None) -> _Place:
        if lift is None:
            return points
        if len(points) > _FEW:
            points = points[:: self._skip]
        start = self._count
        self._face.append(points)
        self._lifts.append(lift)
        self._count += len(points)
        return slice(start, self._count)

    def fill(self, points: Points, color: Color, lift: float | None = None, *, smooth: bool = True) -> None:
        """A filled polygon, shape (n, 2).

        Args:
            points: in pixels, or with a ``lift`` design units on the face.
            color: of all of it.
            lift: above the face, in design units; None for pixels.
            smooth: whether its edge is; an edge between nearly the same colours need not be, and is cheaper.
        """
        self._shapes.append((self._place(points, lift), color, None, smooth))

    def stroke(self, points: Points, color: Color, width: Points | float, lift: float | None = None) -> None:
        """A brush stroke of ``width`` pixels, one number or shape (n,), along ``points``, shape (n, 2)."""
        if lift is not None and isinstance(width, np.ndarray) and len(points) > _FEW:
            width = width[:: self._skip]
        self._shapes.append((self._place(points, lift), color, width, True))

    def glow(
        self,
        at: Points,
        radii: tuple[float, float],
        color: Color,
        alpha: float,
        lift: float | None = None,
    ) -> None:
        """A soft spot, see :meth:`renderers.canvas.Canvas.glow`; ``at`` of shape (1, 2), ``radii`` pixels."""
        self._glows.append((len(self._shapes), self._place(at, lift), radii, color, alpha))

    def paint(self, canvas: Canvas) -> None:
        """Paint everything."""
        pixels: Points = np.zeros((0, 2))
        if self._face:
            lifts = np.repeat(self._lifts, [len(points) for points in self._face])
            pixels = self._to.head(on_face(np.concatenate(self._face), lifts))
        outlines = self._outlines(pixels)
        points = np.concatenate(outlines) if outlines else pixels
        polygons: list[Polygon] = [
            (len(outline), color, smooth)
            for outline, (_, color, _, smooth) in zip(outlines, self._shapes, strict=True)
        ]
        ends = [0, *np.cumsum([polygon[0] for polygon in polygons]).tolist()]
        done = 0
        for before, place, radii, color, alpha in self._glows:
            if before > done:
                canvas.polygons(points[ends[done] : ends[before]], polygons[done:before])
                done = before
            x, y = (pixels[place] if isinstance(place, slice) else place)[0].tolist()
            canvas.glow((x, y), radii, color, alpha)
        if done < len(polygons):
            canvas.polygons(points[ends[done] :], polygons[done:])

    def _outlines(self, pixels: Points) -> list[Points]:
        """Of each shape, in order, in pixels."""
        outlines = [pixels[shape[0]] if isinstance(shape[0], slice) else shape[0] for shape in self._shapes]
        strokes = [(number, shape[2]) for number, shape in enumerate(self._shapes) if shape[2] is not None]
        if strokes:
            paths = [outlines[number] for number, _ in strokes]
            widths = [width if isinstance(width, np.ndarray) else [width] * len(path)
                      for (_, width), path in zip(strokes, paths, strict=True)]  # fmt: skip
            around = outlined(paths, np.concatenate(widths))
            for (number, _), outline in zip(strokes, around, strict=True):
                outlines[number] = outline
        return outlines


def outlined(paths: list[Points], widths: npt.NDArray[np.floating[Any]]) -> list[Points]:
    """The outlines of brush strokes, as of :func:`renderers.canvas.stroke`, of all ``paths`` at once.

    Args:
        paths: each of shape (n, 2), n at least 2.
        widths: of the points of all of them, one after the other.
    """
    starts, ends, order, cuts = _joints(tuple(map(len, paths)))
    path = np.concatenate(paths)
    half = widths[:, None] / 2
    along = np.empty_like(path)
    along[1:-1] = path[2:] - path[:-2]
    along[starts] = path[starts + 1] - path[starts]
    along[ends] = path[ends] - path[ends - 1]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    along *= half
    normal = along[:, ::-1] * _QUARTER_TURN
    end = path[ends, None] + _CAP_COS * normal[ends, None] + _CAP_SIN * along[ends, None]
    start = path[starts, None] - _CAP_COS * normal[starts, None] - _CAP_SIN * along[starts, None]
    every = np.concatenate([path + normal, path - normal, end.reshape(-1, 2), start.reshape(-1, 2)])[order]
    return [every[first:last] for first, last in pairwise(cuts)]


@lru_cache(maxsize=256)
def _joints(
    lengths: tuple[int, ...],
) -> tuple[_Indices, _Indices, _Indices, list[int]]:
    """First and last point of each path, the order of left sides, right sides and caps around each stroke,
    and where the strokes begin there."""
    last = np.cumsum(np.array(lengths, np.intp))
    first: _Indices = last - np.array(lengths, np.intp)
    total = int(last[-1])
    caps = np.arange(_CAP_POINTS)
    order = []
    for number, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        side = np.arange(start, stop)
        end_cap = 2 * total + number * _CAP_POINTS + caps
        order += [side, end_cap, total + side[::-1], end_cap + len(lengths) * _CAP_POINTS]
    cuts = [0, *np.cumsum(2 * np.array(lengths) + 2 * _CAP_POINTS).tolist()]
    return first, last - 1, np.concatenate(order), cuts
