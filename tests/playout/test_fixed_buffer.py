"""A delay that is given: never warped, never made up."""

from __future__ import annotations

import pytest

from avatarkit_rtc.playout.delay import FixedDelay
from avatarkit_rtc.playout.fixed_buffer import FixedBuffer
from avatarkit_rtc.playout.jitter_buffer import CAPACITY
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import assert_shown_exactly, kinds, positions
from tests.support.frames import face, faces, play


def buffer(delay_s: float = 0.1) -> FixedBuffer:
    return FixedBuffer(FixedDelay(delay_s), delay_s=delay_s)


def test_never_warps_whatever_the_jitter() -> None:
    made = buffer(0.1)
    jitter = [0.0, 0.03, 0.09, 0.01, 0.06]
    shown = play(made, [(10 + 0.04 * n + jitter[n % 5], n, face(n)) for n in range(200)], 20.0)
    assert [at for at, _ in shown] == pytest.approx([10.1 + 0.04 * n for n in range(200)])
    assert_shown_exactly([pose for _, pose in shown], faces(200))
    assert made.current_delay_s == 0.1
    assert made.counters.shown == 200


def test_what_is_missing_or_late_is_passed_over() -> None:
    made = buffer(0.1)
    arrivals = [(10 + 0.04 * n, n, face(n)) for n in range(20) if n not in (5, 9)]
    arrivals.append((10 + 0.04 * 9 + 0.15, 9, face(9)))
    shown = play(made, arrivals, 12.0)
    assert positions(pose for _, pose in shown) == [n for n in range(20) if n not in (5, 9)]
    assert set(kinds(pose for _, pose in shown)) == {PoseKind.RECEIVED}
    assert made.counters.late == 1
    assert made.counters.freezes == 2


def test_after_an_outage_only_what_is_due_now_is_shown() -> None:
    made = buffer(0.1)
    arrivals = [(max(10 + 0.04 * n, 10.5 if n > 2 else 0), n, face(n)) for n in range(20)]
    for at, seq, frame in arrivals[:13]:
        if seq == 3:
            assert positions(pose for _, pose in play(made, [], 10.49)) == [0, 1, 2]
        made.push(seq, frame, at)
    assert positions(pose for _, pose in play(made, arrivals[13:], 12.0)) == list(range(10, 20))
    assert made.counters.late == 7


def test_counts_copies_once_and_marks_what_they_brought() -> None:
    made = buffer(0.1)
    made.push(0, face(0), 10.0, recovered=True)
    made.push(0, face(0), 10.0)
    assert len(made) == 1
    assert made.counters.late == 1
    made.end()
    assert not made.drained
    [(at, pose)] = play(made, [], 11.0)
    assert at == pytest.approx(10.1)
    assert pose.kind is PoseKind.RECOVERED
    assert made.drained


def test_nothing_is_due_before_the_first_frame() -> None:
    made = buffer()
    assert made.next_deadline() is None
    assert made.pop(1.0) is None
    assert made.current_delay_s is None
    made.push(0, face(0), 10.0)
    assert made.pop(10.05) is None


def test_a_jump_of_the_numbering_goes_on_and_counts_what_it_leaves_behind() -> None:
    made = buffer(0.1)
    for n in range(3):
        made.push(n, face(n), 10.0 + 0.04 * n)
    made.push(10**6, face(3), 10.12, rebased=True)
    shown = play(made, [(10.16, 10**6 + 1, face(4))], 11.0)
    assert positions(pose for _, pose in shown) == [10**6, 10**6 + 1]
    assert made.counters.skipped == 3


def test_the_longest_delay_loses_nothing() -> None:
    made = buffer(10.0)
    shown = play(made, [(10 + 0.04 * n, n, face(0)) for n in range(600)], 45.0)
    assert len(shown) == 600
    assert made.counters.overflowed == 0


def test_memory_is_bounded_when_nobody_pops() -> None:
    made = buffer(0.1)
    for n in range(2000):
        made.push(n, face(0), 10 + 0.04 * n)
        assert len(made) <= CAPACITY + 3
    assert made.counters.skipped == made.counters.overflowed == 2000 - len(made)


def test_a_clock_that_is_set_back_goes_on() -> None:
    made = buffer(0.1)
    play(made, [(1000 + 0.04 * n, n, face(n)) for n in range(10)], 1001.0)
    shown = play(made, [(10 + 0.04 * n, n, face(n)) for n in range(10, 20)], 11.5)
    assert positions(pose for _, pose in shown) == list(range(10, 20))


def test_a_late_pop_shows_what_is_due_by_then_and_drops_the_rest() -> None:
    made = buffer(0.1)
    for n in range(6):
        made.push(n, face(n), 10.0 + 0.04 * n)
    pose = made.pop(10.1 + 0.04 * 3 + 0.001)
    assert pose is not None
    assert pose.position == 3
    assert made.counters.late == 3
    assert len(made) == 2


def test_frames_that_wait_when_the_clock_is_set_back_are_shown_all_the_same() -> None:
    made = buffer(0.1)
    made.push(0, face(0), 1000.0)
    assert made.pop(10.0) is None
    assert made.next_deadline() == pytest.approx(10.1)
