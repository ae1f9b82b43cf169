"""Times of recorded blocks, on a clock of plain numbers."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from avatarkit_rtc.audio.arrival_time import ArrivalTime

BLOCK = 0.010


def dated(arrivals: list[float], duration: float = BLOCK) -> list[float]:
    times = ArrivalTime()
    return [times.block(now, duration) for now in arrivals]


def test_prompt_blocks_are_dated_as_they_come() -> None:
    arrivals = [5.0 + BLOCK * n for n in range(1000)]
    assert dated(arrivals) == pytest.approx(arrivals, abs=1e-9)


def test_a_late_callback_and_the_burst_after_it_keep_their_even_pace() -> None:
    even = [BLOCK * n for n in range(300)]
    late = [max(t, 1.15) if 1.0 <= t <= 1.15 else t for t in even]
    out = dated(late)
    assert out == pytest.approx(even, abs=0.0025)  # 1 % of the time without a prompt one, then none
    assert all(b - a > 0.008 for a, b in pairwise(out))


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
    # A card that is fast is seen at once; one that is slow within the catch-up.
    assert max(abs(a - b) for a, b in zip(out[100:], even[100:], strict=True)) < 0.005
    assert out == sorted(out)
    assert all(a <= b for a, b in zip(out, arrivals, strict=True))


def test_where_sound_is_missing_the_pace_begins_anew() -> None:
    arrivals = [BLOCK * n for n in range(100)] + [2.0 + BLOCK * n for n in range(100)]
    assert dated(arrivals) == pytest.approx(arrivals, abs=1e-9)
