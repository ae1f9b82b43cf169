from __future__ import annotations

from avatarkit_rtc.motion.events import (
    RoundCause,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    TransitionArrived,
)
from avatarkit_rtc.playout import Playout
from avatarkit_rtc.playout.rounds import PlayState
from tests.support.assertions import positions
from tests.support.frames import Stage, arrived, face, ramp


def test_a_straggler_before_the_last_pose_is_shown() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), *[arrived(1, n, face(n)) for n in (0, 1, 3)])
    stage.handle(RoundClosed(1, RoundEndReason.TRANSITION_END))
    stage.run(0.05)
    stage.handle(arrived(1, 2, face(2)))
    assert positions(stage.run(0.5)) == [1, 2, 3]
    assert stage.ended[0].stats.counters.received == 4


def test_a_straggler_after_the_last_pose_is_counted_as_late() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), arrived(1, 0, face(0)))
    stage.handle(RoundClosed(1, RoundEndReason.TRANSITION_END))
    stage.run(0.5)
    stage.handle(arrived(1, 1, face(1)), TransitionArrived(1, face(0)), RoundClosed(1, RoundEndReason.IDLE))
    stage.run(0.5)
    assert stage.playout.stats().counters.late == 1
    assert len(stage.ended) == 1


def test_a_new_round_cancels_the_way_to_idle() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), arrived(1, 0, ramp(1)))
    stage.handle(RoundClosed(1, RoundEndReason.END_FLAG))
    stage.run(0.5)
    assert stage.playout.state is PlayState.TRANSITION_OUT
    stage.handle(RoundOpened(2, RoundCause.START), arrived(2, 0, ramp(2)))
    assert stage.run(0.05)[-1].frame == ramp(2)
    assert stage.playout.state is PlayState.SPEECH
