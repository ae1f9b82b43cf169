"""A session through stream and playout, the idle face and figures."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from avatarkit_rtc.motion.events import FrameArrived, RoundCause, RoundClosed, RoundEndReason, RoundOpened
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout import Playout, PlayoutOptions, PoseKind
from avatarkit_rtc.playout.playout import MAX_ROUNDS_WAITING, RoundOver, RoundShown
from avatarkit_rtc.playout.rounds import PlayState
from tests.support.assertions import (
    assert_no_burst,
    assert_positions_rise,
    assert_shown_exactly,
    kinds,
    positions,
)
from tests.support.frames import IDLE, Stage, arrived, face, faces, ramp, speech, transition, utterance


def test_a_session_comes_out_frame_by_frame_bit_for_bit() -> None:
    stage = Stage(Playout())
    stage.hear([*[IDLE] * 20, *utterance(faces(92), idle=40)])
    stage.run(2.0)
    spoken = [pose for pose in stage.poses if pose.position is not None]
    assert positions(spoken) == list(range(92))
    assert set(kinds(spoken)) == {PoseKind.RECEIVED}
    assert_shown_exactly(spoken, faces(92))
    assert_positions_rise(stage.poses)
    order = [a.kind for a, b in pairwise(stage.poses) if a.kind is not b.kind] + [stage.poses[-1].kind]
    assert order == [
        PoseKind.IDLE,
        PoseKind.TRANSITION,
        PoseKind.RECEIVED,
        PoseKind.TRANSITION,
        PoseKind.IDLE,
    ]
    over = stage.ended[0].stats
    assert (over.round, over.reason, over.counters.received) == (1, RoundEndReason.TRANSITION_END, 92)
    assert over.duration_s == pytest.approx(4.0, abs=0.2)
    assert stage.news[0] == RoundShown(1)
    after = [pose for pose in stage.poses if pose.t > spoken[-1].t and pose.kind is PoseKind.TRANSITION]
    assert len(after) in (40, 41)


def test_every_seventh_packet_withheld_is_shown_as_recovered() -> None:
    packets = [each for index, each in enumerate(speech(faces(92))) if (index + 1) % 7]
    stage = Stage(Playout())
    stage.hear([*packets, *[IDLE] * 20])
    spoken = [pose for pose in stage.poses if pose.position is not None]
    shown = {pose.position: pose.kind for pose in spoken if pose.kind is not PoseKind.HELD}
    assert sorted(shown) == list(range(92))
    assert {shown[position] for position in range(6, 91, 7)} <= {PoseKind.RECOVERED, PoseKind.INTERPOLATED}
    assert_shown_exactly(spoken, faces(92))


def test_every_seventh_withheld_at_the_pace_of_sending_is_recovered_not_interpolated() -> None:
    stage = Stage(Playout())
    for index, packet in enumerate(speech(faces(92))):
        if (index + 1) % 7:
            stage.hear(packet)
        else:
            stage.run(0.04)
    stage.run(1.0)
    spoken = {pose.position: pose.kind for pose in stage.poses if pose.kind is not PoseKind.HELD}
    assert [spoken[position] for position in range(6, 91, 7)] == [PoseKind.RECOVERED] * 13


def test_a_one_frame_round_is_drawn() -> None:
    for options in (PlayoutOptions(), PlayoutOptions(enable_jitter_buffer=False)):
        stage = Stage(Playout(options))
        stage.hear([*utterance(faces(1, 1)), *utterance(faces(1, 1))])
        stage.run(3.0)
        spoken = [pose for pose in stage.poses if pose.position is not None]
        assert [(pose.round, pose.frame) for pose in spoken] == [(1, face(0, 1)), (2, face(0, 1))]


def test_idle_goes_on_at_25_poses_a_second_without_a_round() -> None:
    stage = Stage(Playout(PlayoutOptions(idle=ramp)), start=5.0)
    poses = stage.run(4.0)
    assert len(poses) == 100
    assert set(kinds(poses)) == {PoseKind.IDLE}
    assert all(pose.round is None and pose.position is None for pose in poses)
    assert poses[-1].frame == ramp(poses[-1].t - 5.0)
    assert_no_burst([pose.t for pose in poses], at_least=0.0399)


def test_nothing_is_due_between_two_poses_and_a_late_tick_makes_no_burst() -> None:
    playout = Playout()
    assert playout.tick(10.0) is not None
    assert playout.tick(10.01) is None
    assert playout.tick(13.0) is not None
    assert playout.next_deadline() == pytest.approx(13.04)


def test_idle_before_the_first_frame_belongs_to_no_round() -> None:
    stage = Stage(Playout(PlayoutOptions(max_buffer_delay_ms=400, strategy="quantile")))
    stage.playout.strategy.estimator.observe(0.3, 0.0)
    stage.handle(RoundOpened(1, RoundCause.FRAME), arrived(1, 0, face(0)))
    poses = stage.run(0.2)
    assert {(pose.kind, pose.round) for pose in poses} == {(PoseKind.IDLE, None)}


def test_a_snapshot_in_the_middle_of_speech() -> None:
    stage = Stage(Playout(PlayoutOptions(idle=lambda _t: None)))  # type: ignore[arg-type, return-value]
    before = stage.playout.stats()
    assert (before.state, before.round, before.current_delay_ms, before.queued_frames) == (
        "idle",
        None,
        None,
        0,
    )
    assert before.idle_errors == 1
    stage.hear(speech(faces(25)))
    stage.handle(RoundOpened(2, RoundCause.START), arrived(2, 0, face(0)))
    now = stage.playout.stats()
    assert (now.state, now.round) == ("speech", 1)
    assert now.target_delay_ms == 40.0
    assert now.current_delay_ms == pytest.approx(40.0, abs=7)
    assert now.counters.received in (24, 25)
    assert now.queued_frames >= 1
    assert stage.playout.current_round == 1
    assert stage.playout.state is PlayState.SPEECH


def test_rounds_that_open_without_ever_playing_do_not_pile_up() -> None:
    stage = Stage(Playout())
    for number in range(1, 50):
        stage.handle(RoundOpened(number, RoundCause.TRANSITION))
        assert len(stage.playout._waiting) <= MAX_ROUNDS_WAITING
    assert len(stage.ended) == 49 - 1 - MAX_ROUNDS_WAITING
    assert all(isinstance(each, RoundShown | RoundOver) for each in stage.news)


def test_a_round_without_anything_is_over_when_it_closes() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.FRAME), RoundClosed(1, RoundEndReason.IDLE))
    stage.run(0.1)
    assert stage.playout.state is PlayState.IDLE
    assert stage.ended[0].stats.reason is RoundEndReason.IDLE


def test_times_that_make_no_sense_and_a_clock_that_was_set() -> None:
    playout = Playout()
    assert playout.tick(math.nan) is not None
    stage = Stage(Playout(), start=1e6)
    stage.hear([transition(face(0))] * 4)
    stage.now = 50.0
    stage.hear(transition(face(0)))
    stage.hear(speech(faces(20))[:10])
    stage.playout.tick(math.inf)
    stage.now = 5.0
    stage.hear(speech(faces(20))[10:])
    assert positions(stage.poses)[-1] >= 18
    assert_positions_rise(stage.poses)


def test_a_clock_that_was_set_before_and_between_rounds() -> None:
    stage = Stage(Playout(), start=1e6)
    stage.now = 5.0
    stage.handle()  # a loop learns of the set clock by its next call
    assert len(stage.run(1.0)) in range(24, 27)
    fresh = Playout()
    fresh.handle([], 1e6)
    fresh.handle([], 5.0)
    assert fresh.tick(5.0) is not None


def test_shows_what_the_idle_function_says_at_the_end_of_a_transition() -> None:
    stage = Stage(Playout(PlayoutOptions(idle=MotionFrame.neutral(), end_transition_frames=2)))
    stage.handle(RoundOpened(1, RoundCause.START), FrameArrived(1, 0, ramp(1.0)))
    stage.handle(RoundClosed(1, RoundEndReason.END_FLAG))
    poses = stage.run(0.4)
    way = [float(pose.frame.values[0]) for pose in poses if pose.kind is PoseKind.TRANSITION]
    assert way == [1.0, 0.5, 0.0]
    assert poses[-1].kind is PoseKind.IDLE
