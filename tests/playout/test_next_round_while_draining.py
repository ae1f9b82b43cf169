from __future__ import annotations

import pytest

from avatarkit_rtc.motion.events import (
    RoundCause,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    TransitionArrived,
)
from avatarkit_rtc.playout import Playout, PlayoutOptions, PoseKind
from avatarkit_rtc.playout.playout import OVERLAP_S
from avatarkit_rtc.playout.rounds import PlayState
from tests.support.assertions import assert_no_burst, assert_positions_rise, positions
from tests.support.frames import Stage, arrived, face, faces, speech


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_two_rounds_back_to_back_are_both_shown_whole(same: bool, direct: bool) -> None:
    stage = Stage(Playout(PlayoutOptions(enable_jitter_buffer=not direct)))
    stage.hear([*speech(faces(20)), *speech(faces(20, 0 if same else 1))])
    stage.run(1.0)
    spoken = [pose for pose in stage.poses if pose.position is not None and pose.kind is not PoseKind.HELD]
    assert [(pose.round, pose.position) for pose in spoken] == [(r, p) for r in (1, 2) for p in range(20)]
    assert_no_burst([pose.t for pose in spoken], at_least=0.0319)
    assert stage.ended[0].stats.reason is RoundEndReason.SUPERSEDED


def test_a_short_backlog_is_shown_before_the_next_round() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), *[arrived(1, n, face(n)) for n in range(5)])
    stage.handle(RoundClosed(1, RoundEndReason.SUPERSEDED), RoundOpened(2, RoundCause.START))
    stage.handle(*[arrived(2, n, face(n, 1)) for n in range(3)])
    poses = stage.run(1.0)
    spoken = [(pose.round, pose.position) for pose in poses if pose.kind is PoseKind.RECEIVED]
    assert spoken == [(1, n) for n in range(5)] + [(2, n) for n in range(3)]
    assert_no_burst([pose.t for pose in poses if pose.kind is PoseKind.RECEIVED], at_least=0.0319)


def test_a_long_backlog_gives_way_to_the_next_round() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), *[arrived(1, n, face(n)) for n in range(20)])
    stage.handle(RoundClosed(1, RoundEndReason.SUPERSEDED), RoundOpened(2, RoundCause.START))
    begin = stage.now
    stage.handle(arrived(2, 0, face(0, 1)))
    poses = stage.run(1.0)
    first = next(pose for pose in poses if pose.round == 2)
    assert first.t == pytest.approx(begin + 0.04 + OVERLAP_S)
    assert stage.ended[0].stats.counters.skipped == 20 - len(positions(p for p in poses if p.round == 1))


def test_a_missing_tail_keeps_nobody_waiting() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), arrived(1, 0, face(0)))
    stage.run(0.1)
    stage.handle(RoundOpened(2, RoundCause.START), arrived(2, 0, face(0, 1)))
    poses = stage.run(0.05)
    assert (poses[-1].round, poses[-1].kind) == (2, PoseKind.RECEIVED)
    assert stage.ended[0].stats.reason is RoundEndReason.SUPERSEDED


def test_the_next_rounds_transition_begins_when_this_one_is_over() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), *[arrived(1, n, face(n)) for n in range(3)])
    stage.handle(RoundClosed(1, RoundEndReason.SUPERSEDED), RoundOpened(2, RoundCause.TRANSITION))
    stage.handle(TransitionArrived(2, face(0, 1)))
    poses = stage.run(0.6)
    assert positions(poses) == [0, 1, 2]
    assert stage.playout.state is PlayState.TRANSITION_IN
    assert poses[-1].frame == face(0, 1)
    assert poses[-1].round == 2
    assert_positions_rise(poses)


def test_a_waiting_round_that_ends_before_it_is_on_show_is_shown_all_the_same() -> None:
    stage = Stage(Playout())
    for number in (1, 2, 3):
        stage.handle(RoundOpened(number, RoundCause.START), arrived(number, 0, face(0, number)))
        stage.handle(RoundClosed(number, RoundEndReason.END_FLAG))
    poses = stage.run(0.5)
    assert [pose.frame for pose in poses if pose.position is not None] == [face(0, n) for n in (1, 2, 3)]
    assert [each.stats.reason for each in stage.ended] == [RoundEndReason.END_FLAG] * 3


def test_a_round_after_the_last_pose_and_before_its_first_frame_shows_nothing_new() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), arrived(1, 0, face(0)))
    stage.handle(RoundClosed(1, RoundEndReason.SUPERSEDED), RoundOpened(2, RoundCause.START))
    assert [pose.round for pose in stage.run(0.5) if pose.round] == [1]
    stage.handle(arrived(2, 0, face(0, 1)))
    assert next(pose.round for pose in stage.run(0.1)) == 2
