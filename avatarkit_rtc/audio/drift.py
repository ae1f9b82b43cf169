"""Keeping the ring's depth where it should be although the sound card's clock is not the computer's.

A card that runs 100 ppm slow leaves 6 ms more in the ring each minute. Pure: time is an argument.
"""

from __future__ import annotations

import math
from typing import Final

MAX_CORRECTION: Final = 0.003
"""Of the rate, up or down: 5 cents, which nobody hears."""

_AVERAGE_S: Final = 3.0
"""Time constant of the average, as calm as a plain average over twice as long. One depth says little: blocks
come and go in lumps of 10-20 ms."""
_DEAD_BAND_S: Final = 0.005
_HOME_S: Final = 0.001
"""A correction that has begun goes on until the depth is this near to the target."""
_PROPORTIONAL: Final = 0.15
"""Correction for each second of error."""
_INTEGRAL: Final = 0.005
"""Growth per second of the learnt drift for each second of error."""
_FAR_S: Final = 0.020
"""An error that silence should take the brunt of: at the full correction it would last 7 s and more."""


class DriftController:
    """A proportional-integral controller of the resampling ratio with a dead band."""

    def __init__(self, target_s: float) -> None:
        """``target_s`` is the depth to keep, in seconds."""
        self.target_s = target_s
        self._average: float | None = None
        self._last = 0.0
        self._drift = 0.0
        self._correcting = False
        self._ratio = 1.0

    @property
    def ratio(self) -> float:
        """Samples to make out of each sample that comes, 0.997 … 1.003."""
        return self._ratio

    @property
    def average_s(self) -> float | None:
        """The average depth in seconds; None before the first one."""
        return self._average

    @property
    def excess_s(self) -> float:
        """Seconds to cut out (above 0) or to put in (below 0) when there is silence to do it in; mostly 0."""
        error = 0.0 if self._average is None else self._average - self.target_s
        return error if abs(error) > _FAR_S else 0.0

    def update(self, now: float, depth_s: float) -> float:
        """Take the depth at ``now`` (monotonic seconds) and return the ratio to use from now on."""
        if self._average is None:
            # Playing begins at the target, and one depth alone is off by up to a block.
            self._average, self._last = self.target_s, now
            return self._ratio
        elapsed, self._last = max(0.0, now - self._last), max(now, self._last)
        # By elapsed time, so that a late burst of blocks does not count as often as it has blocks.
        self._average += (depth_s - self._average) * -math.expm1(-elapsed / _AVERAGE_S)
        error = self.target_s - self._average
        if abs(error) > _DEAD_BAND_S:
            self._correcting = True
        elif abs(error) < _HOME_S:
            self._correcting = False
        correction = self._drift
        if self._correcting:
            correction += _PROPORTIONAL * error
            if abs(correction) < MAX_CORRECTION or correction * error < 0:  # else it would only wind up
                self._drift += _INTEGRAL * error * min(elapsed, 0.1)
        self._ratio = 1.0 + max(-MAX_CORRECTION, min(MAX_CORRECTION, correction))
        return self._ratio

    def jumped(self, by_s: float) -> None:
        """The depth was changed by ``by_s`` seconds at one go."""
        if self._average is not None:
            self._average += by_s

    def restart(self) -> None:
        """Playing begins anew: forget the depth, keep what was learnt about the clocks."""
        self._average = None
        self._correcting = False
        self._ratio = 1.0 + self._drift
