"""From a face pose to the few numbers a 2D drawing needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX

_ABSURD: Final = 10.0
"""Radians, metres, coefficients: whatever is larger is cut to this before anything else."""

_BREATH: Final = 0.006
"""Rise of the head with a breath, in head heights."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the drawing shows, each within fixed bounds."""

    yaw: float
    """Turn of the head to the subject's left (the picture's right), radians, -0.62 to 0.62."""
    pitch: float
    """Nod down, radians, -0.45 to 0.45."""
    roll: float
    """Tilt counterclockwise in the picture, radians, -0.5 to 0.5."""
    sway: float
    """Turn of the whole body to the picture's right, -1 to 1."""
    shift: tuple[float, float]
    """Shift of the head in the picture, in head heights: right, down; -0.3 to 0.3."""
    scale: float
    """Size by distance, 0.8 to 1.25."""
    mouth_open: float
    """0 shut, 0.3 ordinary speech, 1 wide open."""
    mouth_side: float
    """Jaw shifted to the picture's right, -1 to 1."""
    mouth_wide: float
    """-1 rounded, 0 neutral, 1 stretched."""
    smile: float
    """-1 corners down, 1 corners up."""
    brow: float
    """-1 lowered, 1 raised."""
    lids: tuple[float, float]
    """Left, right eyelid: 0 open, 1 shut, down to -0.3 for wide eyes."""
    gaze: tuple[tuple[float, float], tuple[float, float]]
    """Left, right eye: to the picture's right, down; -1 to 1."""


def soft_clip(value: float, limit: float) -> float:
    """``value`` bent smoothly to stay within ``limit``; unchanged to first order around zero."""
    return limit * math.tanh(value / limit)


def rotation_matrix(vector: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Axis-angle, shape (3,), radians, to a rotation matrix, shape (3, 3) (Rodrigues)."""
    x, y, z = (float(part) for part in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-9:
        return np.eye(3)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) / angle
    rotation: npt.NDArray[np.float64] = (
        np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    )
    return rotation


def features(pose: FacePose) -> Features:
    """What the drawing shows of ``pose``; never fails, whatever the numbers are."""
    numbers = _bounded(pose.coefficients)

    def of(name: str) -> float:
        return float(numbers[ARKIT_INDEX[name]])

    def both(name: str) -> float:
        return (of(f"{name}Left") + of(f"{name}Right")) / 2

    rotation, gaze = _bounded(pose.rotation), _bounded(pose.gaze).reshape(2, 3)
    yaw, pitch, roll = _head(rotation)
    x, y, z = (float(part) for part in _bounded(pose.translation))
    breath = float(_bounded(np.array(pose.breath)))
    lips = of("jawOpen") + 0.25 * both("mouthLowerDown") + 0.15 * both("mouthUpperUp")
    wide = both("mouthStretch") + 0.5 * both("mouthSmile") - of("mouthPucker") - 0.8 * of("mouthFunnel")
    brow = 0.5 * (of("browInnerUp") + both("browOuterUp")) - both("browDown")
    return Features(
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        sway=soft_clip(float(rotation[1]) / 2 + 2 * x, 1.0),
        # A head is about 0.24 m high.
        shift=(soft_clip(x / 0.24, 0.3), soft_clip(-y / 0.24 - _BREATH * breath, 0.3)),
        scale=math.exp(soft_clip(z / 1.2, 0.22)),
        # Lips that are pressed or rolled in stay shut.
        mouth_open=min(1.0, max(0.0, lips - of("mouthClose"))),
        mouth_side=soft_clip(of("jawLeft") - of("jawRight") + of("mouthLeft") - of("mouthRight"), 1.0),
        mouth_wide=soft_clip(1.3 * wide, 1.0),
        smile=soft_clip(both("mouthSmile") - both("mouthFrown"), 1.0),
        brow=soft_clip(brow, 1.0),
        lids=(_lid(of("eyeBlinkLeft"), of("eyeWideLeft")), _lid(of("eyeBlinkRight"), of("eyeWideRight"))),
        gaze=(_gaze(gaze[0]), _gaze(gaze[1])),
    )


def _bounded(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if np.all(np.abs(numbers) <= _ABSURD):
        return numbers
    finite = np.nan_to_num(numbers, posinf=_ABSURD, neginf=-_ABSURD)
    return np.clip(finite, -_ABSURD, _ABSURD)


def _head(rotation: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    turn = rotation_matrix(rotation)
    # Euler angles of turn = Ry(yaw) Rx(pitch) Rz(roll).
    yaw = math.atan2(turn[0, 2], turn[2, 2])
    pitch = math.asin(min(1.0, max(-1.0, -turn[1, 2])))
    roll = math.atan2(turn[1, 0], turn[1, 1])
    return soft_clip(yaw, 0.62), soft_clip(pitch, 0.45), soft_clip(roll, 0.5)


def _lid(blink: float, wide: float) -> float:
    return min(1.0, max(-0.3, blink - 0.3 * wide))


def _gaze(rotation: npt.NDArray[np.float64]) -> tuple[float, float]:
    # 0.5 rad is as far as an eye turns in conversation.
    return math.tanh(float(rotation[1]) / 0.42), math.tanh(float(rotation[0]) / 0.42)
