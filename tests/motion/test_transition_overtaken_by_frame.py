"""T . T . T under reordering must not open the round again: frames do not clear the latch."""

from __future__ import annotations

from avatarkit_rtc.motion.events import RoundCause, TransitionArrived
from tests.support.assertions import opened_in, seqs_in
from tests.support.frames import Listener, face, faces, speech, transition, transition_end


def test_transitions_between_the_first_frames() -> None:
    listener = Listener()
    lead, packets = transition(face(0)), speech(faces(10))
    listener.hear([lead, packets[0], lead, packets[1], lead, *packets[2:]])
    assert len(opened_in(listener.events)) == 1
    assert seqs_in(listener.events) == list(range(10))


def test_the_only_transition_behind_the_first_frame() -> None:
    listener = Listener()
    packets = speech(faces(10))
    listener.hear([packets[0], transition(face(0)), *packets[1:]])
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.START]
    assert not any(isinstance(each, TransitionArrived) for each in listener.events)
    assert listener.stream.counters.transitions == 1


def test_a_transition_late_in_a_round_opens_the_next() -> None:
    listener = Listener()
    listener.hear([transition(face(0)), *speech(faces(40))])
    listener.hear([*[transition(face(0, 1))] * 8, *speech(faces(5, 1))])
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.TRANSITION] * 2
    assert seqs_in(listener.events, 2) == list(range(5))


def test_so_with_the_same_pose_as_before() -> None:
    listener = Listener()
    for _ in range(2):
        listener.hear([*[transition(face(0))] * 8, *speech(faces(40))])
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.TRANSITION] * 2


def test_the_end_of_the_round_before_behind_the_next_transition() -> None:
    listener = Listener()
    listener.hear([*speech(faces(9)), transition_end(face(8))])
    listener.hear([transition(face(0, 1)), transition_end(face(8)), *speech(faces(9, 1))])
    assert len(opened_in(listener.events)) == 2
    assert seqs_in(listener.events, 2) == list(range(9))
