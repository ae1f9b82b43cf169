from __future__ import annotations

import pytest

from avatarkit_rtc.playout.media_clock import CATCH_UP_RATE, MAX_RATE, MIN_RATE, playback_rate


@pytest.mark.parametrize(
    ("error_s", "rate"),
    [
        (0.0, 1.0),
        (0.006, 1.0),
        (-0.006, 1.0),
        (0.026, 1.04),
        (-0.026, 0.96),
        (0.2, MAX_RATE),
        (-0.5, MIN_RATE),
        (0.31, CATCH_UP_RATE),
        (5.0, CATCH_UP_RATE),
    ],
)
def test_speed_follows_the_error(error_s: float, rate: float) -> None:
    assert playback_rate(error_s) == pytest.approx(rate)
