"""When recorded sound came, from callbacks that are late now and then.

A callback that waited for its turn says a time too late, and those that follow in a burst bring sound that is
newer by more than the time between them: read as they come, such times go back. Sound comes at its own
even pace, so a block is dated by the one before it and its length, and never later than it really came. Pure:
time is an argument.
"""

from __future__ import annotations

from typing import Final

_CATCH_UP: Final = 0.01
"""Part of a block's length by which the estimate may grow later: cards are slow by up to 0.1 %."""
_BREAK_S: Final = 0.25
"""So late, sound is missing: the even pace begins anew."""


class ArrivalTime:
    """Dates blocks of sound by the most prompt ones before them."""

    def __init__(self) -> None:
        self._last: float | None = None

    def block(self, now: float, duration: float) -> float:
        """When the last sample of the next block came, in monotonic seconds: at most ``now``, never before
        the last sample of the block before.

        Args:
            now: when its callback ran, monotonic seconds.
            duration: length of the block in seconds.
        """
        last = self._last
        if last is None or now - last - duration > _BREAK_S:
            self._last = now
        else:
            self._last = min(now, last + duration * (1.0 + _CATCH_UP))
        return self._last
