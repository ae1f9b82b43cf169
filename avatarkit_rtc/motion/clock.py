"""Moments as a caller gives them, made safe to reckon with."""

from __future__ import annotations

import math
from typing import Final

SET_BACK_S: Final = 1.0
"""A step back by more than this means that the clock was set."""

_LIMIT_S: Final = 1e12


def forward(last: float, now: float) -> float:
    """The moment to go by when a caller says ``now`` and the last one was ``last`` (``-inf`` for none).

    NaN and what no monotonic clock can say count as no time passed. So does a step back of up to a second:
    the moments of packets and of ticks are taken in different places. After a longer step back the clock was
    set; the result is then less than ``last``, and who keeps moments has to move them along.
    """
    if not abs(now) < _LIMIT_S:  # in this form NaN is refused too
        return last if last > -math.inf else 0.0
    return last if now < last <= now + SET_BACK_S else now
