"""Times of recorded blocks, on a clock of plain numbers."""

from __future__ import annotations

import random

import pytest

from avatarkit_rtc.audio.arrival_time import ArrivalTime

BLOCK = 0.010


def dated(arrivals: list[float], duration: float = BLOCK) -> list[float]:
    times = ArrivalTime()
    return [times.block(now, duration) for now in arrivals]


def test_prompt_blocks_are_dated_as_they_come() -> None:
    arrivals = [5.0 + BLOCK * n for n in range(1000)]
    assert dated(arrivals) == pytest.approx(arrivals, abs=1e-9)


@pytest.mark.parametrize("late_s", [0.02, 0.15, 0.24])
def test_a_late_callback_and_the_burst_after_it_keep_their_even_pace(late_s: float) -> None:
    for first in range(40):  # anywhere in the slots
        even = [BLOCK * n for n in range(300)]
        begin = 1.0 + BLOCK * first
        late = [max(t, begin + late_s) if begin <= t <= begin + late_s else t for t in even]
        assert dated(late) == pytest.approx(even, abs=1e-9)


def test_the_first_block_may_be_late_and_time_never_goes_back() -> None:
    """Sound servers bring what they have kept in one burst."""
    arrivals = [3.0, 3.001, 3.002, *[3.002 + BLOCK * n for n in range(1, 100)]]
    out = dated(arrivals)
    assert out == pytest.approx(arrivals, abs=1e-9)
    assert out == sorted(out)


@pytest.mark.parametrize("ppm", [-1000, -100, 100, 1000])
def test_it_follows_the_clock_of_the_card_through_jitter(ppm: int) -> None:
    chance = random.Random(ppm)
    even = [BLOCK * (1 + ppm / 1e6) * n for n in range(60_000)]  # 10 minutes
    arrivals: list[float] = []
    for t in even:
        arrivals.append(max(t + chance.choice([0.0, 0.001, 0.02]), arrivals[-1] if arrivals else 0.0))
    out = dated(arrivals)
    assert max(abs(a - b) for a, b in zip(out[100:], even[100:], strict=True)) < 0.002
    assert out == sorted(out)
    assert all(a <= b for a, b in zip(out, arrivals, strict=True))


@pytest.mark.parametrize("lost_s", [0.03, 0.1, 0.24, 0.3, 5.0])
def test_where_sound_is_missing_times_are_right_again_within_half_a_second(lost_s: float) -> None:
    for first in range(40):
        before = [BLOCK * n for n in range(100 + first)]
        after = [before[-1] + lost_s + BLOCK * n for n in range(1, 200)]
        out = dated(before + after)
        assert out == sorted(out)
        assert out[len(before) + 50 :] == pytest.approx(after[50:], abs=1e-6)
