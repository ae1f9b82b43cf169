"""What a stream's face looks like at rest: learnt, as streams carry offsets that are large and constant."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatarkit_rtc.motion.frame import FIELD_SLICES, FRAME_SIZE, FloatArray
from avatarkit_rtc.playout.pose import Pose, PoseKind

MEAN_S: Final = 8.0
"""Time constant of the running mean, once so much speech was seen; before, it is the plain mean."""

RISE_S: Final = 10.0
FALL_S: Final = 0.25
"""Time constants of a lower envelope: what opens and shuts (jaw, lids) rests at its low values."""

SILENT_REST_S: Final = 3.0
UNHEARD_REST_S: Final = 30.0
"""Time constants of the resting expression, where the sound tells that the mouth rests, and where there is
none."""

_SILENT: Final = 0.02
_STEP_S: Final = 0.1
"""A longer pause between two poses counts as this."""

_ENVELOPES: Final = np.zeros(FRAME_SIZE, bool)
_ENVELOPES[FIELD_SLICES["jaw_pose"].start] = True
_ENVELOPES[FIELD_SLICES["eye_lid"]] = True
_ENVELOPES.flags.writeable = False


class LowerEnvelope:
    """The low values of several numbers that open and shut, each by itself."""

    def __init__(self) -> None:
        self.value: FloatArray | None = None
        """The envelope; None before the first values."""

    def update(self, values: FloatArray, dt: float) -> FloatArray:
        """Take ``values``, shape (n,), ``dt`` seconds after the last ones; returns the envelope."""
        if self.value is None:
            self.value = values.copy()
        away = values - self.value
        rate = np.where(away < 0, min(1.0, dt / FALL_S), min(1.0, dt / RISE_S)).astype(np.float32)
        self.value = self.value + rate * away
        return self.value


class RestingExpression:
    """The expression of a stream's face while it is silent."""

    def __init__(self) -> None:
        self.value: FloatArray | None = None
        """As learnt so far, shape (100,); None before the first speech."""

    def learn(self, expression: FloatArray, loudness: float | None, dt: float) -> None:
        """Take an ``expression``, shape (100,), of speech, ``dt`` seconds after the last pose.

        Args:
            loudness: of the sound that belongs to it, 0 to 1; None where none is known.
        """
        if self.value is None:
            # A round begins with its mouth at rest.
            self.value = expression.copy()
        elif loudness is None or loudness < _SILENT:
            away = UNHEARD_REST_S if loudness is None else SILENT_REST_S
            rate = np.float32(min(1.0, dt / away))
            self.value = self.value + rate * (expression - self.value)


class Neutral:
    """Learns the rest pose of a stream from what it says in speech, and takes it off its poses.

    Idle poses are mostly made on this side, with a rest pose of zero, but may be a clip of the stream's. A
    transition's poses lie between the two. So these carry as much of the rest pose as they point its way.
    """

    def __init__(self) -> None:
        self._mean: FloatArray | None = None
        self._seen_s = 0.0
        self._low = LowerEnvelope()
        self.share = 0.0
        """How much of the rest pose the last pose carried: 1 in speech, 0 in idle, between them on the
        way."""

    def take_off(self, pose: Pose, values: FloatArray, dt: float) -> FloatArray:
        """The movement in ``values``: what is left without the rest pose.

        Args:
            pose: whose ``kind`` tells speech from idle.
            values: its parameters, shape (120,), finite.
            dt: seconds since the last pose, at least 0.
        """
        speech = pose.kind not in (PoseKind.IDLE, PoseKind.TRANSITION)
        if speech and pose.kind is not PoseKind.HELD:
            self._learn(values, min(dt, _STEP_S))
        if self._mean is None:
            # On the way into the first speech nobody knows what of it is offset: nothing moves.
            self.share = 0.0
            return values if pose.kind is PoseKind.IDLE else np.zeros_like(values)
        self.share = 1.0 if speech else self._projection(values)
        return values - np.float32(self.share) * self._mean

    def _learn(self, values: FloatArray, dt: float) -> None:
        low = self._low.update(values, dt)
        if self._mean is None:
            self._mean = values.copy()
        self._seen_s = min(self._seen_s + dt, MEAN_S)
        rate = np.float32(dt / max(self._seen_s, dt, 1e-6))
        self._mean = np.where(_ENVELOPES, low, self._mean + rate * (values - self._mean)).astype(np.float32)

    def _projection(self, values: FloatArray) -> float:
        assert self._mean is not None
        length = float(self._mean @ self._mean)
        share = float(values @ self._mean) / length if length > 1e-6 else 1.0
        return min(1.0, max(0.0, share))
