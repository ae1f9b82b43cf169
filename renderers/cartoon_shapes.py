"""Shapes of the cartoon face: outlines in head coordinates, and how they are turned and projected.

Head coordinates: x to the picture's right, y down, z towards the viewer; the origin is the middle of the
head, and one unit is one pixel of a picture of 512 x 512.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from renderers.canvas import Points
from renderers.cartoon_rig import Features

Points3: TypeAlias = npt.NDArray[np.floating[Any]]
"""Shape (n, 3)."""

DESIGN: Final = 512.0
"""Side of the square that the drawing is designed for."""
COARSE: Final = 0.75
"""Pixels per design unit below which half of the points of an outline do: it stays within 0.1 pixels."""
HEAD: Final = (256.0, 232.0)
"""Middle of the head in that square."""
HEAD_HEIGHT: Final = 262.0
"""Crown to chin."""
PIVOT: Final = (0.0, 112.0, -14.0)
"""Where the head turns on the neck."""


def spline(points: Iterable[Sequence[float]], *, closed: bool = False, steps: int = 8) -> Points3:
    """A Catmull-Rom curve through ``points``, shape (n, 2 or 3), with ``steps`` points per piece."""
    knots = np.asarray(list(points), dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat = curve.reshape(-1, knots.shape[1])
    return flat if closed else np.concatenate([flat, knots[-1:]])


def mirrored(half: Iterable[Sequence[float]]) -> Points3:
    """A closed smooth outline from its right half, listed from the top of the middle line to its bottom."""
    right = np.asarray(list(half), dtype=np.float64)
    left = right[-2:0:-1] * np.array([-1.0] + [1.0] * (right.shape[1] - 1))
    return spline(np.concatenate([right, left]), closed=True)


def on_face(points: Points, lift: float | npt.NDArray[np.floating[Any]] = 0.0) -> Points3:
    """``points`` (x, y) laid on the front of the face, ``lift`` above it, one or (n,); shape (n, 3)."""
    x, y = points[:, 0], points[:, 1]
    depth = 92.0 * np.sqrt(np.maximum(0.04, 1 - (x / 116.0) ** 2 - ((y - 5) / 152.0) ** 2))
    laid = np.empty((len(points), 3))
    laid[:, :2] = points
    laid[:, 2] = depth + lift
    return laid


def smoothstep(low: float, high: float, value: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """0 below ``low``, 1 above ``high``, smooth in between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    smooth: npt.NDArray[np.float64] = t * t * (3 - 2 * t)
    return smooth


class Projection:
    """Turns head coordinates into pixels for one pose and one picture size."""

    def __init__(self, features: Features, size: tuple[int, int]) -> None:
        width, height = size
        self.unit = min(width, height) / DESIGN
        """Pixels per design unit."""
        self.corner: Final = np.array([(width - DESIGN * self.unit) / 2, height - DESIGN * self.unit])
        """Upper left corner of the design square in pixels."""
        self._sin = (math.sin(features.yaw), math.sin(features.pitch))
        self._lost = (1 - math.cos(features.yaw), 1 - math.cos(features.pitch))
        self._roll = (math.cos(features.roll), math.sin(features.roll))
        self._scale = features.scale
        right, down = features.shift
        middle = (HEAD[0] + right * HEAD_HEIGHT + 10 * features.sway, HEAD[1] + PIVOT[1] + down * HEAD_HEIGHT)
        self._origin = self.flat(np.array([middle]))[0]

    def head(self, points: Points3, silhouette: float = 0.0) -> Points:
        """Head points, shape (n, 3), to pixels, shape (n, 2).

        ``silhouette`` 0 turns a point of the surface; 1 keeps the width of an outline, as a round thing looks
        as wide from any side and only what lies in front or behind moves.
        """
        keep = 1 - silhouette
        x = points[:, 0] * (1 - keep * self._lost[0]) + (points[:, 2] - PIVOT[2]) * self._sin[0]
        up = points[:, 1] - PIVOT[1]
        y = up * (1 - keep * self._lost[1]) + (points[:, 2] - PIVOT[2]) * self._sin[1]
        cos, sin = self._roll
        turned = np.empty((len(points), 2))
        turned[:, 0] = x * cos + y * sin
        turned[:, 1] = y * cos - x * sin
        turned *= self._scale * self.unit
        turned += self._origin
        return turned

    def rows(self, rows: npt.NDArray[np.floating[Any]]) -> Points:
        """The same for what :func:`rows` made of head points, shape (n, 5), to pixels, shape (n, 2)."""
        cos, sin = self._roll
        across, down = np.zeros(5), np.zeros(5)
        across[[0, 2, 3]] = 1.0, self._sin[0], -self._lost[0]
        down[[1, 2, 4]] = 1.0, self._sin[1], -self._lost[1]
        turn = np.stack([across * cos + down * sin, down * cos - across * sin], axis=1)
        pixels: Points = rows @ (turn * (self._scale * self.unit))
        pixels += self._origin
        return pixels

    def turned(self, x: float, y: float, silhouette: float) -> Points:
        """Pixels, shape (2,), by which a point of an outline moves that moves by ``x``, ``y`` on the head."""
        keep = 1 - silhouette
        x, y = x * (1 - keep * self._lost[0]), y * (1 - keep * self._lost[1])
        cos, sin = self._roll
        return np.array([x * cos + y * sin, y * cos - x * sin]) * (self._scale * self.unit)

    def flat(self, points: Points) -> Points:
        """Points of the design square, shape (n, 2), to pixels."""
        pixels: Points = points * self.unit + self.corner
        return pixels

    def length(self, units: float) -> float:
        """A length on the head in pixels."""
        return units * self.unit * self._scale


def rows(points: Points3, silhouette: float = 0.0) -> npt.NDArray[np.float64]:
    """Head points, shape (n, 3), such that :meth:`Projection.rows` is linear in them; shape (n, 5).

    So shapes between two others, of whatever ``silhouette``, are made once and for all poses.
    """
    about = points - np.array(PIVOT) * (0, 1, 1)
    return np.concatenate([about, about[:, :2] * (1 - silhouette)], axis=1)


# fmt: off
FACE: Final = mirrored([
    (0, -126, 0), (52, -117, 0), (88, -84, 0), (101, -34, 0), (101, 14, 0), (94, 54, 4),
    (76, 92, 14), (46, 121, 28), (22, 131, 36), (0, 133, 38),
])
"""Outline of the skin of the face."""

HAIR_BACK: Final = mirrored([
    (0, -158, -6), (58, -149, -6), (104, -116, -8), (127, -62, -12), (133, 0, -18), (131, 58, -22),
    (126, 104, -24), (108, 133, -26), (74, 140, -34), (34, 136, -40), (0, 134, -42),
])
"""Hair behind the face: a bob down to the chin."""

PARTING: Final = (-34.0, -112.0)
"""Where the hair is parted, on the face."""

HAIR_RIGHT_INNER: Final = spline([
    (-34, -110, 62), (-4, -100, 72), (32, -82, 74), (66, -57, 66), (86, -20, 48), (92, 22, 36), (93, 62, 24),
    (98, 100, 16), (108, 122, 10),
])
"""Edge of the fringe along the face, from the parting to the tip on the picture's right."""

HAIR_LEFT_INNER: Final = spline([
    (-34, -110, 62), (-52, -92, 64), (-70, -64, 58), (-85, -26, 46), (-92, 20, 36), (-93, 62, 24),
    (-98, 100, 16), (-108, 122, 10),
])
"""The same on the picture's left."""

HAIR_RIGHT_OUTER: Final = spline([
    (108, 122, 10), (126, 96, -10), (132, 54, -14), (133, 0, -14), (127, -60, -12), (105, -114, -8),
    (60, -148, -2), (6, -157, 4), (-24, -148, 20), (-33, -132, 44), (-34, -110, 62),
])
"""Outer edge from the tip on the right over the crown to the parting."""

HAIR_LEFT_OUTER: Final = spline([
    (-108, 122, 10), (-126, 96, -10), (-132, 54, -14), (-133, 0, -14), (-127, -60, -12), (-106, -113, -8),
    (-70, -144, -2), (-40, -153, 4), (-30, -146, 20), (-32, -132, 44), (-34, -110, 62),
])
"""The same on the left."""

NOSE_SIDE: Final = spline([(9, -14), (12, 10), (17, 30), (21, 40), (20, 48), (12, 51)])
"""Shaded side of the nose, on the face."""
NOSE_BASE: Final = spline([(-19, 43), (-17, 50), (-9, 51), (0, 54), (9, 51), (17, 50), (19, 43)])
"""Lower edge of the nose, on the face."""

BROW: Final = spline([(15, -37), (30, -43), (47, -45), (62, -40), (73, -31)])
"""Right eyebrow from the nose outwards, on the face."""
BROW_WIDTH: Final = np.interp(np.linspace(0, 1, len(BROW)), [0, 0.2, 0.6, 1], [5.5, 8.5, 7.5, 2.0])

SHOULDERS: Final = spline([
    (-10, 530), (14, 476), (58, 446), (122, 428), (172, 415), (198, 403), (256, 420), (314, 403), (340, 415),
    (390, 428), (454, 446), (498, 476), (522, 530),
])
"""Upper edge of the clothes, in the design square."""
COLLAR: Final = spline([(191, 404), (207, 425), (256, 441), (305, 425), (321, 404)])
"""Neckline, in the design square."""
COLLAR_BACK: Final = spline([(190, 405), (256, 396), (322, 405)])
"""The collar behind the neck."""
NECK_LEFT: Final = np.array([(212.0, 392.0), (198.0, 414.0), (200.0, 462.0)])
NECK_RIGHT: Final = np.array([(312.0, 462.0), (314.0, 414.0), (300.0, 392.0)])
"""Sides of the neck below the jaw, in the design square."""
# fmt: on

EYE_X: Final = 44.0
EYE_Y: Final = 6.0
EYE_HALF: Final = 25.0
"""Middle and half width of the eyes."""
MOUTH_Y: Final = 87.0

ACROSS: Final = np.sin(np.linspace(-math.pi / 2, math.pi / 2, 25))
"""Places from one corner of an eye or of the mouth (-1) to the other (1), denser at the corners."""
ARCH: Final = 1 - ACROSS**2
"""1 in the middle, 0 at the corners."""
_ARCH_ROOT: Final = np.sqrt(ARCH)


def pairs(x: npt.NDArray[np.floating[Any]], y: npt.NDArray[np.floating[Any]]) -> Points:
    """Points, shape (n, 2), of their coordinates; several times as quick as ``np.stack`` for so few."""
    points = np.empty((len(y), 2))
    points[:, 0], points[:, 1] = x, y
    return points


def closed(upper: Points, lower: Points) -> Points:
    """The polygon between two curves that run the same way."""
    return np.concatenate([upper, lower[::-1]])


class EyeShape:
    """The opening of one eye: two lid curves on the face, from the inner (-1) to the outer (1) corner."""

    def __init__(self, side: float, lid: float, gaze: tuple[float, float]) -> None:
        """``side`` is 1 for the picture's right (the subject's left), -1 for the other."""
        inner, outer = ACROSS * side, EYE_X * side
        self.side = side
        self.x = outer + EYE_HALF * ACROSS
        tilt = -2.5 * inner  # The outer corner is a little higher.
        # The lid follows the eye when it looks down.
        shut = min(1.0, max(-0.3, lid + 0.22 * max(0.0, gaze[1]) * (1 - min(1.0, max(lid, 0.0)))))
        opened = 1 - max(0.0, shut)
        peak = ARCH ** (0.62 - 0.08 * inner)
        self.rest_upper = EYE_Y + tilt - 19.5 * peak
        lower_rest = EYE_Y + tilt + 11.0 * ARCH**0.72
        meet = EYE_Y + tilt + 6.5 * ARCH**0.8
        wide = 3.0 * max(0.0, -shut) * ARCH
        self.upper = meet + (self.rest_upper - meet) * opened - wide
        self.lower = meet + (lower_rest - meet) * (0.25 + 0.75 * opened) * min(1.0, opened * 4) + 0.4 * wide
        self.opened = opened
        self.iris = (outer + 11.0 * gaze[0] - 1.2 * side, EYE_Y - 3.5 + 8.0 * gaze[1])

    def discs(self, sizes: Points3) -> list[Points | None]:
        """Discs on the iris, cut to the opening; None for each of which nothing is left.

        Args:
            sizes: shape (n, 3): radius, and how far to the right and down of the iris's middle.
        """
        radius, dx, dy = sizes.T[:, :, None]
        x = self.iris[0] + dx + radius * ACROSS
        middle, half = self.iris[1] + dy, radius * _ARCH_ROOT
        top = np.maximum(middle - half, np.interp(x, self.x, self.upper, left=1e3, right=1e3))
        bottom = np.minimum(middle + half, np.interp(x, self.x, self.lower, left=-1e3, right=-1e3))
        inside = top < bottom - 1e-3
        some = np.count_nonzero(inside, axis=1)
        return [
            closed(pairs(x[i, within], top[i, within]), pairs(x[i, within], bottom[i, within]))
            if some[i] >= 2
            else None
            for i, within in enumerate(inside)
        ]

    def curve(self, y: npt.NDArray[np.floating[Any]]) -> Points:
        """A lid curve as points on the face."""
        return pairs(self.x, y)


class MouthShape:
    """Lip curves on the face, from corner (-1) to corner (1)."""

    def __init__(self, features: Features) -> None:
        opening, wide = features.mouth_open, features.mouth_wide
        half = 33.0 * (1 + 0.2 * wide) * (1 - 0.16 * opening)
        drop = 47.0 * opening
        self.x = half * ACROSS + 3 * features.mouth_side * opening
        corner = -7.0 * (features.smile + 0.75 - 0.35 * opening) + 0.26 * drop
        base = MOUTH_Y + corner * ACROSS**2
        round_arch = ARCH**0.62
        pucker = 1 - 0.25 * wide
        self.inner_upper = base - (1.5 + 6.5 * opening) * round_arch * min(1.0, opening * 5)
        self.inner_lower = base + drop * round_arch
        bow = 1 - 0.26 * np.exp(-((ACROSS / 0.17) ** 2))
        self.outer_x = self.x * 1.07
        self.outer_upper = self.inner_upper - 8.5 * pucker * (1 - 0.3 * opening) * ARCH**0.8 * bow
        self.outer_lower = self.inner_lower + 11.0 * pucker * (1 - 0.2 * opening) * ARCH**0.75
        gap = self.inner_lower - self.inner_upper
        self.gap = float(gap.max())
        """Widest opening in design units."""
        teeth = np.minimum(11.5, 0.62 * self.gap) * (0.72 + 0.28 * np.sqrt(ARCH))
        self.teeth = np.minimum(self.inner_upper + teeth, self.inner_lower)
        """Lower edge of the upper teeth."""
        lower_teeth = max(0.0, 6.0 * (opening - 0.45) / 0.55) * ARCH**0.4
        self.lower_teeth = np.maximum(self.inner_lower - lower_teeth, self.teeth)
        tongue = MOUTH_Y + drop * (0.62 + 0.5 * ACROSS**2)
        self.tongue = np.clip(np.maximum(tongue, self.teeth), None, self.inner_lower)
        """Upper edge of the tongue."""

    def at(self, y: npt.NDArray[np.floating[Any]], *, outer: bool = False) -> Points:
        """A lip curve as points on the face."""
        return pairs(self.outer_x if outer else self.x, y)
