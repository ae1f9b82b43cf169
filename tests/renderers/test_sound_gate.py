from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers._sound_gate import MOST_S, SoundGate


def at(t: float, presented: float | None) -> Pose:
    return Pose(t, PoseKind.RECEIVED, MotionFrame.neutral(), 1, presentation_time=presented)


def block(presented: float, t: float = 0.0) -> ReceivedAudio:
    return ReceivedAudio(np.zeros((480, 1), np.int16), 48000, t, presentation_time=presented)


def test_a_pose_waits_for_the_sound_of_its_mouth() -> None:
    gate = SoundGate()
    gate.sound(block(9.95))
    poses = [at(100 + 0.04 * k, 10 + 0.04 * k) for k in range(3)]
    assert [gate.pose(pose) for pose in poses] == [[], [], []]
    out = {}
    for k in range(20):
        begin = 9.96 + 0.01 * k
        out[round(begin + 0.01, 2)] = gate.sound(block(begin))
    assert {end: due for end, due in out.items() if due} == {
        10.06: [poses[0]],
        10.1: [poses[1]],
        10.14: [poses[2]],
    }


def test_sound_that_is_there_already_holds_nothing_back() -> None:
    gate = SoundGate()
    for k in range(100):
        gate.sound(block(0.01 * k))
    pose = at(100, 0.5)
    assert gate.pose(pose) == [pose]


def test_without_sound_or_without_its_times_nothing_waits() -> None:
    gate = SoundGate()
    pose = at(1.0, 1.0)
    assert gate.pose(pose) == [pose]
    gate.sound(AudioBlock(np.zeros((480, 1), np.int16), 48000, 1.0))
    other = at(1.04, None)
    assert gate.pose(other) == [other]


def test_sound_that_has_ended_long_ago_holds_nothing_back() -> None:
    gate = SoundGate()
    gate.sound(block(1.0))
    pose = at(100, 3.0)
    assert gate.pose(pose) == [pose]


def test_sound_that_does_not_come_holds_a_pose_for_a_quarter_of_a_second() -> None:
    gate = SoundGate()
    gate.sound(block(0.99))
    out: list[Pose] = []
    for k in range(10):
        t = 100 + 0.04 * k
        out = gate.pose(at(t, 1.0 + 0.04 * k))
        if out:
            break
    assert out[0].t == 100
    assert MOST_S <= t - 100 < MOST_S + 0.05


@settings(max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.floats(-1, 1)), max_size=60))
def test_poses_keep_their_order_and_none_is_lost(course: list[tuple[bool, float]]) -> None:
    gate, given_, out, now = SoundGate(), [], [], 0.0
    for is_pose, away in course:
        now += 0.04
        if is_pose:
            given_.append(at(now, now + away))
            out += gate.pose(given_[-1])
        else:
            out += gate.sound(block(now + away, now))
        assert all(now - pose.t < MOST_S + 0.2 for pose in given_[len(out) :])
    for k in range(10):
        given_.append(at(now + 10 + k, None))
        out += gate.pose(given_[-1])
    assert out == given_
