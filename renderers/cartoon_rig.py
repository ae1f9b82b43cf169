"""From FLAME parameters to the few numbers a 2D drawing needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_SIZE, MotionFrame

_ABSURD: Final = 10.0
"""Radians, metres, standard deviations: whatever is larger is cut to this before anything else."""

_JAW_WIDE: Final = 0.4
"""Radians of jaw rotation drawn as wide open."""
_JAW_KNEE: Final = 0.11
"""Radians at which the jaw's gain has fallen to half: real speech moves the jaw by 0.035 only."""

_MEAN_FRAMES: Final = 75
"""Time constant of the running mean of the expression (3 s): offsets of a clip fade, speech stays."""
_SETTLE_SIGMA: Final = 1.5
"""Standard deviations from the mean beyond which the mean hurries after the expression."""
_USED: Final = 10
"""Expression coefficients that are used: the basis is sorted, the first ones carry most."""

# Which coefficient moves what is known only with FLAME's model file. The signs follow how the first ones go
# with the loudness of real speech, the sizes are chosen by eye: lively, bounded shapes, not the true ones.
_OPEN_WEIGHTS: Final = np.array([-0.7, 0.3, 0.0, 0.35, 0.0, -0.35, 0.0, 0.0, 0.5, 0.0])
_WIDE_WEIGHTS: Final = np.array([0.0, 0.5, -0.9, 0.0, -0.5, 0.0, -0.6, 0.4, 0.0, 0.3])
_SMILE_WEIGHTS: Final = np.array([0.0, 0.7, 0.0, 0.3, 0.0, 0.0, 0.4, 0.0, 0.0, -0.4])
_BROW_WEIGHTS: Final = np.array([0.0, 0.0, 0.3, 0.0, 0.5, 0.0, 0.0, 0.3, 0.0, 0.3])


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


def jaw_opening(jaw_x: float) -> float:
    """Opening of the mouth, 0 to 1, for a jaw rotation in radians.

    Steep near zero, as real streams move the jaw by 0.035 rad at most, and flat towards 0.4, where others go.
    """
    bent = max(0.0, jaw_x) / (max(0.0, jaw_x) + _JAW_KNEE)
    return min(1.0, bent / (_JAW_WIDE / (_JAW_WIDE + _JAW_KNEE)))


class CartoonRig:
    """Turns frames into :class:`Features`; remembers a running mean of the expression."""

    def __init__(self) -> None:
        self._mean: npt.NDArray[np.float64] | None = None

    def features(self, frame: MotionFrame) -> Features:
        """The features of the next ``frame``; never fails, whatever the numbers are."""
        if frame.values.shape != (FRAME_SIZE,) or not np.all(np.abs(frame.values) <= _ABSURD):
            values = np.resize(np.nan_to_num(frame.values, posinf=_ABSURD, neginf=-_ABSURD), FRAME_SIZE)
            frame = MotionFrame(np.clip(values, -_ABSURD, _ABSURD))
        yaw, pitch, roll = self._head(frame)
        mouth_open, wide, smile, brow = self._mouth(frame)
        x, y, z = (float(part) for part in frame.translation)
        eyes = frame.eye_pose
        jaw = float(frame.jaw_pose[1])
        return Features(
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            sway=soft_clip(float(frame.rotation[1]) + 2 * x, 1.0),
            # A head is about 0.24 m high.
            shift=(soft_clip(x / 0.24, 0.3), soft_clip(-y / 0.24, 0.3)),
            scale=math.exp(soft_clip(z / 1.2, 0.22)),
            mouth_open=mouth_open,
            mouth_side=soft_clip(jaw * 6, 1.0),
            mouth_wide=wide,
            smile=smile,
            brow=brow,
            lids=(_lid(frame.eye_lid[0]), _lid(frame.eye_lid[1])),
            gaze=(_gaze(eyes[0:3]), _gaze(eyes[3:6])),
        )

    @staticmethod
    def _head(frame: MotionFrame) -> tuple[float, float, float]:
        turn = rotation_matrix(frame.rotation) @ rotation_matrix(frame.neck_pose)
        # Euler angles of turn = Ry(yaw) Rx(pitch) Rz(roll).
        yaw = math.atan2(turn[0, 2], turn[2, 2])
        pitch = math.asin(min(1.0, max(-1.0, -turn[1, 2])))
        roll = math.atan2(turn[1, 0], turn[1, 1])
        return soft_clip(yaw, 0.62), soft_clip(pitch, 0.45), soft_clip(roll, 0.5)

    def _mouth(self, frame: MotionFrame) -> tuple[float, float, float, float]:
        used = np.asarray(frame.expression[:_USED], dtype=np.float64)
        if self._mean is None:
            self._mean = used.copy()
        away = used - self._mean
        distance = float(np.sqrt(np.mean(away * away)))
        rate = 1 / _MEAN_FRAMES
        if distance > _SETTLE_SIGMA:
            # Another clip with other offsets, or idle: what is so far off is no mouth shape of this one.
            rate = min(0.35, rate + 0.25 * (distance - _SETTLE_SIGMA))
        self._mean += rate * away
        jaw = jaw_opening(float(frame.jaw_pose[0]))
        extra = math.tanh(1.1 * float(_OPEN_WEIGHTS @ away))
        # The expression parts the lips of a mouth that speaks; it does not open one that is shut.
        opening = jaw + 0.16 * extra * min(1.0, jaw * 6)
        return (
            min(1.0, max(0.0, opening)),
            math.tanh(1.2 * float(_WIDE_WEIGHTS @ away)) * 0.8,
            math.tanh(0.9 * float(_SMILE_WEIGHTS @ away)) * 0.7,
            math.tanh(0.7 * float(_BROW_WEIGHTS @ away)) * 0.6,
        )


def _lid(value: float) -> float:
    return min(1.0, max(-0.3, float(value)))


def _gaze(rotation: npt.NDArray[np.float32]) -> tuple[float, float]:
    # 0.5 rad is as far as an eye turns in conversation.
    return math.tanh(float(rotation[1]) / 0.42), math.tanh(float(rotation[0]) / 0.42)
