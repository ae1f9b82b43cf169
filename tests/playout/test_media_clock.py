from __future__ import annotations

import math

import pytest

from avatarkit_rtc.playout.media_clock import (
    CATCH_UP_RATE,
    GLIDE,
    MAX_RATE,
    MIN_RATE,
    glide_step,
    playback_rate,
)


@pytest.mark.parametrize(
    ("error_s", "rate"),
    [
        (0.0, 1.0),
        (0.003, 1.0),
        (-0.003, 1.0),
        (0.023, 1.04),
        (-0.023, 0.96),
        (0.2, MAX_RATE),
        (-0.5, MIN_RATE),
        (0.31, CATCH_UP_RATE),
        (5.0, CATCH_UP_RATE),
    ],
)
def test_speed_follows_the_error(error_s: float, rate: float) -> None:
    assert playback_rate(error_s) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("error_s", "step"), [(-0.1, 1.0), (0.0, 1.0), (0.02, 1.0), (0.021, GLIDE), (9.0, math.inf)]
)
def test_gaps_are_glided_over_faster_when_that_wins_delay_back(error_s: float, step: float) -> None:
    assert glide_step(error_s) == step
