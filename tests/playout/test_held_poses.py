"""While the next frame is missing the face eases to a stop: a little further, never beyond, never back."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.playout.delay import FixedDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.frames import play, ramp


def values_while_holding(arrivals: list[tuple[float, int, object]], until: float) -> list[float]:
    made = JitterBuffer(FixedDelay(0.01), max_delay_s=0.08)
    poses = [pose for _, pose in play(made, arrivals, until)]
    last = max(index for index, pose in enumerate(poses) if pose.kind is not PoseKind.HELD)
    assert {pose.position for pose in poses[last:]} == {poses[last].position}
    return [float(pose.frame.values[0]) for pose in poses[last:]]


@pytest.mark.parametrize("speed", [1.0, -0.3])
def test_held_poses_go_on_less_and_less_and_never_overshoot(speed: float) -> None:
    held = values_while_holding([(10 + 0.04 * n, n, ramp(speed * n)) for n in range(10)], 11.5)
    assert len(held) > 20
    steps = np.diff(held) / speed
    assert steps[0] == pytest.approx(0.25, abs=1e-3)
    assert np.all(steps > -1e-5), "never back"
    assert np.all(np.diff(steps) < 1e-5), "less and less"
    assert held[-1] == pytest.approx(held[0] + 0.35 * speed, rel=1e-4), "not as far as the next frame"
    assert set(np.round(steps[2:], 5)) == {0.0}


def test_a_face_at_rest_stays_at_rest() -> None:
    held = values_while_holding([(10 + 0.04 * n, n, ramp(3.0)) for n in range(10)], 11.0)
    assert held == pytest.approx([3.0] * len(held), abs=1e-5)


def test_a_single_frame_is_held_as_it_is() -> None:
    assert set(values_while_holding([(10.0, 0, ramp(3.0))], 11.0)) == {3.0}


def test_behind_a_gap_the_speed_is_unknown_and_the_pose_is_held_as_it_is() -> None:
    arrivals = [(10 + 0.04 * n, n, ramp(n)) for n in range(10)] + [(10.9, 22, ramp(22.0))]
    made = JitterBuffer(FixedDelay(0.01), max_delay_s=0.08)
    poses = [pose for _, pose in play(made, arrivals, 12.0)]
    assert poses[-1].kind is PoseKind.HELD
    assert poses[-1].position == 22.0
    assert float(poses[-1].frame.values[0]) == pytest.approx(22.0, abs=1e-4)


def test_going_on_after_a_hold_does_not_go_back() -> None:
    outage = [(10 + 0.04 * n, n, ramp(n)) for n in range(10)]
    outage += [(max(10 + 0.04 * n, 10.9), n, ramp(n)) for n in range(10, 40)]
    made = JitterBuffer(FixedDelay(0.01), max_delay_s=0.08)
    values = [float(pose.frame.values[0]) for _, pose in play(made, outage, 11.5)]
    assert np.all(np.diff(values) > -1e-4)
