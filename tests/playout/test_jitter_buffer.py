"""The plain case, the figures, and the deadlines; losses, outages and late pops have files of their own."""

from __future__ import annotations

import pytest

from avatarkit_rtc.playout.delay import QuantileDelay
from avatarkit_rtc.playout.jitter_buffer import CAPACITY, JitterBuffer
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import (
    assert_no_burst,
    assert_shown_exactly,
    kinds,
    positions,
)
from tests.support.frames import face, faces, play, ramp


def buffer(max_delay_s: float = 0.080) -> JitterBuffer:
    return JitterBuffer(QuantileDelay(), max_delay_s=max_delay_s)


def on_time(count: int, first: float = 10.0, turn: int = 0) -> list[tuple[float, int, object]]:
    return [(first + 0.04 * number, number, face(number, turn)) for number in range(count)]


def test_a_clean_network_plays_everything_on_the_grid_bit_for_bit() -> None:
    made = buffer()
    arrivals = [(10 + 0.04 * number, number, face(number)) for number in range(92)]
    shown = play(made, arrivals, 20.0)[:92]
    assert kinds(pose for _, pose in shown) == [PoseKind.RECEIVED] * 92
    assert positions(pose for _, pose in shown) == list(range(92))
    assert_shown_exactly([pose for _, pose in shown], faces(92))
    assert_no_burst([at for at, _ in shown], at_least=0.0319)
    assert shown[0][0] == pytest.approx(10.04)


def test_the_first_frame_waits_for_the_target_delay() -> None:
    made = buffer()
    made.push(0, face(0), 10.0)
    assert made.next_deadline() == pytest.approx(10.04)
    assert made.pop(10.03) is None
    assert made.pop(10.04) is not None


def test_the_cap_limits_the_target() -> None:
    made = buffer(max_delay_s=0.02)
    made.push(0, face(0), 10.0)
    assert made.target_delay_s == 0.02
    assert made.next_deadline() == pytest.approx(10.02)


def test_nothing_is_due_before_the_first_frame_and_after_the_last() -> None:
    made = buffer()
    assert made.next_deadline() is None
    assert made.pop(1.0) is None
    assert made.current_delay_s is None
    made.push(0, face(0), 10.0)
    made.end()
    assert not made.drained
    assert made.pop(10.04) is not None
    assert made.drained
    assert made.next_deadline() is None
    assert made.pop(10.08) is None


def test_the_delay_settles_at_the_target() -> None:
    made = buffer()
    play(made, [(10 + 0.04 * number, number, face(number)) for number in range(250)], 19.99)
    assert made.target_delay_s == pytest.approx(0.010)
    assert made.current_delay_s == pytest.approx(0.010, abs=0.0065)


def test_while_holding_the_delay_grows() -> None:
    made = buffer()
    made.push(0, face(0), 10.0)
    made.pop(10.04)
    for now in (10.08, 10.12, 10.5):
        pose = made.pop(now)
        assert pose is not None
        assert pose.kind is PoseKind.HELD
    assert made.current_delay_s == pytest.approx(0.5)


def test_reordered_frames_are_put_in_order() -> None:
    made = buffer()
    arrivals = [(10.0, 0, face(0)), (10.041, 2, face(2)), (10.05, 1, face(1)), (10.12, 3, face(3))]
    poses = [pose for _, pose in play(made, arrivals, 10.2)]
    assert positions(poses) == [0, 1, 2, 3]
    assert_shown_exactly(poses, faces(4))


def test_a_first_frame_that_was_overtaken_is_waited_upon_by_no_one_but_shown() -> None:
    made = buffer()
    poses = [pose for _, pose in play(made, [(10.0, 1, face(1)), (10.01, 0, face(0))], 10.1)]
    assert positions(poses) == [0, 1]


def test_copies_of_a_frame_count_once() -> None:
    made = buffer()
    for _ in range(3):
        made.push(0, face(0), 10.0, recovered=True)
    assert len(made) == 1
    assert made.counters.late == 2
    pose = made.pop(10.04)
    assert pose is not None
    assert pose.kind is PoseKind.RECOVERED
    made.push(0, face(0), 10.05)
    assert made.counters.late == 3


def test_memory_is_bounded_when_nobody_pops() -> None:
    made = buffer()
    for number in range(5000):
        made.push(number, ramp(number), 10 + number * 0.001)
        assert len(made) <= CAPACITY
    assert made.counters.skipped == made.counters.overflowed == 5000 - len(made)
    pose = made.pop(20.0)
    assert pose is not None
    assert pose.position > 4500


def test_learns_across_rounds() -> None:
    estimator = QuantileDelay()
    first = JitterBuffer(estimator)
    for number in range(100):
        first.push(number, face(0), 10 + 0.04 * number + 0.05 * (number % 2))
    assert JitterBuffer(estimator).target_delay_s == pytest.approx(0.05)
