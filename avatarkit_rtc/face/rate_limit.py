"""Nothing in a face leaps: each number moves at a bounded speed."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatarkit_rtc.motion.arkit import GAZE_FULL
from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES
from avatarkit_rtc.motion.frame import FloatArray

LONGEST_STEP_S: Final = 0.1
"""After a longer pause between two poses a number moves as far as in this time, and then on from there."""

ROTATION_SPEED: Final = 2.5
"""Radians per second of the head: a brisk nod."""
GAZE_SPEED: Final = 12.0
"""Radians per second of an eye; real ones reach 9 in leaps of 20 degrees."""
TRANSLATION_SPEED: Final = 0.4
"""Metres per second."""
BREATH_SPEED: Final = 1.5
"""Per second."""


def _coefficient_speeds() -> FloatArray:
    speeds = np.full(len(ARKIT_NAMES), 6.0, np.float32)
    for index, name in enumerate(ARKIT_NAMES):
        if name.startswith("eyeLook"):
            speeds[index] = GAZE_SPEED / GAZE_FULL
        elif name.startswith("eyeBlink"):
            speeds[index] = 20.0
        elif name.startswith(("jaw", "mouth")):
            speeds[index] = 14.0
    speeds.flags.writeable = False
    return speeds


COEFFICIENT_SPEEDS: Final[FloatArray] = _coefficient_speeds()
"""Fastest change of each coefficient per second, shape (52,): a blink closes in 80 ms, a mouth opens in
70."""


class RateLimit:
    """Follows a target, no faster than allowed."""

    def __init__(self, speeds: FloatArray) -> None:
        """``speeds``: fastest change of each number per second, shape (n,)."""
        self._speeds = speeds
        self._value: FloatArray | None = None

    def follow(self, target: FloatArray, dt: float) -> FloatArray:
        """The value ``dt`` seconds (at least 0) after the last one, on its way to ``target``, shape (n,)."""
        if self._value is None:
            self._value = target.copy()
        most = self._speeds * np.float32(min(dt, LONGEST_STEP_S))
        self._value = self._value + np.clip(target - self._value, -most, most)
        return self._value
