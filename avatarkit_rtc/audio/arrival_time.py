"""When recorded sound came, from callbacks that are late now and then.

A callback that waited for its turn says a time too late, and those that follow in a burst bring sound that is
newer by more than the time between them: read as they come, such times go back. Sound comes at its own
even pace, so a block is dated by the one before it and its length, and never later than it really came.
Where every block of a while is late, sound is missing or the card is slow: the least lateness is added. Pure:
time is an argument.
"""

from __future__ import annotations

import math
from typing import Final

_SLOT_S: Final = 0.15
"""The least lateness is that of the last one to two such slots of sound: two hold more than the burst after a
callback that was as late as can be without a break."""
_BREAK_S: Final = 0.25
"""So late, sound is missing for certain: the even pace begins anew."""


class ArrivalTime:
    """Dates blocks of sound by the most prompt ones before them."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._least = self._least_before = math.inf
        self._slot = 0.0

    def block(self, now: float, duration: float) -> float:
        """When the last sample of the next block came, in monotonic seconds: at most ``now``, never before
        the last sample of the block before.

        Args:
            now: when its callback ran, monotonic seconds.
            duration: length of the block in seconds.
        """
        late = now - self._last - duration
        if late > _BREAK_S:
            self._last = now
            self._least = self._least_before = self._slot = 0.0
            return now
        self._last += duration + min(late, 0.0)
        self._least = min(self._least, max(late, 0.0))
        self._slot += duration
        if self._slot >= _SLOT_S:
            self._add(min(self._least, self._least_before))
        return self._last

    def _add(self, lateness: float) -> None:
        self._last += lateness
        self._least_before = self._least - lateness
        self._least = math.inf
        self._slot = 0.0
