"""Where received sound lies on the session's time: samples over the rate, whatever their hand-out's jitter.

Pure: moments are arguments, in monotonic seconds.
"""

from __future__ import annotations

import math
from typing import Final

from avatarkit_rtc.playout.delay import SlidingMinimum

PROMPT_WINDOW_S: Final = 3.0
"""The most prompt block of so many seconds tells how session time lies against the clock."""

GAP_S: Final = 0.1
"""Blocks that are later than this are held up, or sound is missing before them."""

GAP_AFTER_S: Final = 1.0
"""Held-up blocks catch up within so long; else sound is missing, and time goes on by as much."""


class SampleClock:
    """Gives each received block its place: right behind the one before, but for gaps."""

    def __init__(self, epoch: float = 0.0) -> None:
        """``epoch``: the moment, in monotonic seconds, at which session time is 0."""
        self.offset_s = epoch
        """Monotonic time minus session time, by the blocks that came most promptly."""
        self._epoch = epoch
        self._end, self._last_at = 0.0, -math.inf
        self._unbroken = False
        self._prompt = SlidingMinimum(PROMPT_WINDOW_S)
        self._late_since = 0.0
        self._late_by: float | None = None

    def place(self, now: float, duration_s: float, lost_s: float = 0.0) -> float:
        """Session time of the first sample of a block.

        Args:
            now: when the block was handed out; never less than the last time.
            duration_s: its samples over their rate.
            lost_s: length of the blocks that were dropped right before it.
        """
        if self._unbroken:
            start = self._end + lost_s
            start += self._missing_s(now, now - start - self.offset_s)
        else:
            self._restart()
            self._unbroken = True
            start = max(self._end, now - self._epoch)
        # Of several blocks that were handed out as one only the first tells: the others were not waited for.
        if self._late_by is None and now != self._last_at:
            self.offset_s = self._prompt.update(now, now - start)
        self._end, self._last_at = start + duration_s, now
        return start

    def interrupted(self) -> None:
        """What comes next is another track, or comes after a pause: it begins at the moment it comes."""
        self._unbroken = False

    def clock_set(self, step_s: float) -> None:
        """The clock was set by ``step_s``: session time goes on as if no time had passed."""
        self.offset_s += step_s
        self._epoch += step_s
        self._restart()

    def _missing_s(self, now: float, late_s: float) -> float:
        """How much sound is missing before a block that is ``late_s`` late: known after a while."""
        if late_s <= GAP_S:
            self._late_by = None
            return 0.0
        if self._late_by is None:
            self._late_since, self._late_by = now, late_s
        self._late_by = min(self._late_by, late_s)
        if now - self._late_since < GAP_AFTER_S:
            return 0.0
        missing = self._late_by
        self._restart()
        return missing

    def _restart(self) -> None:
        self._late_by = None
        self._prompt = SlidingMinimum(PROMPT_WINDOW_S)
