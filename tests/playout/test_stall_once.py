"""A stream that falls silent in the middle of a round: held, then idle, once; the next round plays."""

from __future__ import annotations

from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.playout import Playout, PoseKind
from avatarkit_rtc.playout.rounds import PlayState
from avatarkit_rtc.playout.stall import StallDetector
from tests.support.assertions import kinds, positions
from tests.support.frames import IDLE, Stage, face, faces, speech, transition


def test_a_stall_leads_to_idle_and_the_same_numbering_goes_on_as_a_new_round() -> None:
    stage, detector, fired = Stage(Playout()), StallDetector(3.0), []
    packets = speech(faces(40))
    detector.connected(stage.now)
    detector.round_open(True)
    for packet in packets[:10]:
        detector.activity(stage.now)
        stage.hear(packet)
    for _ in range(200):
        stage.run(0.04)
        if detector.check(stage.now):
            fired.append(stage.now)
            stage.cut(RoundEndReason.STALLED)
    assert len(fired) == 1
    assert stage.ended[0].stats.reason is RoundEndReason.STALLED
    assert stage.poses[-1].kind is PoseKind.IDLE
    poses = stage.hear(packets[10:])
    assert positions(poses)[0] == 10
    assert {pose.round for pose in poses if pose.position is not None} == {2}


def test_a_transition_that_leads_nowhere_holds_its_pose_until_the_stall() -> None:
    stage = Stage(Playout())
    stage.hear([transition(face(0))] * 3)
    poses = stage.run(2.8)
    assert set(kinds(poses)) == {PoseKind.TRANSITION}
    assert poses[-1].frame == face(0)
    stage.cut(RoundEndReason.STALLED)
    assert stage.playout.state is PlayState.DISCONNECT_TRANSITION
    stage.run(0.6)
    assert stage.playout.state is PlayState.IDLE


def test_a_transition_that_idle_packets_close_leads_back_to_idle() -> None:
    stage = Stage(Playout())
    stage.hear([*[transition(face(0))] * 3, *[IDLE] * 60])
    assert stage.playout.state is PlayState.IDLE
    assert stage.ended[0].stats.reason is RoundEndReason.IDLE
