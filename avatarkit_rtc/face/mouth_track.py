"""The mouth's shapes over time, as far as the sound is known: moments go in, any moment can be asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

import numpy as np

from avatarkit_rtc.face.mouth_estimator import LATENCY_S, MouthMoment
from avatarkit_rtc.face.mouth_shapes import MOUTH_SHAPES
from avatarkit_rtc.motion.frame import FloatArray

SMOOTHING_S: Final = 0.040
"""A shape is the weighted mean of the estimates so far before and after it: lips do not move faster, and they
begin before the sound as real ones do."""

LOOKAHEAD_S: Final = SMOOTHING_S + LATENCY_S
"""Sound up to so long after a moment has a part in its shape. With less of it the shape is a little late."""

HOLD_S: Final = 0.150
"""Beyond the end of the known sound, the last shape stands so long."""

SILENCE_S: Final = 0.001
"""After speech that was cut off, the lips are at rest so soon, but for the smoothing."""

KEPT: Final = 1000
"""Moments that are kept: 10 s, more than a face is ever held back behind its sound's arrival."""


class MouthTrack:
    """Shapes of the mouth of one voice."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._weights: list[FloatArray] = []

    def add(self, moments: Iterable[MouthMoment]) -> None:
        """Take further moments. What was known of the time from the first of them on is replaced."""
        for moment in moments:
            if self._times and moment.t <= self._times[-1]:
                keep = bisect_left(self._times, moment.t)
                del self._times[keep:], self._weights[keep:]
            self._times.append(moment.t)
            self._weights.append(moment.weights)
        # In blocks, as the front of a list is slow to cut.
        if len(self._times) > KEPT + 100:
            del self._times[:-KEPT], self._weights[:-KEPT]

    def silence_after(self, t: float) -> None:
        """Nothing is heard after ``t`` of what is known: the mouth is at rest there."""
        later = bisect_right(self._times, t)
        rest = np.zeros(len(MOUTH_SHAPES), np.float32)
        self._weights[later:] = [rest] * (len(self._times) - later)
        if later and later == len(self._times):
            self._times.append(t + SILENCE_S)
            self._weights.append(rest)

    def at(self, t: float) -> FloatArray | None:
        """Weights of the shapes at ``t``, shape (8,); None where no sound is known."""
        times = self._times
        if times and times[-1] < t <= times[-1] + HOLD_S:
            t = times[-1]
        first, last = bisect_left(times, t - SMOOTHING_S), bisect_right(times, t + SMOOTHING_S)
        total, shape = 0.0, np.zeros(len(MOUTH_SHAPES), np.float32)
        for moment, weights in zip(times[first:last], self._weights[first:last], strict=True):
            share = max(0.0, 1.0 - abs(moment - t) / SMOOTHING_S)
            total += share
            shape += share * weights
        return shape / np.float32(total) if total > 1e-3 else None
