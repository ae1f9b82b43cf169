"""enable_jitter_buffer=False: each frame is drawn on arrival."""

from __future__ import annotations

from avatarkit_rtc.playout import Playout, PlayoutOptions
from avatarkit_rtc.playout.direct_buffer import DirectBuffer
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import assert_positions_rise, kinds, positions
from tests.support.frames import Stage, face, faces, speech, utterance


def test_a_frame_is_due_when_it_comes_and_the_newest_wins() -> None:
    made = DirectBuffer()
    assert made.next_deadline() is None
    assert made.pop(1.0) is None
    made.push(0, face(0), 10.0)
    made.push(1, face(1), 10.01, recovered=True)
    assert made.next_deadline() == 10.01
    assert len(made) == 1
    pose = made.pop(10.01)
    assert pose is not None
    assert (pose.kind, pose.frame, pose.position) == (PoseKind.RECOVERED, face(1), 1)
    assert len(made) == 0
    made.push(0, face(0), 10.02)
    made.push(1, face(1), 10.02)
    assert made.next_deadline() is None
    assert (made.counters.skipped, made.counters.late) == (1, 2)
    assert made.current_delay_s is None


def test_it_is_drained_once_ended_and_shown() -> None:
    made = DirectBuffer()
    made.push(0, face(0), 10.0)
    made.end()
    assert not made.drained
    made.pop(10.0)
    assert made.drained


def test_a_whole_session_is_shown_frame_by_frame_on_arrival() -> None:
    stage = Stage(Playout(PlayoutOptions(enable_jitter_buffer=False)))
    for turn in range(2):
        stage.hear(utterance(faces(20, turn)))
    spoken = [pose for pose in stage.poses if pose.position is not None]
    assert positions(spoken) == [*range(20)] * 2
    assert_positions_rise(stage.poses)
    assert set(kinds(spoken)) == {PoseKind.RECEIVED}
    assert stage.playout.target_delay_s == 0.0
    assert stage.playout.stats().current_delay_ms is None


def test_a_lost_packet_leaves_its_frame_out() -> None:
    stage = Stage(Playout(PlayoutOptions(enable_jitter_buffer=False)))
    packets = speech(faces(20), redundancy=False)
    stage.hear([*packets[:5], *packets[6:]])
    assert positions(stage.poses) == [each for each in range(20) if each != 5]
