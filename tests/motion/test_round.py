"""Whose packet is it? The rules one by one; the stories they make are in files of their own."""

from __future__ import annotations

from avatarkit_rtc.motion.round import LINGER_S, REORDER_S, Phase, Round
from avatarkit_rtc.motion.sequence import Arrival, SequenceTracker
from tests.support.frames import face


def spoken(count: int = 10, *, now: float = 0.0, started: bool = True) -> Round:
    made = Round(1, now, phase=Phase.OPEN, started=started, first_frame_at=now, active_at=now, closed_at=now)
    made.tracker = SequenceTracker(0)
    for number in range(count):
        made.tracker.record(number, face(number))
    return made


def test_activity_starts_the_count_of_idle_packets_anew() -> None:
    made = spoken()
    made.idle_packets = 4
    made.note_activity(3.0)
    assert (made.active_at, made.idle_packets) == (3.0, 0)


def test_moving_takes_every_moment_along() -> None:
    made = spoken(now=5.0)
    made.move(-2.0)
    assert (made.opened_at, made.first_frame_at, made.active_at, made.closed_at) == (3.0,) * 4


def test_the_same_start_again_is_its_own_only_for_a_while() -> None:
    assert spoken().owns_start(0, face(0), REORDER_S)
    assert not spoken().owns_start(0, face(0), REORDER_S + 0.1)
    assert not spoken().owns_start(0, face(0, 1), 0.1)


def test_a_start_overtaken_by_its_followers_is_its_own() -> None:
    made = Round(1, 0.0, phase=Phase.OPEN, lowest=2)
    made.tracker = SequenceTracker(2)
    made.tracker.record(2, face(2))
    assert made.owns_start(0, face(0), 0.5)
    assert not made.owns_start(0, face(0), LINGER_S + 0.1)
    made.started = True
    assert not made.owns_start(0, face(0), 0.5)


def test_a_closed_round_awaits_no_first_frame_unless_it_was_flushed() -> None:
    made = Round(1, 0.0)
    assert made.awaits_first_frame(0.0)
    made.phase = Phase.CLOSED
    assert not made.owns_start(0, face(0), 0.0)
    made.muted = True
    assert made.owns_start(0, face(0), 0.5)
    assert not made.owns_start(0, face(0), 1.5)


def test_transitions_are_its_own_until_it_is_over() -> None:
    opening = Round(1, 0.0, latch=face(0))
    assert opening.owns_transition(face(1), 0.9)
    assert opening.owns_transition(face(0), 9.0)
    assert not opening.owns_transition(face(1), 9.0)
    opening.phase = Phase.CLOSED
    assert opening.owns_transition(face(0), 0.2)
    assert not opening.owns_transition(face(0), 0.5)
    assert not opening.owns_transition(face(1), 0.2)
    opening.muted = True
    assert opening.owns_transition(face(0), 0.5)

    made = spoken()
    made.latch = face(0)
    assert made.owns_transition(face(1), 0.2)
    assert made.owns_transition(face(0), 0.8)
    assert not made.owns_transition(face(1), 0.8)
    assert not made.owns_transition(face(0), 1.2)
    made.phase, made.closed_at = Phase.CLOSED, 5.0
    assert made.owns_transition(face(0), 5.2)
    assert not made.owns_transition(face(0), 5.4)
    made.broken = True
    assert not made.owns_transition(face(0), 5.2)


def test_a_closed_round_is_abandoned_after_a_while() -> None:
    made = spoken()
    assert not made.abandoned(Arrival.NEXT, 1.0)
    assert made.abandoned(Arrival.NEXT, 1.1)
    made.muted = True
    assert not made.abandoned(Arrival.NEXT, 1.1)
    assert made.abandoned(Arrival.NEXT, 3.1)
    made.muted, made.broken = False, True
    assert made.abandoned(Arrival.NEXT, 0.0)
    assert not made.abandoned(Arrival.DUPLICATE, 0.0)


def test_frames_near_the_old_numbering_and_far_from_the_new_were_left_behind() -> None:
    old, new = spoken(30), Round(2, 0.0)
    assert old.left_behind(new, 30, face(30), 0.1)
    assert old.left_behind(new, 28, face(28), 0.1)
    assert not old.left_behind(new, 40, face(40), 0.1)
    assert not old.left_behind(new, 2, face(2), 0.1)
    assert not old.left_behind(new, 30, face(30), 0.4)
    new.tracker = SequenceTracker(1)
    assert old.left_behind(new, 30, face(30), 0.1)
    assert not spoken(2).left_behind(new, 2, face(2), 0.1)
    assert not Round(1, 0.0).left_behind(new, 30, face(30), 0.1)


def test_holds_only_its_last_two_frames() -> None:
    made = spoken(10)
    assert made.held(9, face(9))
    assert made.held(8, face(8))
    assert not made.held(7, face(7))
    assert not made.held(9, face(8))
    assert not Round(1, 0.0).held(0, face(0))
