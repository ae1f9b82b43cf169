"""60 poses a second out of 25: between the playout's, one frame behind, and never back."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.playout.render_clock import RenderClock
from tests.support.frames import ramp


def given(t: float, position: float | None, kind: PoseKind = PoseKind.RECEIVED, turn: int | None = 1) -> Pose:
    return Pose(t, kind, ramp(position or 0.0), turn if position is not None else None, position)


def rendered(poses: list[Pose], until: float, rate: float = 60.0) -> list[Pose]:
    clock, shown = RenderClock(rate), []
    feed = sorted(poses, key=lambda pose: pose.t)
    now = feed[0].t
    while now <= until:
        while feed and feed[0].t <= now:
            following = feed[1].t if len(feed) > 1 else feed[0].t + 0.04
            clock.push(feed.pop(0), following)
        pose = clock.pose(now)
        if pose is not None:
            shown.append(pose)
        deadline = clock.next_deadline()
        assert deadline is not None
        assert deadline > now
        now = min([deadline, *(each.t for each in feed[:1])])
    return shown


def test_steps_are_even_at_the_rate_of_the_display() -> None:
    shown = rendered([given(10 + 0.04 * k, float(k)) for k in range(50)], 11.9)
    times = np.array([pose.t for pose in shown])
    np.testing.assert_allclose(np.diff(times), 1 / 60, atol=1e-6)
    moved = [pose for pose in shown if 0 < (pose.position or 0.0) < 46]
    steps = np.diff([pose.position for pose in moved])
    np.testing.assert_allclose(steps, 25 / 60, atol=1e-6)
    for pose in moved:
        np.testing.assert_allclose(pose.frame.expression, pose.position, atol=1e-4)
        assert pose.t - (10 + 0.04 * pose.position) == pytest.approx(0.04, abs=1e-6)


def test_warped_time_is_followed_without_a_jump() -> None:
    times = np.cumsum([10.0] + [0.032] * 20 + [0.05] * 20)
    shown = rendered([given(float(t), float(k)) for k, t in enumerate(times)], float(times[-1]))
    steps = np.diff([pose.position for pose in shown if pose.position is not None])
    assert steps.min() >= -1e-9
    assert steps.max() <= 1 / 60 / 0.032 + 1e-6


def test_it_waits_at_the_newest_pose() -> None:
    shown = rendered([given(10.0, 0.0), given(10.04, 1.0), given(10.3, 1.0, PoseKind.HELD)], 10.5)
    assert shown[-1].kind is PoseKind.HELD
    assert shown[-1].position == 1.0
    assert {pose.position for pose in shown if 10.1 < pose.t < 10.29} == {1.0}
    assert {pose.kind for pose in shown if 10.1 < pose.t < 10.29} == {PoseKind.RECEIVED}
    assert {pose.kind for pose in shown if 10.301 < pose.t < 10.33} == {PoseKind.HELD}


def test_between_idle_and_speech_there_is_no_position() -> None:
    poses = [given(10 + 0.04 * k, None, PoseKind.IDLE) for k in range(3)]
    poses += [given(10.12, 0.0), given(10.16, 1.0), given(10.20, 0.0, turn=2)]
    shown = rendered(poses, 10.3)
    assert {pose.kind for pose in shown if pose.t < 10.119} == {PoseKind.IDLE}
    assert {(pose.kind, pose.position) for pose in shown if 10.121 < pose.t < 10.159} == {
        (PoseKind.TRANSITION, None)
    }
    assert shown[-1].round == 2


def test_a_late_tick_makes_no_burst() -> None:
    clock = RenderClock()
    assert clock.next_deadline() is None
    assert clock.pose(9.0) is None
    clock.push(given(10.0, 0.0), 10.04)
    assert clock.pose(10.0) is not None
    assert clock.pose(10.001) is None
    assert clock.pose(11.0) is not None
    assert clock.next_deadline() == pytest.approx(11.0 + 1 / 60)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 1001.0])
def test_refuses_a_rate_out_of_range(rate: float) -> None:
    with pytest.raises(ValueError, match="1 and 1000"):
        RenderClock(rate)


def test_presentation_times_go_with_the_poses() -> None:
    clock = RenderClock(50.0)
    clock.push(Pose(10.0, PoseKind.RECEIVED, ramp(0.0), 1, 0.0, 3.0), 10.04)
    clock.pose(10.0)
    clock.push(Pose(10.04, PoseKind.RECEIVED, ramp(1.0), 1, 1.0, 3.04), 10.08)
    clock.push(Pose(10.08, PoseKind.TRANSITION, ramp(2.0), 1, None, 3.10), 10.12)
    between = clock.pose(10.10)
    assert between is not None
    assert between.presentation_time == pytest.approx(3.07)
    after = clock.pose(10.13)
    assert after is not None
    assert (after.presentation_time, after.media_time) == (3.10, None)
    clock.push(Pose(10.12, PoseKind.RECEIVED, ramp(3.0), 1, 2.0), 10.16)
    without = clock.pose(10.15)
    assert without is not None
    assert without.presentation_time is None
