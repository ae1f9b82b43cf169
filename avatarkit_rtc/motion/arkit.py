"""ARKit's 52 coefficients from one motion frame, so that any renderer with ARKit's shapes can be driven."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from avatarkit_rtc.motion.frame import FloatArray, MotionFrame

JAW_WIDE: Final = 0.4
"""Radians of FLAME's jaw rotation that become ``jawOpen`` 1."""

JAW_KNEE: Final = 0.11
"""Radians at which the jaw's gain has fallen to half: real streams move the jaw by 0.035 only, and a mouth
that opened in proportion would look mute."""

JAW_ASIDE: Final = 0.17
"""Radians of the jaw's turn that become ``jawLeft`` or ``jawRight`` 1, about as far as a jaw goes."""

GAZE_FULL: Final = 0.52
"""Radians (30 degrees) of an eye's turn that become 1. Apple gives no angle; 30 degrees is what common rigs
of these shapes take."""

_ABSURD: Final = 10.0


def jaw_opening(jaw_x: float) -> float:
    """Opening of the mouth, 0 to 1, for a jaw rotation in radians.

    Steep near zero, as real streams move the jaw by 0.035 rad at most, and flat towards 0.4, where others go.
    """
    bent = max(0.0, jaw_x) / (max(0.0, jaw_x) + JAW_KNEE)
    return min(1.0, bent / (JAW_WIDE / (JAW_WIDE + JAW_KNEE)))


def jaw_rotation(opening: float) -> float:
    """The jaw rotation in radians, 0 to :data:`JAW_WIDE`, that :func:`jaw_opening` makes ``opening`` of."""
    bent = min(1.0, max(0.0, opening)) * (JAW_WIDE / (JAW_WIDE + JAW_KNEE))
    return JAW_KNEE * bent / (1.0 - bent)


def to_arkit(frame: MotionFrame) -> FloatArray:
    """ARKit's 52 coefficients of ``frame``: shape (52,), float32, 0 to 1, in the order of
    :data:`~avatarkit_rtc.motion.arkit_names.ARKIT_NAMES`.

    ===================  ===================================================================================
    FLAME                ARKit
    ===================  ===================================================================================
    ``jaw_pose``         ``jawOpen`` (see :func:`jaw_opening`), ``jawLeft``, ``jawRight``
    ``eye_pose``         ``eyeLookUp/Down/In/Out`` of each eye, 1 at :data:`GAZE_FULL`
    ``eye_lid``          ``eyeBlinkLeft/Right``; below zero ``eyeWideLeft/Right``
    ===================  ===================================================================================

    Rotation and translation of the head are no coefficients: take them from the frame. The expression is left
    out: what its numbers mean stands in FLAME's model file only. With that file
    :class:`avatarkit_rtc.face.FaceDriver` takes the expression as well, and without it moves the mouth by the
    avatar's sound; it also takes off the constant offsets that streams have. This function knows one frame
    only, and depends on it alone. Values that are not finite count as zero.
    """
    values = frame.values
    if not np.all(np.abs(values) <= _ABSURD):
        frame = MotionFrame(
            np.clip(np.nan_to_num(values, posinf=_ABSURD, neginf=-_ABSURD), -_ABSURD, _ABSURD)
        )
    out = np.zeros(len(ARKIT_NAMES), np.float32)
    jaw, eyes, lids = frame.jaw_pose, frame.eye_pose, frame.eye_lid
    out[ARKIT_INDEX["jawOpen"]] = jaw_opening(float(jaw[0]))
    _either(out, "jawLeft", "jawRight", float(jaw[1]) / JAW_ASIDE)
    set_gaze(out, eyes.reshape(2, 3))
    for side, lid in zip(("Left", "Right"), lids, strict=True):
        _either(out, f"eyeBlink{side}", f"eyeWide{side}", float(lid))
    return out


def set_gaze(coefficients: FloatArray, gaze: FloatArray) -> None:
    """Write the eight ``eyeLook…`` coefficients into ``coefficients``, shape (52,), of a gaze.

    Args:
        coefficients: changed in place.
        gaze: left and right eye, shape (2, 3), axis-angle in radians (+x looks down, +y to the subject's
        left).
    """
    for side, outward, turn in (("Left", 1.0, gaze[0]), ("Right", -1.0, gaze[1])):
        _either(coefficients, f"eyeLookDown{side}", f"eyeLookUp{side}", float(turn[0]) / GAZE_FULL)
        _either(coefficients, f"eyeLookOut{side}", f"eyeLookIn{side}", outward * float(turn[1]) / GAZE_FULL)


def _either(out: FloatArray, positive: str, negative: str, value: float) -> None:
    out[ARKIT_INDEX[positive]] = min(1.0, max(0.0, value))
    out[ARKIT_INDEX[negative]] = min(1.0, max(0.0, -value))
