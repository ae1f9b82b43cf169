"""The reference client's rules, and the faults that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.motion.events import (
    RoundCause,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    TransitionArrived,
)
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout import Playout, PlayoutOptions, PoseKind
from avatarkit_rtc.playout.delay import FixedDelay
from avatarkit_rtc.playout.reference_buffer import HELD_FRAMES, ReferenceBuffer
from tests.support.assertions import NEW, assert_positions_rise, positions
from tests.support.frames import Stage, arrived, face, play, ramp

TICK = 1 / 25


def buffer(max_delay_s: float = 0.080) -> ReferenceBuffer:
    return ReferenceBuffer(FixedDelay(max_delay_s), max_delay_s=max_delay_s)


def sent(numbers: object, delay_s: float = 0.001) -> list[tuple[float, int, MotionFrame]]:
    """Frames that come a little after the tick of their sending, so that no rounding decides a race."""
    return [(10 + TICK * n + delay_s, n, face(n)) for n in numbers]  # type: ignore[attr-defined]


def test_starts_once_a_frame_numbered_1_or_more_has_come() -> None:
    made = buffer()
    made.push(0, face(0), 10.0)
    assert made.next_deadline() is None
    assert made.pop(10.5) is None
    made.push(1, face(1), 10.52)
    assert made.next_deadline() == 10.52
    assert positions(pose for _, pose in play(made, [], 10.57)) == [0, 1]


def test_a_clean_network_plays_one_frame_behind() -> None:
    made = buffer()
    shown = play(made, sent(range(100)), 14.0)
    first = 10 + TICK + 0.001
    new = [(at, pose.position) for at, pose in shown if pose.kind in NEW]
    assert [position for _, position in new] == list(range(100))[: len(new)]
    assert [at for at, _ in new] == pytest.approx([first + TICK * n for n in range(len(new))])
    assert made.current_delay_s is None


def test_a_round_of_one_frame_is_never_drawn() -> None:
    made = buffer()
    made.push(0, face(0), 10.0)
    assert not made.drained
    made.end()
    assert made.drained
    assert play(made, [], 20.0) == []


def test_a_round_of_one_frame_is_never_drawn_in_a_session() -> None:
    stage = Stage(Playout(PlayoutOptions(strategy="reference")))
    stage.handle(RoundOpened(1, RoundCause.START), arrived(1, 0, ramp(1.0)))
    stage.run(0.5)
    stage.handle(RoundClosed(1, RoundEndReason.END_FLAG))
    stage.run(0.5)
    assert {pose.kind for pose in stage.poses} == {PoseKind.IDLE}
    assert stage.ended[0].stats.counters.skipped == 1


def test_one_lost_frame_is_a_pause_of_120_ms_and_40_ms_more_lag_for_the_rest() -> None:
    made = buffer()
    shown = play(made, sent(n for n in range(100) if n != 20), 13.9)
    times = {pose.position: at for at, pose in shown if pose.kind in NEW}
    lag = {n: times[n] - (10 + TICK * n) for n in times}
    assert times[21] - times[19] == pytest.approx(0.12)
    assert all(lag[n] == pytest.approx(TICK + 0.001) for n in range(20))
    assert all(lag[n] == pytest.approx(2 * TICK + 0.001) for n in range(21, 90))
    assert made.counters.freezes == 1
    assert made.counters.skipped == 0, "what never came was not skipped"


@pytest.mark.parametrize("max_delay_s", [0.160, 0.200, 0.400])
def test_with_160_ms_or_more_one_loss_makes_it_overflow_for_ever(max_delay_s: float) -> None:
    made = buffer(max_delay_s)
    arrivals = sent(n for n in range(1000) if n != 20)
    # The frame that starts the clock was a little late, so that the ticks come after the arrivals.
    arrivals[1] = (arrivals[1][0] + 0.002, *arrivals[1][1:])
    shown = play(made, arrivals, 49.0)
    after = [pose for _, pose in shown if pose.kind in NEW and pose.position > 20]
    assert len(after) <= 0.10 * 980
    assert made.counters.overflowed == made.counters.skipped > 850
    assert_positions_rise(pose for _, pose in shown)


def test_below_that_it_recovers() -> None:
    made = buffer(0.120)
    play(made, sent(n for n in range(1000) if n != 20), 49.0)
    assert made.counters.overflowed == 0
    assert made.counters.shown > 960


def test_after_an_outage_the_overflow_drops_what_is_due_next() -> None:
    made = buffer()
    made.push(0, face(0), 10.0)
    made.push(1, face(1), 10.04)
    play(made, [], 10.5)
    for number in range(2, 12):
        made.push(number, face(number), 10.6)
        assert len(made) <= HELD_FRAMES
    shown = play(made, [], 11.0)
    assert positions(pose for _, pose in shown) == [8, 9, 10, 11]
    assert made.counters.overflowed == 6


def test_the_clock_is_anchored_anew_when_frames_come_after_it_found_none() -> None:
    made = buffer()
    made.push(0, face(0), 10.0)
    made.push(1, face(1), 10.04)
    shown = play(made, [], 10.5)
    assert [pose.kind for _, pose in shown] == [PoseKind.RECEIVED, PoseKind.RECEIVED, PoseKind.HELD]
    assert made.next_deadline() is None
    made.push(2, face(2), 10.517)
    assert made.next_deadline() == 10.517
    assert positions([made.pop(10.517)]) == [2]  # type: ignore[list-item]


def test_a_late_tick_is_no_burst() -> None:
    made = buffer()
    for number in range(4):
        made.push(number, face(number), 10.0)
    assert made.pop(10.0) is not None
    assert made.pop(10.13) is not None
    assert made.next_deadline() == pytest.approx(10.17)
    assert made.pop(10.15) is None


def test_copies_and_what_comes_late_are_dropped() -> None:
    made = buffer()
    made.push(1, face(1), 10.0, recovered=True)
    made.push(1, face(1), 10.0)
    pose = made.pop(10.0)
    assert pose is not None
    assert pose.kind is PoseKind.RECOVERED
    made.push(0, face(0), 10.01)
    assert made.counters.late == 2


def test_what_is_missing_before_the_first_frame_is_not_held() -> None:
    made = buffer()
    made.push(5, face(5), 10.0)
    made.push(7, face(7), 10.08)
    shown = play(made, [], 10.3)
    assert positions(pose for _, pose in shown) == [5, 7]


def test_a_missing_frame_right_at_the_start_holds_nothing_while_it_waits() -> None:
    made = buffer()
    for number in range(1, 6):
        made.push(number, face(number), 10.0)  # the fifth pushes out the first, which is due next
    assert made.pop(10.0) is None
    assert made.pop(10.04) is None
    assert made.next_deadline() == pytest.approx(10.08)
    shown = play(made, [], 10.3)
    assert positions(pose for _, pose in shown) == [2, 3, 4, 5]


def test_a_jump_of_the_numbering_is_waited_upon_like_a_loss() -> None:
    made = buffer()
    for number in range(3):
        made.push(number, face(number), 10.0 + TICK * number)
    shown = play(made, [], 10.1)
    made.push(10**6, face(3), 10.12, rebased=True)
    shown += play(made, [(10.16, 10**6 + 1, face(4))], 10.6)
    assert positions(pose for _, pose in shown) == [0, 1, 2, 10**6, 10**6 + 1]
    assert made.counters.skipped == 0


@pytest.mark.parametrize("strategy", ["reference", "adaptive"])
def test_only_the_reference_shows_its_start_transition_of_8_frames_whole(strategy: str) -> None:
    options = PlayoutOptions(strategy=strategy, idle=MotionFrame.neutral())  # type: ignore[arg-type]
    stage = Stage(Playout(options))
    stage.handle(RoundOpened(1, RoundCause.TRANSITION), TransitionArrived(1, ramp(1.0)))
    begin = stage.now
    for number in range(25):
        stage.handle(arrived(1, number, ramp(2.0)))
        stage.run(TICK)
    first = next(pose for pose in stage.poses if pose.kind is PoseKind.RECEIVED)
    if strategy == "adaptive":
        assert first.t - begin < 0.1
        return
    assert 8 * TICK <= first.t - begin + 1e-6 <= 9.1 * TICK
    way = [pose for pose in stage.poses if pose.kind is PoseKind.TRANSITION]
    assert 7 <= len(way) <= 9
    # Smoothly all the way, although the first frame has long been there.
    steps = np.diff([float(pose.frame.values[0]) for pose in way])
    assert max(steps) < 0.25
    assert way[-1].frame.values[0] == pytest.approx(1.0, abs=0.06)


def test_a_clock_that_is_set_back_goes_on() -> None:
    made = buffer()
    made.push(0, face(0), 1000.0)
    assert made.pop(500.0) is None  # not started
    made.push(1, face(1), 500.04)
    assert made.pop(10.0) is not None
    assert made.next_deadline() == pytest.approx(10.04)
    assert positions(pose for _, pose in play(made, [(10.05, 2, face(2))], 10.2)) == [1, 2]
