"""Axis-angle vectors mixed as rotations, through unit quaternions.

All functions take and return float arrays of shape (n, 3), one axis-angle vector (radians) a row; see
Shoemake, "Animating rotation with quaternion curves" (SIGGRAPH 1985), for the mathematics.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

RotationVectors: TypeAlias = npt.NDArray[np.floating]

_TINY: Final = 1e-8


def _quaternions(vectors: RotationVectors) -> npt.NDArray[np.float64]:
    """Unit quaternions (w, x, y, z), shape (n, 4)."""
    half = 0.5 * vectors.astype(np.float64)
    angle = np.sqrt((half * half).sum(axis=1, keepdims=True))
    # sin(x)/x, with its limit where x is next to nothing
    scale = np.where(angle > _TINY, np.sin(angle) / np.maximum(angle, _TINY), 1.0)
    return np.concatenate([np.cos(angle), scale * half], axis=1)


def _vectors(quaternions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Axis-angle vectors of the shorter way round, shape (n, 3)."""
    shortest = np.where(quaternions[:, :1] < 0.0, -quaternions, quaternions)
    axis = shortest[:, 1:]
    length = np.sqrt((axis * axis).sum(axis=1, keepdims=True))
    angle = 2.0 * np.arctan2(length, shortest[:, :1])
    return np.where(length > _TINY, angle / np.maximum(length, _TINY), 2.0) * axis


def _multiply(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    aw, ax, ay, az = a.T
    bw, bx, by, bz = b.T
    product = (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )
    return np.stack(product, axis=1)


def relative(a: RotationVectors, b: RotationVectors) -> npt.NDArray[np.float64]:
    """The rotations that lead from ``a`` to ``b``, seen from ``a``."""
    inverse = _quaternions(a)
    inverse[:, 1:] *= -1.0
    return _vectors(_multiply(inverse, _quaternions(b)))


def compose(a: RotationVectors, further: RotationVectors) -> npt.NDArray[np.float64]:
    """``a``, and then ``further`` as seen from ``a``: ``compose(a, relative(a, b))`` is ``b``."""
    return _vectors(_multiply(_quaternions(a), _quaternions(further)))


def slerp(a: RotationVectors, b: RotationVectors, weight: float) -> npt.NDArray[np.float64]:
    """The rotations ``weight`` (0 … 1) of the shorter way from ``a`` to ``b``, at constant speed."""
    both = _quaternions(np.concatenate([a, b]))
    qa, qb = both[: len(a)], both[len(a) :]
    cosine = (qa * qb).sum(axis=1, keepdims=True)
    angle = np.arccos(np.minimum(np.abs(cosine), 1.0))
    sine = np.maximum(np.sin(angle), _TINY)
    still = angle < 1e-6  # nearer than that a straight line is the arc
    wa = np.where(still, 1.0 - weight, np.sin((1.0 - weight) * angle) / sine)
    wb = np.where(still, weight, np.sin(weight * angle) / sine)
    return _vectors(wa * qa + np.copysign(wb, cosine) * qb)
