"""Frames that were held up come all at once: ``catch_up`` plays them faster, ``skip`` drops to the cap."""

from __future__ import annotations

from itertools import pairwise

import pytest

from avatarkit_rtc.playout.delay import DelayEstimator, FixedDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from tests.support.assertions import NEW, assert_positions_rise
from tests.support.frames import Shown, face, play


def after_outage(
    length: float, on_backlog: str, *, cap_s: float = 0.08, estimator: DelayEstimator | None = None
) -> tuple[JitterBuffer, list[Shown]]:
    made = JitterBuffer(estimator or FixedDelay(0.01), max_delay_s=cap_s, on_backlog=on_backlog)  # type: ignore[arg-type]
    sent = [10 + 0.04 * n for n in range(200)]
    arrivals = [(max(at, 12.0 + length) if at >= 12.0 else at, n, face(n)) for n, at in enumerate(sent)]
    shown = [(at, pose) for at, pose in play(made, arrivals, 18.9) if pose.kind in NEW]
    assert_positions_rise(pose for _, pose in shown)
    return made, shown


def delays(shown: list[Shown]) -> list[tuple[float, float]]:
    return [(at, at - (10 + 0.04 * pose.position)) for at, pose in shown]


@pytest.mark.parametrize("length", [0.2, 0.5, 0.9, 3.0])
def test_skip_drops_to_the_cap_at_once(length: float) -> None:
    made, shown = after_outage(length, "skip")
    late = [delay for at, delay in delays(shown) if at >= 12.0 + length - 1e-9]
    assert max(late) <= 0.08 + 0.001
    assert made.counters.skipped == pytest.approx((length - 0.08) / 0.04, abs=1.01)
    assert made.counters.overflowed == 0


@pytest.mark.parametrize("length", [0.05, 0.08])
def test_skip_keeps_what_the_cap_allows(length: float) -> None:
    made, shown = after_outage(length, "skip")
    assert made.counters.skipped == 0
    assert len(shown) == 200


def test_skip_does_not_drop_frames_when_jitter_is_within_the_cap() -> None:
    made = JitterBuffer(FixedDelay(0.01), max_delay_s=0.08, on_backlog="skip")
    jitter = [0.0, 0.06, 0.02, 0.078, 0.0, 0.04]
    shown = play(made, [(10 + 0.04 * n + jitter[n % 6], n, face(n)) for n in range(200)], 18.1)
    assert made.counters.skipped == 0
    assert sum(pose.kind in NEW for _, pose in shown) == 200


@pytest.mark.parametrize("length", [0.2, 0.5, 0.9])
def test_catch_up_shows_everything_and_comes_back_to_the_target(length: float) -> None:
    made, shown = after_outage(length, "catch_up")
    assert made.counters.skipped == 0
    positions = [pose.position for _, pose in shown]
    assert made.counters.hurried or positions == list(range(200))
    assert delays(shown)[-1][1] < 0.1 if length <= 0.5 else delays(shown)[-1][1] < 0.3


@pytest.mark.parametrize("length", [0.9, 2.0, 2.8])
def test_catch_up_hurries_when_far_behind_and_leaves_nothing_out(length: float) -> None:
    made, shown = after_outage(length, "catch_up")
    steps = [b.position - a.position for (_, a), (_, b) in pairwise(shown)]
    assert max(steps) < 1.5
    assert made.counters.skipped == 0
    assert made.counters.hurried > 0
    assert shown[-1][1].position == 199
    assert delays(shown)[-1][1] < 0.8


def test_catch_up_jumps_when_more_than_three_seconds_behind_and_catches_up_the_rest() -> None:
    made, shown = after_outage(3.5, "catch_up")
    first = next(delay for at, delay in delays(shown) if at >= 15.5 - 1e-9)
    assert 0.25 <= first <= 0.32
    assert made.counters.skipped > 70
    assert delays(shown)[-1][1] < 0.1
