"""Poses between poses. Rotations are mixed as rotations, everything else component by component."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FIELD_SLICES, FloatArray, MotionFrame
from avatarkit_rtc.playout.rotation import compose, relative, slerp

_Floats: TypeAlias = npt.NDArray[Any]

_ROTATIONS: Final = slice(FIELD_SLICES["rotation"].start, FIELD_SLICES["eye_pose"].stop)
"""Head, neck, jaw and both eyes: five axis-angle vectors side by side."""


def _rotations(values: FloatArray) -> FloatArray:
    return values[_ROTATIONS].reshape(-1, 3)


def _with_rotations(values: FloatArray, a: FloatArray, further: _Floats) -> MotionFrame:
    """``values``, with the rotations of ``a`` turned ``further``."""
    values[_ROTATIONS] = compose(_rotations(a), further).reshape(-1)
    return MotionFrame.adopt(values)


def blend(a: MotionFrame, b: MotionFrame, weight: float) -> MotionFrame:
    """The pose ``weight`` (0 … 1) of the way from ``a`` to ``b``."""
    if weight <= 0.0:
        return a
    if weight >= 1.0:
        return b
    pa, pb = a.values, b.values
    values = pa + np.float32(weight) * (pb - pa)
    values[_ROTATIONS] = slerp(_rotations(pa), _rotations(pb), weight).reshape(-1)
    return MotionFrame.adopt(values)


def with_mouth(frame: MotionFrame, mouth: MotionFrame) -> MotionFrame:
    """``frame`` with the jaw and the expression of ``mouth``."""
    values = frame.values.copy()
    for name in ("jaw_pose", "expression"):
        values[FIELD_SLICES[name]] = mouth.values[FIELD_SLICES[name]]
    return MotionFrame.adopt(values)


def ease(x: float) -> float:
    """Smoothstep: 0 … 1 for x in 0 … 1 with no velocity at either end."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def hermite(
    a: MotionFrame,
    b: MotionFrame,
    *,
    before: MotionFrame | None,
    after: MotionFrame | None,
    span: float,
    weight: float,
) -> MotionFrame:
    """Cubic Hermite between two poses ``span`` intervals apart, with the velocities their neighbours suggest
    (Catmull-Rom on uneven spacing). Rotations are interpolated as seen from ``a``.

    Args:
        a: pose at weight 0.
        b: pose at weight 1.
        before: the frame one interval before ``a``; None for none.
        after: the frame one interval after ``b``; None for none.
        span: intervals from ``a`` to ``b``.
        weight: 0 … 1.
    """
    central = span / (span + 1.0)
    w2, w3 = weight * weight, weight**3
    of_b, of_va, of_vb = 3 * w2 - 2 * w3, w3 - 2 * w2 + weight, w3 - w2

    def cubic(chord: _Floats, back: _Floats | None, beyond: _Floats | None) -> _Floats:
        # All as seen from a, which is zero here.
        va = chord if back is None else central * (chord - back)
        vb = chord if beyond is None else central * beyond
        return of_b * chord + of_va * va + of_vb * vb

    frames = (b, before, after)
    pa = a.values
    moves = [frame.values - pa if frame is not None else None for frame in frames]
    turns = [
        relative(_rotations(pa), _rotations(frame.values)) if frame is not None else None for frame in frames
    ]
    assert moves[0] is not None
    assert turns[0] is not None
    values = (pa + cubic(moves[0], moves[1], moves[2])).astype(np.float32, copy=False)
    return _with_rotations(values, pa, cubic(turns[0], turns[1], turns[2]))


EASE_OUT: Final = (0.25, 0.35)
"""How far a face goes on that has to stop, in steps of its last motion: a quarter, then a little more, then
not at all. (Going on for longer is further from the truth than standing still.)"""


def ease_out(before: MotionFrame | None, last: MotionFrame, held: int) -> MotionFrame:
    """The pose to hold while the next frame is missing, after ``held`` (1, 2, …) intervals of holding.

    Args:
        before: the frame one interval before ``last``; None for none, and no easing.
        last: the last pose.
        held: intervals since ``last`` was shown.
    """
    if before is None:
        return last
    further = EASE_OUT[min(held, len(EASE_OUT)) - 1]
    values = last.values + np.float32(further) * (last.values - before.values)
    turned = relative(_rotations(last.values), _rotations(before.values))
    return _with_rotations(values, last.values, -further * turned)
