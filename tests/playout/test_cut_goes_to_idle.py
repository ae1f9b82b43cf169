from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.motion.events import RoundCause, RoundClosed, RoundEndReason, RoundOpened
from avatarkit_rtc.playout import Playout, PoseKind
from avatarkit_rtc.playout.playout import FLUSH_MOUTH_FRAMES
from avatarkit_rtc.playout.rounds import PlayState
from tests.support.assertions import kinds
from tests.support.frames import Stage, arrived, face, faces, speech, transition_end, utterance

CUTS = [
    RoundEndReason.STALLED,
    RoundEndReason.AVATAR_LEFT,
    RoundEndReason.CONNECTION_LOST,
    RoundEndReason.DISCONNECTED,
    RoundEndReason.FLUSHED,
]


@pytest.mark.parametrize("reason", CUTS)
def test_what_is_queued_is_dropped_and_twelve_frames_lead_to_idle_or_five(reason: RoundEndReason) -> None:
    frames = 5 if reason is RoundEndReason.FLUSHED else 12
    stage = Stage(Playout())
    stage.hear(speech(faces(10)))
    stage.handle(*[arrived(1, n, face(n)) for n in range(10, 20)])
    stage.cut(reason)
    assert stage.playout.state is PlayState.DISCONNECT_TRANSITION
    poses = stage.run(0.6)
    assert kinds(poses).count(PoseKind.TRANSITION) in (frames, frames + 1)
    assert poses[-1].kind is PoseKind.IDLE
    assert [each.stats.reason for each in stage.ended] == [reason]
    assert stage.ended[0].stats.counters.skipped >= 10


def test_a_round_that_had_ended_keeps_its_reason() -> None:
    stage = Stage(Playout())
    stage.hear(speech(faces(3)))
    stage.handle(RoundClosed(1, RoundEndReason.TRANSITION_END))
    stage.playout.cut(RoundEndReason.FLUSHED, stage.now)
    assert stage.playout.stats().rounds_ended == {RoundEndReason.TRANSITION_END: 1}


def test_waiting_rounds_are_dropped_with_it() -> None:
    stage = Stage(Playout())
    stage.handle(RoundOpened(1, RoundCause.START), *[arrived(1, n, face(n)) for n in range(9)])
    stage.handle(RoundClosed(1, RoundEndReason.SUPERSEDED), RoundOpened(2, RoundCause.START))
    stage.handle(arrived(2, 0, face(0)), RoundClosed(2, RoundEndReason.CONNECTION_LOST))
    assert stage.playout.stats().rounds_ended == {
        RoundEndReason.SUPERSEDED: 1,
        RoundEndReason.CONNECTION_LOST: 1,
    }
    assert stage.playout.current_round is None


def test_cutting_when_nothing_is_on_show_changes_nothing() -> None:
    stage = Stage(Playout())
    stage.cut(RoundEndReason.DISCONNECTED)
    assert stage.playout.state is PlayState.IDLE
    stage.handle(RoundOpened(1, RoundCause.START), arrived(1, 0, face(0)))
    stage.cut(RoundEndReason.DISCONNECTED)  # its first frame was not due yet
    assert stage.playout.state is PlayState.IDLE
    stage.run(0.5)
    assert set(kinds(stage.poses)) == {PoseKind.IDLE}


def test_a_flushed_round_stays_silent_and_the_next_one_plays() -> None:
    stage = Stage(Playout())
    packets = speech(faces(30))
    stage.hear(packets[:10])
    stage.cut(RoundEndReason.FLUSHED)
    rest = stage.hear([*packets[10:], *[transition_end(face(29))] * 5])
    assert all(pose.position is None for pose in rest)
    poses = stage.hear(utterance(faces(5, 1)))
    assert {pose.round for pose in poses if pose.position is not None} == {2}


def test_after_a_flush_the_mouth_is_still_before_the_rest() -> None:
    stage = Stage(Playout())
    stage.hear(speech(faces(10)))
    since = stage.now
    stage.cut(RoundEndReason.FLUSHED)
    poses = stage.run(0.4)
    assert poses[0].t - since < 0.005  # not when the next frame would have been due
    jaws = {round(pose.t - since, 3): float(pose.frame.jaw_pose[0]) for pose in poses}
    assert all(abs(jaw) < 1e-6 for at, jaw in jaws.items() if at >= FLUSH_MOUTH_FRAMES * 0.04)
    still = poses[-1].frame.values
    moving = [pose.t - since for pose in poses if not np.allclose(pose.frame.values, still, atol=0.02)]
    assert max(moving) > FLUSH_MOUTH_FRAMES * 0.04
