"""What a face needs to be drawn: coefficients of its shapes, and how head and eyes are turned."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from avatarkit_rtc.motion.frame import FloatArray


def _still() -> FloatArray:
    return np.zeros(3, np.float32)


def _straight() -> FloatArray:
    return np.zeros((2, 3), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FacePose:
    """One moment of a face. Axes as in :class:`~avatarkit_rtc.motion.frame.MotionFrame`."""

    coefficients: FloatArray
    """ARKit's coefficients, shape (52,), float32, 0 to 1, in the order of
    :data:`~avatarkit_rtc.motion.arkit_names.ARKIT_NAMES`."""
    rotation: FloatArray = field(default_factory=_still)
    """Head against the shoulders, shape (3,), axis-angle in radians (+x nods down, +y turns to the subject's
    left, +z tilts counterclockwise in the picture)."""
    gaze: FloatArray = field(default_factory=_straight)
    """Left and right eye against the head, shape (2, 3), axis-angle in radians (+x down, +y to the subject's
    left). The ``eyeLook…`` coefficients say the same."""
    translation: FloatArray = field(default_factory=_still)
    """Shift of head and shoulders, shape (3,), metres (x: subject's left, y: up, z: to the viewer)."""
    breath: float = 0.0
    """How far breathed in, 0 to 1."""
