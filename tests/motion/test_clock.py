from __future__ import annotations

import math

import pytest

from avatarkit_rtc.motion.clock import forward


@pytest.mark.parametrize(
    ("last", "now", "goes_by"),
    [
        (5.0, 6.0, 6.0),
        (5.0, 5.0, 5.0),
        (5.0, 4.5, 5.0),
        (5.0, 4.0, 5.0),
        (5.0, 3.0, 3.0),
        (5.0, math.nan, 5.0),
        (5.0, math.inf, 5.0),
        (5.0, -math.inf, 5.0),
        (5.0, 1e300, 5.0),
        (-math.inf, 5.0, 5.0),
        (-math.inf, -5.0, -5.0),
        (-math.inf, math.nan, 0.0),
    ],
)
def test_goes_by_the_callers_clock_unless_it_makes_no_sense(last: float, now: float, goes_by: float) -> None:
    assert forward(last, now) == goes_by
