"""The target delay that costs least: low where nothing is late, raised where something is."""

from __future__ import annotations

import math
import random

import pytest

from avatarkit_rtc.playout.adaptive_delay import CANDIDATES_S, RESCALE_AT, AdaptiveDelay
from avatarkit_rtc.playout.delay import INITIAL_TARGET_S
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from tests.support.frames import face, play


def observe(estimator: AdaptiveDelay, jitters: list[float], now: float = 100.0) -> float:
    for jitter in jitters:
        estimator.observe(jitter, now)
        now += 0.04
    return now


def with_stalls(
    period_s: float, length_s: float, duration_s: float, begin: float = 100.0
) -> list[tuple[float, float]]:
    """(arrival, lateness) of packets sent each 40 ms, held up for ``length_s`` each ``period_s``."""
    packets = []
    for number in range(round(duration_s / 0.04)):
        sent = number * 0.04
        into = sent % period_s
        late = max(0.0, length_s - into) if sent >= period_s else 0.0
        packets.append((begin + sent + late, late))
    return packets


def test_begins_with_the_initial_target() -> None:
    assert AdaptiveDelay().target_s == INITIAL_TARGET_S
    assert AdaptiveDelay().jitter_s == 0.0
    assert AdaptiveDelay().stall_period_s is None


@pytest.mark.parametrize(("within_s", "seed"), [(20, 1), (20, 2)])
def test_a_clean_network_comes_down_to_8_ms_within_seconds(within_s: float, seed: int) -> None:
    rng, estimator = random.Random(seed), AdaptiveDelay()
    observe(estimator, [rng.uniform(0, 0.002) for _ in range(round(within_s / 0.04))])
    assert estimator.target_s <= 0.008


@pytest.mark.parametrize("jitter_s", [0.03, 0.1, 0.25])
def test_steady_jitter_is_covered_about(jitter_s: float) -> None:
    rng, estimator = random.Random(1), AdaptiveDelay()
    observe(estimator, [rng.uniform(0, jitter_s) for _ in range(1500)])
    assert 0.4 * jitter_s < estimator.target_s < 1.5 * jitter_s


def test_one_outage_does_not_move_the_target_for_good() -> None:
    estimator = AdaptiveDelay()
    now = observe(estimator, [0.001] * 1500)
    low = estimator.target_s
    now = observe(estimator, [0.8 - 0.04 * n for n in range(20)], now)
    observe(estimator, [0.001] * 1500, now)
    assert estimator.target_s == low


def test_what_was_learnt_is_forgotten_after_some_minutes() -> None:
    estimator, rng = AdaptiveDelay(), random.Random(1)
    now = observe(estimator, [rng.uniform(0, 0.2) for _ in range(2000)])
    assert estimator.target_s > 0.1
    observe(estimator, [0.001] * 5000, now)
    assert estimator.target_s <= 0.008


def test_losses_raise_the_target_only_where_they_are_frequent() -> None:
    targets = {}
    for name, share in (("none", 0.0), ("rare", 0.0005), ("many", 0.08)):
        rng, estimator = random.Random(3), AdaptiveDelay()
        buffer = JitterBuffer(estimator, max_delay_s=0.4)
        arrivals = [(10 + 0.04 * n, n, face(0)) for n in range(2500) if n == 0 or rng.random() >= share]
        play(buffer, arrivals, 109.0)
        targets[name] = estimator.target_s
    # A lost frame can be made up for once the next one is there, 40 ms later.
    assert targets["none"] <= targets["rare"] <= 0.012
    assert 0.02 <= targets["many"] <= 0.06


def test_a_straggler_that_looks_hours_late_does_not_spoil_the_figures() -> None:
    estimator = AdaptiveDelay()
    now = observe(estimator, [0.001] * 1500)
    low = estimator.target_s
    now = observe(estimator, [40_000.0], now)
    now = observe(estimator, [0.001] * 200, now)
    assert estimator.target_s <= 0.02
    assert estimator.jitter_s < 0.002
    observe(estimator, [0.001] * 1300, now)
    assert estimator.target_s == low


def test_jitter_is_still_learnt_after_such_a_straggler() -> None:
    rng, estimator = random.Random(1), AdaptiveDelay()
    now = observe(estimator, [0.001] * 500)
    now = observe(estimator, [40_000.0], now)
    observe(estimator, [rng.uniform(0, 0.1) for _ in range(1500)], now)
    assert 0.05 < estimator.target_s < 0.15


def test_the_account_is_kept_for_a_day_without_growing_beyond_numbers() -> None:
    estimator = AdaptiveDelay()
    frames_to_rescale = round(math.log(RESCALE_AT) * 30 / 0.04)
    now = observe(estimator, [0.001] * (frames_to_rescale + 1000))
    assert estimator._weight < RESCALE_AT
    assert estimator.target_s == CANDIDATES_S[0]
    rng = random.Random(1)
    observe(estimator, [rng.uniform(0, 0.1) for _ in range(1500)], now)
    assert 0.05 < estimator.target_s < 0.15


def test_the_target_goes_up_before_a_periodic_stall_and_comes_down_after_it() -> None:
    estimator, targets = AdaptiveDelay(), []
    for now, late in with_stalls(11.0, 0.25, 120.0):
        estimator.observe(late, now)
        targets.append((now - 100.0, estimator.target_s))
    assert estimator.stall_period_s == pytest.approx(11.0, abs=0.05)
    for stall in (66.0, 77.0, 88.0, 99.0):
        before = [target for at, target in targets if stall - 0.2 <= at < stall]
        assert min(before) >= 0.25
        between = [target for at, target in targets if stall + 1.0 <= at < stall + 8.0]
        assert max(between) <= 0.1


def test_foreseen_stalls_do_not_raise_the_target_between_them() -> None:
    steady, rng, at_random = AdaptiveDelay(), random.Random(5), AdaptiveDelay()
    for now, late in with_stalls(11.0, 0.25, 240.0):
        steady.observe(late, now)
    now = 100.0
    for _ in range(21):
        now = observe(at_random, [0.25 - 0.04 * n for n in range(7)], now)
        now = observe(at_random, [0.0] * rng.randrange(25, 500), now)
    assert at_random.stall_period_s is None
    assert steady._candidates[steady._chosen] < at_random.target_s


def idle_packets(estimator: AdaptiveDelay, begin: float, duration_s: float, every: float = 0.04) -> float:
    now = begin
    while now < begin + duration_s:
        estimator.observe_clock(now)
        now += every
    return now


def test_stalls_between_rounds_tell_of_the_period_too() -> None:
    estimator, now = AdaptiveDelay(), 100.0
    for _ in range(5):
        now = idle_packets(estimator, now, 10.0 - 0.3) + 0.3
    assert estimator.stall_period_s == pytest.approx(10.0, abs=0.3)


@pytest.mark.parametrize("every", [0.1, 0.2, 0.5, 1.0, 1.5])
def test_idle_packets_that_come_seldom_are_no_stalls(every: float) -> None:
    estimator = AdaptiveDelay()
    idle_packets(estimator, 100.0, 120.0, every)
    assert estimator.stall_period_s is None
    assert estimator.target_s == INITIAL_TARGET_S


def test_a_pause_of_the_service_is_no_stall() -> None:
    estimator, now = AdaptiveDelay(), 100.0
    for _ in range(6):
        now = idle_packets(estimator, now, 8.0) + 3.0
    assert estimator.stall_period_s is None
