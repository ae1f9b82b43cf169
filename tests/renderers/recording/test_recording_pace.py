from __future__ import annotations

import random

import pytest

from renderers.recording.pace import Pace


def taken(times: list[float], fps: float) -> list[float]:
    pace = Pace()
    return [t for t in times if pace.wants(t, 1 / fps)]


@pytest.mark.parametrize("fps", [5, 10, 12.5, 24, 25, 60])
@pytest.mark.parametrize("shown", [25, 60])
def test_the_rate_is_kept_on_average(shown: float, fps: float) -> None:
    times = [k / shown for k in range(round(20 * shown))]
    assert len(taken(times, fps)) / 20 == pytest.approx(min(shown, fps), rel=0.02)


def test_nothing_is_left_out_for_a_rhythm_that_is_not_quite_even() -> None:
    rng = random.Random(1)
    times = [k / 25 + rng.uniform(-0.005, 0.005) for k in range(500)]
    assert taken(times, 25) == times
    late = [t + 0.03 * (k % 50 == 20) for k, t in enumerate(times)]
    assert taken(late, 25) == late


def test_after_a_pause_there_is_no_burst() -> None:
    times = [0.0, 5.0, 5.01, 5.02, 5.04]
    assert taken(times, 25) == [0.0, 5.0, 5.04]


def test_pictures_for_other_reasons_count() -> None:
    pace = Pace()
    pace.took(1.0, 0.04)
    assert not pace.wants(1.01, 0.04)
    assert pace.wants(1.035, 0.04)
