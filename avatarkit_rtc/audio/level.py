"""How loud a sound is, for a meter on the screen."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from avatarkit_rtc.audio.convert import Samples

FLOOR_DBFS: Final = -96.0
"""Level of digital silence: below the smallest step of 16 bits."""
_FULL_SCALE: Final = 32768.0


class Level(NamedTuple):
    """Loudness relative to full scale, -96 … 0 dB."""

    rms_dbfs: float
    """Of the mean power; a full-scale sine has -3."""
    peak_dbfs: float
    """Of the largest sample."""


class LevelMeter:
    """Sums blocks up to one :class:`Level` per interval."""

    def __init__(self, interval_s: float = 0.1) -> None:
        """``interval_s``: shortest time from one level to the next, and the sound it covers at least."""
        self._interval_s = interval_s
        self._due: float | None = None
        self._squares = 0.0
        self._peak = 0.0
        self._count = 0

    def add(self, samples: Samples, sample_rate: int, now: float) -> Level | None:
        """Take ``samples``, shape (n, channels), at ``now`` (monotonic seconds); the level when it is due."""
        as_float = samples.astype(np.float64)
        self._squares += float(np.sum(np.square(as_float)))
        self._count += as_float.size
        self._peak = max(self._peak, float(np.max(np.abs(as_float), initial=0.0)))
        if self._due is None:
            self._due = now
        enough = self._count >= samples.shape[1] * sample_rate * self._interval_s
        if not enough or now < self._due:
            return None
        level = Level(_dbfs(math.sqrt(self._squares / self._count)), _dbfs(self._peak))
        self.reset()
        self._due = now + self._interval_s
        return level

    def reset(self) -> None:
        """Forget what was summed up."""
        self._squares = self._peak = 0.0
        self._count = 0


def _dbfs(value: float) -> float:
    if value <= 0.0:
        return FLOOR_DBFS
    return max(FLOOR_DBFS, 20.0 * math.log10(value / _FULL_SCALE))
