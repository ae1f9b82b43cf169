"""Frames that are lost in a row: the way to the next one is glided over, no step longer than 1.5 frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.playout.delay import FixedDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.playout.media_clock import GLIDE
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import NEW, assert_positions_rise
from tests.support.frames import Shown, play, ramp

BEGIN = 10.0


def buffer(target_s: float = 0.01) -> JitterBuffer:
    return JitterBuffer(FixedDelay(target_s), max_delay_s=target_s)


def with_gap(first: int, length: int, count: int = 80) -> list[tuple[float, int, object]]:
    lost = range(first, first + length)
    return [(BEGIN + 0.04 * n, n, ramp(n)) for n in range(count) if n not in lost]


def new_poses(shown: list[Shown]) -> list[Shown]:
    return [(at, pose) for at, pose in shown if pose.kind in NEW]


@pytest.mark.parametrize("target_s", [0.004, 0.01, 0.04, 0.08, 0.4])
@pytest.mark.parametrize("length", [2, 3, 4, 5, 8, 12, 20])
def test_a_gap_is_glided_over_and_ends_exactly_on_the_received_frame(length: int, target_s: float) -> None:
    made = buffer(target_s)
    shown = new_poses(play(made, with_gap(20, length), BEGIN + 5.0))
    assert_positions_rise(pose for _, pose in shown)
    steps = [b.position - a.position for (_, a), (_, b) in pairwise(shown)]
    assert max(steps) <= GLIDE + 1e-9
    by_position = {pose.position: pose for _, pose in shown}
    end = by_position[20.0 + length]
    assert end.kind is PoseKind.RECEIVED
    assert all(
        by_position[float(n)].kind is PoseKind.RECEIVED for n in range(80) if not 20 <= n < 20 + length
    )
    between = [pose for _, pose in shown if 19 < pose.position < 20 + length]
    assert {pose.kind for pose in between} == {PoseKind.INTERPOLATED}
    for pose in between:
        np.testing.assert_allclose(pose.frame.values[0], pose.position, rtol=1e-4)
    assert made.counters.skipped == 0


@pytest.mark.parametrize("length", [3, 6, 10])
def test_the_steps_over_a_gap_are_even(length: int) -> None:
    shown = new_poses(play(buffer(), with_gap(20, length), BEGIN + 5.0))
    way = [pose.position for _, pose in shown if 19 <= pose.position <= 20 + length]
    steps = np.diff(way)
    assert steps.max() - steps.min() < 1e-9
    assert steps[0] > 1.0  # there is delay to be won back


def test_with_a_target_that_covers_the_gap_nothing_is_hurried() -> None:
    shown = new_poses(play(buffer(0.4), with_gap(20, 5), BEGIN + 5.0))
    assert {pose.position for _, pose in shown} >= {20.0, 21.0, 22.0, 23.0, 24.0}


def test_gliding_wins_the_delay_back_sooner_than_playing_what_never_came() -> None:
    made = buffer()
    play(made, with_gap(20, 10), BEGIN + 0.04 * 45)
    delay = made.current_delay_s
    assert delay is not None
    assert delay < 0.2  # it was 0.4 s at the end of the gap


def test_a_late_frame_of_the_gap_is_used_if_its_place_is_not_yet_passed() -> None:
    made = buffer()
    arrivals = with_gap(20, 8)
    arrivals.append((BEGIN + 0.04 * 28 + 0.05, 26, ramp(26)))
    poses = [pose for _, pose in play(made, arrivals, BEGIN + 5.0)]
    assert_positions_rise(poses)
    [late] = [pose for pose in poses if pose.position == 26.0]
    assert late.kind is PoseKind.RECEIVED
    assert late.frame == ramp(26)
    assert made.counters.late == 0


def test_a_late_frame_whose_place_is_passed_is_not() -> None:
    made = buffer()
    arrivals = with_gap(20, 8)
    arrivals.append((BEGIN + 0.04 * 28 + 0.2, 20, ramp(20)))
    poses = [pose for _, pose in play(made, arrivals, BEGIN + 5.0)]
    assert_positions_rise(poses)
    assert made.counters.late == 1


def test_a_late_frame_between_two_steps_comes_before_the_next_step() -> None:
    made = buffer()
    shown = play(made, with_gap(20, 8)[:21], BEGIN + 0.04 * 28 + 0.001)
    at = shown[-1][1].position
    assert at != int(at)
    inside = int(at) + 1
    made.push(inside, ramp(inside), BEGIN + 0.04 * 28 + 0.002)
    pose = play(made, [], BEGIN + 0.04 * 29 + 0.001)[0][1]
    assert pose.position == inside
    assert pose.kind is PoseKind.RECEIVED


@settings(deadline=None, max_examples=150)
@given(
    target_s=st.sampled_from([0.004, 0.03, 0.08, 0.2]),
    lost=st.sets(st.integers(5, 70), max_size=40),
    late=st.dictionaries(st.integers(5, 70), st.floats(0.0, 0.6), max_size=15),
)
def test_whatever_is_lost_or_late_no_step_is_longer_than_1_5_frames(
    target_s: float, lost: set[int], late: dict[int, float]
) -> None:
    made = buffer(target_s)
    arrivals = [
        (BEGIN + 0.04 * n + late.get(n, 0.0), n, ramp(n)) for n in range(80) if n in late or n not in lost
    ]
    shown = new_poses(play(made, arrivals, BEGIN + 8.0))
    assert_positions_rise(pose for _, pose in shown)
    if made.counters.skipped == 0:
        assert max(b.position - a.position for (_, a), (_, b) in pairwise(shown)) <= GLIDE + 1e-9
    for _, pose in shown:
        np.testing.assert_allclose(pose.frame.values[0], pose.position, rtol=1e-3, atol=1e-3)
