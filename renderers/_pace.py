"""How many pictures a second a window draws: as many as it is given, or fewer where drawing is too slow.

Pure: moments come as arguments, in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import Final

SLOW_RATE_HZ: Final = 30.0
"""What a window draws at most where the machine does not carry more."""

CARRIED: Final = 0.65
"""Drawing may take this share of the time from one picture to the next."""
_EASY: Final = 0.45
"""To go back to the full rate it must take no more than this share there."""

_KEPT: Final = 45
_ENOUGH: Final = 15
"""Pictures whose drawing times are looked at, and from how many on."""

_LOOK_EVERY_S: Final = 1.0
_FIRST_TRY_S: Final = 5.0
_LAST_TRY_S: Final = 300.0
"""Before going back to the full rate; doubled each time that turns out to be too fast."""

_EARLY: Final = 0.25
"""A pose may be so much of the interval too early."""


class Pace:
    """Leaves out every second pose of 60 where drawing them all would take too much of the time."""

    def __init__(self, full_rate_hz: float | None) -> None:
        """
        Args:
            full_rate_hz: poses per second that are asked for; None for one per frame of the stream.
        """
        self.full_rate_hz: Final = full_rate_hz if full_rate_hz is not None else 25.0
        self.slow = False
        """Whether no more than :data:`SLOW_RATE_HZ` are drawn."""
        self.slowdowns = 0
        """Times it turned out that the full rate is too fast."""
        self._can_slow = self.full_rate_hz > 1.2 * SLOW_RATE_HZ
        self._last = -math.inf
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._look_at = -math.inf
        self._try_after = _FIRST_TRY_S
        self._easy_since: float | None = None

    @property
    def drawing_s(self) -> float:
        """Median of the last pictures' drawing times, seconds; 0 before the first."""
        return median(self._times) if self._times else 0.0

    def due(self, t: float) -> bool:
        """Whether the pose of moment ``t`` is to be drawn."""
        if self.slow and 0 <= t - self._last < (1 - _EARLY) / SLOW_RATE_HZ:
            return False
        self._last = t
        return True

    def drawn(self, seconds: float, now: float) -> None:
        """A picture took ``seconds`` to draw and was ready at ``now``."""
        self._times.append(seconds)
        if not self._can_slow or now < self._look_at or len(self._times) < _ENOUGH:
            return
        self._look_at = now + _LOOK_EVERY_S
        share = self.drawing_s * self.full_rate_hz
        if not self.slow:
            if share > CARRIED:
                self.slow = True
                self.slowdowns += 1
                self._easy_since = None
        elif share > _EASY:
            self._easy_since = None
        elif self._easy_since is None:
            self._easy_since = now
        elif now - self._easy_since >= self._try_after:
            self.slow = False
            self._try_after = min(2 * self._try_after, _LAST_TRY_S)
            self._times.clear()
