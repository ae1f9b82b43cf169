"""Tools for painting textures: what is known of each texel, noise, and mixing of colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats

_NOISE_SIDE: Final = 256
_SEED: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a stretch of texture lies on; arrays of shape (height, width)."""

    place: Floats
    """Where each texel is on the mean person, shape (height, width, 3), decimetres."""
    lips: Floats
    lids: Floats
    ears: Floats
    light: Floats
    """As in the asset: masks, and how much of the sky is seen."""
    hair: Floats
    """How far hair stands off, decimetres."""

    @property
    def x(self) -> Floats:
        return self.place[:, :, 0]

    @property
    def y(self) -> Floats:
        return self.place[:, :, 1]

    @property
    def z(self) -> Floats:
        return self.place[:, :, 2]


def color(code: str) -> Floats:
    """``#rrggbb`` as red, green, blue, 0 to 1 (gamma-encoded, as everything painted here)."""
    return np.array([int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)], np.float32)


def mix(base: Floats, over: Floats, amount: Floats | float) -> Floats:
    """``base`` covered by ``over`` (a colour or a picture) by ``amount``, 0 to 1."""
    part = np.asarray(amount, dtype=np.float32)
    part = part[..., None] if part.ndim else part
    return np.asarray(base + (over - base) * part, dtype=np.float32)


def tint(base: Floats, factor: Floats | float) -> Floats:
    """``base`` made brighter or darker by ``factor``."""
    part = np.asarray(factor, dtype=np.float32)
    return np.asarray(base * (part[..., None] if part.ndim else part), dtype=np.float32)


def step(low: float, high: float, value: Floats) -> Floats:
    """0 below ``low``, 1 above ``high`` (which may be the lower one), smooth in between."""
    part = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), dtype=np.float32)


def spot(ground: Ground, center: tuple[float, float, float], size: float) -> Floats:
    """A soft spot at ``center`` and at its mirror image, 1 in the middle."""
    away = (np.abs(ground.x) - center[0]) ** 2 + (ground.y - center[1]) ** 2 + (ground.z - center[2]) ** 2
    return np.asarray(np.exp(-away / (2 * size * size)), dtype=np.float32)


@cache
def _noise_tile() -> npt.NDArray[np.float32]:
    return np.random.default_rng(_SEED).uniform(-1, 1, (_NOISE_SIDE, _NOISE_SIDE)).astype(np.float32)


def noise(u: Floats, v: Floats) -> Floats:
    """Smooth noise, -1 to 1, one lump per unit of ``u`` and ``v``; the same for the same place."""
    import cv2

    # Not np.mod(), which takes several times as long.
    parts = (np.asarray(part, np.float32) for part in (u, v))
    map_u, map_v = (part - _NOISE_SIDE * np.floor(part * np.float32(1 / _NOISE_SIDE)) for part in parts)
    # OpenCV takes no more than 32767 rows or columns: lists of places go in as blocks.
    shape, size = map_u.shape, map_u.size
    wide = 4096 if len(shape) == 1 else shape[1]
    pad = -size % wide
    map_u, map_v = (np.pad(part.ravel(), (0, pad)).reshape(-1, wide) for part in (map_u, map_v))
    lumps = cv2.remap(_noise_tile(), map_u, map_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(lumps.ravel()[:size].reshape(shape), dtype=np.float32)


def along_line(places: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Distance of ``places`` from a polyline, and how far along it (0 to 1) they are.

    Args:
        places: Shape (n, d).
        points: Shape (m, d).
    """
    lengths = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    best = np.full(len(places), np.inf)
    where = np.zeros(len(places))
    for number, start in enumerate(points[:-1]):
        way = points[number + 1] - start
        part = np.clip((places - start) @ way / (way @ way), 0, 1)
        away = np.linalg.norm(places - start - part[:, None] * way, axis=1)
        nearer = away < best
        best = np.where(nearer, away, best)
        length = lengths[number] + part * (lengths[number + 1] - lengths[number])
        where = np.where(nearer, length / lengths[-1], where)
    return best.astype(np.float32), where.astype(np.float32)
