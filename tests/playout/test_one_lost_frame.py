"""One frame missing is one interpolated pose: no freeze, no lag."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.playout.delay import QuantileDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import assert_positions_rise, kinds, positions
from tests.support.frames import play, ramp


def played(lost: set[int], count: int = 40) -> tuple[JitterBuffer, list[tuple[float, object]], list]:
    made = JitterBuffer(QuantileDelay())
    arrivals = [(10 + 0.04 * n, n, ramp(n)) for n in range(count) if n not in lost]
    made_shown = play(made, arrivals, 10 + 0.04 * count)
    return made, made_shown, [pose for _, pose in made_shown]


@pytest.mark.parametrize("lost", [{10}, {10, 20, 30}])
def test_what_lies_between_is_shown_at_its_place(lost: set[int]) -> None:
    made, _, poses = played(lost)
    assert positions(poses)[:38] == list(range(38))
    for pose in poses[:38]:
        if pose.kind is not PoseKind.HELD:  # a held pose goes on a little way
            np.testing.assert_allclose(pose.frame.expression, pose.position, rtol=1e-5, atol=1e-5)
        assert (pose.kind is PoseKind.INTERPOLATED) == (pose.position in lost)
    assert made.counters.freezes == 0
    assert_positions_rise(poses)


@pytest.mark.parametrize(("gap", "poses_between"), [(2, 2), (3, 3), (5, 3)])
def test_longer_gaps_freeze_and_are_then_glided_over(gap: int, poses_between: int) -> None:
    lost = set(range(10, 10 + gap))
    made, _, poses = played(lost)
    new = [pose for pose in poses if pose.kind is not PoseKind.HELD]
    assert_positions_rise(poses)
    for pose in new:
        np.testing.assert_allclose(pose.frame.expression, pose.position, rtol=1e-4, atol=1e-4)
    assert made.counters.interpolated == poses_between
    steps = np.diff([pose.position for pose in new])
    assert steps.max() <= 1.5 + 1e-9
    assert made.counters.skipped == 0
    assert PoseKind.HELD in kinds(poses)


def test_a_long_gap_is_passed_over() -> None:
    made, _, poses = played(set(range(10, 25)))
    assert_positions_rise(poses)
    assert not set(positions(poses)) & set(range(10, 25))
    assert made.counters.freezes == 1


def test_frames_lost_at_the_end_are_not_waited_upon() -> None:
    made = JitterBuffer(QuantileDelay())
    for number in (0, 1, 3):
        made.push(number, ramp(number), 10.0 + 0.04 * number)
    made.end()
    poses = [pose for _, pose in play(made, [], 12.0)]
    assert positions(poses) == [0, 1, 2, 3]
    assert made.drained
