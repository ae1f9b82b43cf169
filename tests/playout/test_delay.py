from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.playout.delay import INITIAL_TARGET_S, MIN_TARGET_S, QuantileDelay, SlidingMinimum


@given(st.lists(st.tuples(st.floats(0, 0.5), st.floats(-5, 5)), min_size=1, max_size=100))
def test_the_sliding_minimum_is_that_of_the_window(steps: list[tuple[float, float]]) -> None:
    sliding, now, seen = SlidingMinimum(2.0, resolution=0.0), 0.0, []
    for step, value in steps:
        now += step
        seen.append((now, value))
        assert sliding.update(now, value) == min(v for at, v in seen if at >= now - 2.0) == sliding.value


def test_nothing_is_the_minimum_of_nothing() -> None:
    assert SlidingMinimum(1.0).value is None


def test_memory_of_the_minimum_is_bounded_for_a_day() -> None:
    sliding = SlidingMinimum(10.0)
    for index in range(20_000):
        sliding.update(index * 0.001, float(index))  # ever rising: nothing is ever displaced
        assert len(sliding._queue) <= 502


def observe(estimator: QuantileDelay, jitters: list[float], now: float = 0.0) -> float:
    for jitter in jitters:
        estimator.observe(jitter, now)
        now += 0.04
    return now


def test_before_anything_is_known_the_initial_target_holds_and_may_only_rise() -> None:
    estimator = QuantileDelay()
    assert estimator.target_s == INITIAL_TARGET_S
    observe(estimator, [0.001] * 20)
    assert estimator.target_s == INITIAL_TARGET_S
    observe(estimator, [0.070], 1.0)
    assert estimator.target_s == 0.070


def test_a_quiet_network_has_the_smallest_target() -> None:
    estimator = QuantileDelay()
    observe(estimator, [0.0005] * 250)
    assert estimator.target_s == MIN_TARGET_S
    assert estimator.jitter_s == pytest.approx(0.0005, rel=0.01)


def test_the_target_covers_most_of_a_noisy_network() -> None:
    rng, estimator = random.Random(1), QuantileDelay()
    observe(estimator, [rng.uniform(0, 0.06) for _ in range(1000)])
    assert 0.05 < estimator.target_s <= 0.06


def test_one_outage_in_half_a_minute_does_not_move_the_target() -> None:
    estimator = QuantileDelay()
    now = observe(estimator, [0.001] * 500)
    now = observe(estimator, [0.8], now)
    observe(estimator, [0.001] * 50, now)
    assert estimator.target_s == MIN_TARGET_S


def test_what_was_learnt_is_forgotten_after_half_a_minute_of_packets() -> None:
    estimator = QuantileDelay()
    now = observe(estimator, [0.1] * 500)
    assert estimator.target_s == 0.1
    observe(estimator, [0.001] * 1000, now)
    assert estimator.target_s == MIN_TARGET_S


def test_a_frame_that_looks_hours_late_does_not_spoil_the_figures() -> None:
    estimator = QuantileDelay()
    now = observe(estimator, [0.001] * 500)
    now = observe(estimator, [40_000.0], now)
    observe(estimator, [0.001] * 200, now)
    assert estimator.jitter_s < 0.002


def test_windows_go_on_when_the_clock_is_set_back() -> None:
    estimator = QuantileDelay()
    observe(estimator, [0.1] * 200, 1e6)
    observe(estimator, [0.001] * 1000, 0.0)
    assert estimator.target_s == MIN_TARGET_S
