"""Poses between poses."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatarkit_rtc.motion.frame import MotionFrame


def blend(a: MotionFrame, b: MotionFrame, weight: float) -> MotionFrame:
    """The pose ``weight`` (0 … 1) of the way from ``a`` to ``b``, component by component.

    Axis-angle vectors of the few tenths of a radian that a talking head turns may be mixed like this: the
    error against a proper rotation is of third order in the angle.
    """
    if weight <= 0.0:
        return a
    if weight >= 1.0:
        return b
    return MotionFrame.adopt(a.values + np.float32(weight) * (b.values - a.values))


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
    (Catmull-Rom on uneven spacing).

    Args:
        a: pose at weight 0.
        b: pose at weight 1.
        before: the frame one interval before ``a``; None for none.
        after: the frame one interval after ``b``; None for none.
        span: intervals from ``a`` to ``b``.
        weight: 0 … 1.
    """
    pa, pb = a.values, b.values
    chord = pb - pa
    central = np.float32(span / (span + 1))
    va = central * (pb - before.values) if before is not None else chord
    vb = central * (after.values - pa) if after is not None else chord
    w = np.float32(weight)
    w2, w3 = w * w, w * w * w
    values = (2 * w3 - 3 * w2 + 1) * pa + (w3 - 2 * w2 + w) * va + (3 * w2 - 2 * w3) * pb + (w3 - w2) * vb
    return MotionFrame.adopt(values)


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
    further = np.float32(EASE_OUT[min(held, len(EASE_OUT)) - 1])
    return MotionFrame.adopt(last.values + further * (last.values - before.values))
