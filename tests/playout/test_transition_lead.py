"""From idle to the first pose: 8 frames at most, and done when frame 0 is due."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.motion.events import (
    RoundCause,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    TransitionArrived,
)
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout import Playout, PlayoutOptions, PoseKind
from avatarkit_rtc.playout.rounds import PlayState
from tests.support.frames import Stage, arrived, ramp


def jumps(lead: int, target_s: float = 0.04) -> list[float]:
    stage = Stage(
        Playout(PlayoutOptions(idle=MotionFrame.neutral(), max_buffer_delay_ms=400, strategy="quantile"))
    )
    stage.playout.strategy.estimator.observe(target_s, 0.0)
    stage.handle(RoundOpened(1, RoundCause.TRANSITION), TransitionArrived(1, ramp(1.0)))
    stage.run(0.04 * lead)
    for number in range(4):
        stage.handle(arrived(1, number, ramp(1.0)))
        stage.run(0.04)
    stage.run(0.3)
    assert stage.poses[-1].kind in (PoseKind.RECEIVED, PoseKind.HELD)
    return np.diff([float(pose.frame.values[0]) for pose in stage.poses]).tolist()


@pytest.mark.parametrize("lead", [1, 2, 4, 8, 20])
def test_the_way_goes_on_until_the_first_frame_is_due(lead: int) -> None:
    steps = jumps(lead)
    assert sum(steps) == pytest.approx(1.0)
    assert all(step >= -1e-6 for step in steps)
    assert lead < 8 or max(steps) < 0.3


@pytest.mark.parametrize("lead", [1, 2, 3, 4])
def test_the_way_is_done_in_time_once_it_is_known_when_the_first_frame_is_due(lead: int) -> None:
    steps = jumps(lead, target_s=0.17)
    assert sum(steps) == pytest.approx(1.0)
    assert all(step >= -1e-6 for step in steps)
    assert max(steps) < 0.45


def test_without_a_lead_the_first_frame_is_shown_when_due() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), arrived(1, 0, ramp(1.0)))
    poses = stage.run(0.05)
    assert poses[-1].kind is PoseKind.RECEIVED


def test_no_way_at_all_when_so_configured() -> None:
    stage = Stage(Playout(PlayoutOptions(start_transition_frames=0, disconnect_transition_frames=0)))
    stage.handle(RoundOpened(1, RoundCause.TRANSITION), TransitionArrived(1, ramp(1.0)))
    assert stage.run(0.05)[-1].frame == ramp(1.0)


def test_a_transition_while_leaving_leads_back_in() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.TRANSITION), TransitionArrived(1, ramp(1.0)))
    stage.run(0.4)
    stage.handle(RoundClosed(1, RoundEndReason.IDLE))
    stage.run(0.4)
    assert stage.playout.state is PlayState.TRANSITION_OUT
    stage.handle(RoundOpened(2, RoundCause.TRANSITION), TransitionArrived(2, ramp(2.0)))
    assert stage.run(0.5)[-1].frame == ramp(2.0)
    assert stage.playout.state is PlayState.TRANSITION_IN


def test_a_transition_of_a_waiting_round_waits_too() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), *[arrived(1, n, ramp(n)) for n in range(4)])
    stage.handle(RoundOpened(2, RoundCause.TRANSITION), TransitionArrived(2, ramp(9.0)))
    assert all(pose.round in (None, 1) for pose in stage.run(0.15))
