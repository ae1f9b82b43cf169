"""Numberings that jump, clocks that are set, times that are none: the buffer goes on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.playout.buffer import FrameBuffer
from avatarkit_rtc.playout.delay import QuantileDelay
from avatarkit_rtc.playout.direct_buffer import DirectBuffer
from avatarkit_rtc.playout.jitter_buffer import CAPACITY, JitterBuffer
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import NEW, assert_positions_rise, positions
from tests.support.frames import face, play, ramp


def buffer() -> JitterBuffer:
    return JitterBuffer(QuantileDelay())


@pytest.mark.parametrize("rebased", [True, False])
@pytest.mark.parametrize("jump", [10**6, 2**32])
def test_a_jump_ahead_goes_on_without_a_gap(jump: int, rebased: bool) -> None:
    made = buffer()
    arrivals = [(10 + 0.04 * n, n if n < 10 else n + jump, face(n)) for n in range(20)]
    shown = []
    for at, seq, frame in arrivals:
        shown += play(made, [], at - 0.0001)
        made.push(seq, frame, at, rebased=rebased and seq == 10 + jump)
    shown += play(made, [], 10.81)
    poses = [pose for _, pose in shown]
    assert positions(poses) == [*range(10), *range(10 + jump, 20 + jump)]
    assert made.counters.skipped == made.counters.interpolated == made.counters.freezes == 0


def test_a_missing_frame_before_a_jump_keeps_its_old_number() -> None:
    made = buffer()
    for number in (0, 1, 3):
        made.push(number, ramp(number), 10.0 + 0.04 * number)
    made.push(10**6, ramp(4), 10.16, rebased=True)
    made.end()
    poses = [pose for _, pose in play(made, [], 12.0)]
    assert positions(poses) == [0, 1, 2, 3, 10**6]


@pytest.mark.parametrize("back", [100, 10**6, 2**32])
def test_a_jump_back_is_followed_from_its_second_frame_on(back: int) -> None:
    made = buffer()
    numbers = [*range(2**33, 2**33 + 10), *range(2**33 - back, 2**33 - back + 10)]
    shown = play(made, [(10 + 0.04 * i, seq, face(i)) for i, seq in enumerate(numbers)], 10.85)
    assert [pose.position for _, pose in shown if pose.kind in NEW][-9:] == numbers[11:]
    assert made.counters.late == 1


def test_stragglers_from_far_behind_are_dropped() -> None:
    made = buffer()
    for number in range(100, 200):
        made.push(number, face(number), 4 * number / 100)
        if number % 10 == 0:
            made.push(number - 90, face(0), 4 * number / 100)
    assert made.counters.late == 10
    assert len(made) == 100


def test_after_a_lower_first_frame_long_before_the_others_it_goes_on_with_these() -> None:
    made = buffer()
    made.push(60, face(60), 10.0)
    made.push(0, face(0), 10.01)
    shown = play(made, [(10.04 * 1 + 0.04 * n, 60 + n, face(60 + n)) for n in range(1, 20)], 11.0)
    assert [pose.position for _, pose in shown[:3]] == [0, 60, 61]
    assert made.counters.skipped == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300, -1e300, 1e9, -1e9])
@pytest.mark.parametrize("made", [buffer(), DirectBuffer()], ids=["jitter", "direct"])
def test_times_that_make_no_sense(made: FrameBuffer, bad: float) -> None:
    made = type(made)(QuantileDelay()) if isinstance(made, JitterBuffer) else DirectBuffer()
    made.push(0, face(0), bad)
    made.pop(bad)
    now, newest = 10.0, 0.0
    for number in range(1, 50):
        made.push(number, face(number), bad if number == 20 else now)
        for _ in range(4):
            pose = made.pop(now)
            newest = pose.position if pose is not None else newest
            now += 0.01
        if number == 30:
            made.pop(bad)
            deadline = made.next_deadline()
            assert deadline is None or math.isfinite(deadline)
    assert newest >= 45


steps = st.sampled_from([1, 1, 1, 1, 2, 3, 0, -1, -2, 10, 30, 70, 260, 10**6, -70, -(10**6), 2**32, -(2**32)])
pauses = st.sampled_from([0.04, 0.04, 0.04, 0.0, 0.01, 0.1, 0.5, 2.0, 20.0, -0.01, -0.5, -5.0, -1e6, 1e6])
flags = st.sampled_from([False, False, False, True])


def go_on(made: FrameBuffer, seq: int, now: float) -> None:
    """Whatever was before: frames on time are shown within a second of a clock that goes on. (A clock that
    went back by up to a second has to catch up first.)"""
    newest = None
    frames = [ramp(n) for n in range(60)]
    for number in range(60):
        made.push(seq + number, frames[number], now + 0.04 * number)
        for tick in range(4):
            pose = made.pop(now + 0.04 * number + 0.01 * tick)
            if pose is not None and pose.kind in NEW:
                newest = pose.position
    assert newest is not None
    assert newest >= seq + 5


@settings(deadline=None, max_examples=300)
@given(
    inputs=st.lists(st.tuples(steps, pauses, st.booleans(), flags, st.booleans()), max_size=80),
    next_jump=steps,
    direct=st.booleans(),
)
def test_any_order_of_any_frames_at_any_time(
    inputs: list[tuple[int, float, bool, bool, bool]], next_jump: int, direct: bool
) -> None:
    made: FrameBuffer = DirectBuffer() if direct else buffer()
    seq, now = 5, 1000.0
    for step, pause, recovered, bad_time, pop in inputs:
        seq, now = seq + step, now + pause
        made.push(
            seq, ramp(seq % 1000), math.nan if bad_time else now, recovered=recovered, rebased=step > 250
        )
        assert len(made) <= CAPACITY
        if pop:
            pose = made.pop(now)
            assert pose is None or pose.frame.values.shape == (120,)
        deadline = made.next_deadline()
        assert deadline is not None or not len(made)
        delay = made.current_delay_s
        assert delay is None or math.isfinite(delay)
    go_on(made, seq + next_jump, now + 0.04)


@settings(deadline=None, max_examples=300)
@given(
    inputs=st.lists(
        st.tuples(
            st.sampled_from([1, 1, 1, 2, 5, 10**6]),
            st.lists(st.sampled_from([0, 1, 2, 3, 40]), max_size=3),
            st.floats(0, 0.6),
        ),
        max_size=80,
    ),
    late=st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.03, 0.2]), min_size=1, max_size=10),
)
def test_positions_never_go_back_and_none_is_new_twice(
    inputs: list[tuple[int, list[int], float]], late: list[float]
) -> None:
    made, seq, now, poses, count = buffer(), 5, 1000.0, [], 0
    for step, stragglers, pause in inputs:
        seq += step
        made.push(seq, ramp(seq % 1000), now, rebased=step > 250)
        for back in stragglers:
            made.push(seq - back, ramp(seq % 1000), now)
        until = now + pause
        while (due := made.next_deadline()) is not None and due <= until:
            now = max(now, due + late[count % len(late)])
            count += 1
            pose = made.pop(now)
            assert pose is not None
            poses.append(pose)
            after = made.next_deadline()
            assert after is not None
            assert after > now
        now = max(now, until)
    assert_positions_rise(poses)
    assert all(pose.kind in NEW or pose.kind is PoseKind.HELD for pose in poses)


def test_a_restart_that_nobody_told_of_is_shown_within_a_second() -> None:
    made = buffer()
    numbers = [*range(50), *range(50)]
    shown = play(made, [(10 + 0.04 * i, seq, face(i)) for i, seq in enumerate(numbers)], 14.0)
    again = next(at for at, pose in shown if at > 12.1 and pose.kind in NEW)
    assert again < 13.0


def test_a_straggler_of_the_new_numbering_does_not_fill_a_gap_of_the_old() -> None:
    made = buffer()
    for seq in (0, 2, 10**6, 10**6 - 2):
        made.push(seq, ramp(seq), 10.0, rebased=seq == 10**6)
    made.end()
    assert positions(pose for _, pose in play(made, [], 11.0)) == [0, 1, 2, 10**6]
    assert made.counters.late == 1


def test_a_straggler_of_a_jump_before_the_first_pose_does_not_move_the_start() -> None:
    made = buffer()
    for seq in (0, 10**6, 10**6 - 2):
        made.push(seq, ramp(seq), 10.0, rebased=seq == 10**6)
    assert positions(pose for _, pose in play(made, [], 10.1)) == [0, 10**6]


def test_stragglers_that_come_all_at_once_after_an_outage_do_not_turn_the_face_back() -> None:
    made = buffer()
    arrivals = [(10 + 0.04 * n, n, ramp(n)) for n in range(50) if not 30 <= n < 40]
    arrivals += [(13.0 + 0.0001 * n, n, ramp(n)) for n in range(30, 40)]
    arrivals += [(13.05 + 0.04 * n, 50 + n, ramp(50 + n)) for n in range(20)]
    poses = [pose for _, pose in play(made, arrivals, 14.0)]
    assert_positions_rise(poses)
    assert made.counters.late == 10
    assert positions(poses)[-20:] == list(range(50, 70))
