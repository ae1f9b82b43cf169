"""Where hair grows and how far it stands off: fields over the head, and the meshes of hair that hangs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from renderers.head.asset import Floats
from renderers.head.looks import HairStyle

AXIS_Z: Final = 0.30
"""The head's upright axis goes through x = 0 and this z."""

# The hairline of the mean person: height (decimetres above the joint of the neck) by the angle around the
# axis, 0 in front, pi behind: forehead, temple, sideburn, above and behind the ear, nape.
_ANGLES: Final = (0.0, 0.30, 0.52, 0.70, 0.84, 0.95, 1.04, 1.12, 1.30, 1.42, 1.72, 1.90, 2.2, 2.6, math.pi)
_HEIGHTS: Final = (2.04, 2.04, 2.00, 1.90, 1.76, 1.60, 1.42, 1.24, 1.22, 1.42, 1.34, 1.05, 0.85, 0.76, 0.74)


@dataclass(frozen=True, slots=True)
class Cut:
    """Lengths of a hair style, decimetres."""

    top: float
    side: float
    bumps: float = 0.0
    """How uneven the surface is."""
    quiff: float = 0.0
    """What the hair above the forehead stands up beyond the rest."""
    soft: float = 0.05
    """Width of the zone in which hair fades into skin."""
    hang: float | None = None
    """Height at which hanging hair ends."""
    bun: bool = False


CUTS: Final[dict[HairStyle, Cut]] = {
    "bald": Cut(top=0.0, side=0.0),
    "crop": Cut(top=0.035, side=0.02, soft=0.09),
    "short": Cut(top=0.17, side=0.07, quiff=0.05, bumps=0.012),
    "swept": Cut(top=0.20, side=0.06, quiff=0.13, bumps=0.018),
    "curly": Cut(top=0.40, side=0.30, bumps=0.05, soft=0.06),
    "bob": Cut(top=0.16, side=0.12, quiff=0.02, hang=0.32),
    "long": Cut(top=0.13, side=0.11, hang=-0.75),
    "bun": Cut(top=0.09, side=0.045, quiff=0.02, bun=True),
}


def smooth_step(low: float, high: float, value: Floats) -> Floats:
    """0 below ``low``, 1 above ``high``, smooth in between."""
    part = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), dtype=np.float32)


def above_hairline(places: Floats) -> Floats:
    """How far inside the hair each place lies, decimetres along the skin; negative is bare.

    Args:
        places: Points on the mean person's head, shape (..., 3).
    """
    x, y, z = places[..., 0], places[..., 1], places[..., 2]
    angle = np.arctan2(np.abs(x), z - AXIS_Z)
    angles, heights, slopes = _hairline()
    above = y - np.interp(angle, angles, heights)
    radius = np.maximum(np.hypot(x, z - AXIS_Z), 0.2)
    across = above / np.sqrt(1 + (np.interp(angle, angles, slopes) / radius) ** 2)
    # Further up the line's slope says nothing any more.
    far = smooth_step(0.05, 0.45, above)
    return np.asarray(across + (above - across) * far, dtype=np.float32)


@cache
def _hairline() -> tuple[Floats, Floats, Floats]:
    """Angles, and the hairline's height and slope there, with round corners."""
    angles = np.linspace(0, math.pi, 400)
    heights = np.interp(angles, _ANGLES, _HEIGHTS)
    width = 12
    kernel = np.hanning(2 * width + 1)
    smooth = np.convolve(np.pad(heights, width, mode="edge"), kernel / kernel.sum(), mode="valid")
    return angles, smooth, np.gradient(smooth, angles)


def thickness(places: Floats, ears: Floats, cut: Cut) -> Floats:
    """How far hair stands off the skin at ``places`` (shape (n, 3)), decimetres, shape (n,)."""
    inside = above_hairline(places)
    upper = smooth_step(1.45, 2.15, places[:, 1])
    length = cut.side + (cut.top - cut.side) * upper
    grown = smooth_step(0.0, 0.10 + 1.2 * cut.top, inside)
    front = smooth_step(0.75, 1.15, places[:, 2]) * smooth_step(0.02, 0.16, inside)
    # The parting's side is lower than the other.
    lean = 0.75 + 0.35 * np.tanh(places[:, 0] * 2.2)
    height = length * grown + cut.quiff * front * lean
    if cut.bumps:
        height = height + cut.bumps * _bumps(places) * grown
    return np.asarray(np.maximum(height, 0) * (1 - np.clip(ears * 3, 0, 1)), dtype=np.float32)


def _bumps(places: Floats) -> Floats:
    """A lumpy field, -1 to 1: three waves across each other."""
    x, y, z = (places * 9.0).T
    return np.asarray(
        (np.sin(x + 1.7 * np.sin(0.7 * y)) + np.sin(1.13 * y + 1.3 * np.sin(z)) + np.sin(0.9 * z + np.sin(x)))
        / 3,
        dtype=np.float32,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A mesh of hair of its own: a grid of vertices."""

    points: Floats
    """Shape (rows, columns, 3)."""
    canonical_uv: Floats
    """Place in the sheet's own texture, shape (rows, columns, 2), 0 to 1: around, and down."""
    turning: Floats
    """How far each vertex goes along with the head, shape (rows, columns)."""


def hanging_hair(scalp: Floats, cut: Cut) -> Sheet:
    """Hair that hangs from the temples and the back of the head: a curtain, open in front.

    Args:
        scalp: Vertices of the head with the hair on it, shape (n, 3); the curtain goes around them.
    """
    import cv2

    assert cut.hang is not None
    columns, rows = 31, 13
    top = 1.80
    part = np.linspace(0, 1, rows)
    height = top - (top - cut.hang) * part
    # The front edge: at the temple's hairline, over the ear, then down beside the cheek.
    opening = np.interp(
        height, [-0.8, 0.0, 0.4, 0.8, 1.15, 1.4, 1.6, 1.80], [0.98, 0.93, 0.88, 0.84, 0.86, 0.93, 1.00, 1.04]
    )
    across = np.linspace(-1, 1, columns)
    # Closer columns at the two front edges, which are what is seen.
    across = np.sign(across) * (1 - (1 - np.abs(across)) ** 1.25)
    angle = math.pi - (math.pi - opening[:, None]) * np.abs(across)[None]
    side = np.sign(across)[None]
    radius = _hull(scalp, angle, np.broadcast_to(side, angle.shape), height)
    # Hanging hair does not follow the head inwards; it draws in a little at the tips.
    for row in range(1, rows):
        radius[row] = np.maximum(radius[row], radius[row - 1] + 0.004)
    radius = np.asarray(cv2.GaussianBlur(radius, (1, 7), 1.5, borderType=cv2.BORDER_REPLICATE))
    fall = np.clip((1.1 - height) / (1.1 - cut.hang), 0, 1)[:, None]
    radius = radius * (1 + 0.05 * np.sin(fall * math.pi)) - 0.13 * fall**2
    # Its upper rim is drawn over the hair of the head, within that hair's outline.
    radius += (-0.05 + 0.075 * smooth_step(0.0, 0.30, part))[:, None]
    wave = 0.012 * np.sin(11 * height[:, None] + 5 * across[None]) + 0.014 * np.sin(np.abs(across)[None] * 37)
    radius = radius + wave * smooth_step(0.1, 0.5, part)[:, None]
    x = side * radius * np.sin(angle)
    z = AXIS_Z + radius * np.cos(angle)
    tips = 0.03 * np.sin(across * 9) * smooth_step(0.7, 1.0, part)[:, None]
    y = np.broadcast_to(height[:, None], x.shape) + tips
    points = np.stack([x, y, z], 2).astype(np.float32)
    uv = np.stack(np.broadcast_arrays((across[None] + 1) / 2, part[:, None]), 2).astype(np.float32)
    # Below the shoulders' height the tips stay behind when the head turns.
    turning = smooth_step(-1.3, 0.6, y.astype(np.float32)) * 0.5 + 0.5
    return Sheet(points, uv, np.asarray(turning, dtype=np.float32))


def _hull(scalp: Floats, angle: Floats, side: Floats, height: Floats) -> Floats:
    """Distance of the surface from the axis at each angle and height (means of the vertices nearby)."""
    import cv2

    own_angle = np.arctan2(scalp[:, 0], scalp[:, 2] - AXIS_Z)
    own_radius = np.hypot(scalp[:, 0], scalp[:, 2] - AXIS_Z)
    radius = np.zeros(angle.shape)
    for row, level in enumerate(height):
        rise = ((scalp[:, 1] - level) / 0.07) ** 2
        for column in range(angle.shape[1]):
            turn = own_angle - side[row, column] * angle[row, column]
            turn = (turn + math.pi) % (2 * math.pi) - math.pi
            weight = np.exp(-rise - (turn / 0.10) ** 2)
            radius[row, column] = (weight * own_radius).sum() / max(weight.sum(), 1e-12)
    return np.asarray(cv2.GaussianBlur(radius, (5, 5), 1.0), dtype=np.float64)


def knot() -> Sheet:
    """A bun behind the crown: a ball."""
    rows, columns = 12, 20
    polar = np.linspace(0.02, math.pi - 0.02, rows)[:, None]
    # The seam is behind.
    turn = np.linspace(-math.pi, math.pi, columns)[None]
    direction = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)), 2
    )
    lumps = 1 + 0.04 * np.sin(3 * turn + 4 * polar)[..., None]
    points = np.array([0, 2.50, -0.12]) + direction * np.array([0.42, 0.36, 0.40]) * lumps
    uv = np.stack(np.broadcast_arrays(turn / (2 * math.pi) + 0.5, polar / math.pi), 2)
    return Sheet(points.astype(np.float32), uv.astype(np.float32), np.ones((rows, columns), np.float32))
