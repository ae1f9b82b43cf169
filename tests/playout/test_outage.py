"""Nothing comes for a while, then everything that was under way comes at once."""

from __future__ import annotations

import pytest

from avatarkit_rtc.playout.delay import QuantileDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import assert_no_burst, assert_positions_rise, positions
from tests.support.frames import face, play


def outage(begin: float, length: float, count: int) -> list[tuple[float, int, object]]:
    arrivals = []
    for number in range(count):
        sent = 10 + 0.04 * number
        arrivals.append((max(sent, begin + length) if sent >= begin else sent, number, face(number)))
    return arrivals


@pytest.mark.parametrize("length", [0.2, 0.5, 0.9])
def test_a_short_one_is_caught_up_without_skipping(length: float) -> None:
    made = JitterBuffer(QuantileDelay())
    shown = play(made, outage(12.0, length, 400), 25.9)
    poses = [pose for _, pose in shown]
    assert_positions_rise(poses)
    new = [(at, pose) for at, pose in shown if pose.kind is not PoseKind.HELD]
    assert made.counters.hurried or positions(poses) == list(range(len(new)))
    assert made.counters.skipped == 0
    assert made.counters.worst_freeze_s == pytest.approx(length, abs=0.07)
    after = [at for at, _ in new if at > 12.0 + length]
    assert_no_burst(after, at_least=0.0319)
    delay = made.current_delay_s
    assert delay is not None
    assert delay < 0.1


@pytest.mark.parametrize("length", [3.5, 5.0])
def test_a_long_one_ends_with_a_jump_to_what_is_new(length: float) -> None:
    made = JitterBuffer(QuantileDelay())
    shown = play(made, outage(12.0, length, 400), 25.9)
    assert_positions_rise(pose for _, pose in shown)
    at, pose = next((at, pose) for at, pose in shown if at >= 12 + length and pose.kind is not PoseKind.HELD)
    assert at - (10 + 0.04 * pose.position) < 1.1
    assert at <= 12 + length + 0.001
    assert made.counters.skipped > 0


def test_the_deadline_moves_up_when_data_is_there_again() -> None:
    made = JitterBuffer(QuantileDelay())
    made.push(0, face(0), 10.0)
    made.pop(10.04)
    made.pop(10.08)
    assert made.next_deadline() == pytest.approx(10.12)
    made.push(1, face(1), 10.09)
    assert made.next_deadline() == 10.09


def test_a_frame_that_comes_too_late_does_not_wake_the_clock() -> None:
    made = JitterBuffer(QuantileDelay())
    made.push(1, face(1), 10.0)
    made.pop(10.04)
    made.pop(10.08)
    made.push(0, face(0), 10.09)
    assert made.next_deadline() == pytest.approx(10.12)
    assert made.counters.late == 1


def test_after_an_outage_with_everything_lost_it_goes_on_with_what_is_new() -> None:
    made = JitterBuffer(QuantileDelay())
    arrivals = [(10 + 0.04 * n, n, face(n)) for n in range(100) if not 20 <= n < 60]
    shown = play(made, arrivals, 13.9)
    assert_positions_rise(pose for _, pose in shown)
    assert made.counters.interpolated == 0
    first = next(at for at, pose in shown if pose.position >= 60)
    assert first == pytest.approx(10 + 0.04 * 60)
