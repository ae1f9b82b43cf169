"""After an interrupt the cut turn's tail may send Start again with no frames behind it."""

from __future__ import annotations

from avatarkit_rtc.motion.events import RoundCause, RoundEndReason
from tests.support.assertions import assert_rounds_in_order, closed_in, opened_in, seqs_in
from tests.support.frames import IDLE, Listener, face, faces, speech, transition, transition_end, utterance


def test_a_lone_start_becomes_a_round_of_its_own_that_idle_ends() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), *speech(faces(1, 1)), *[IDLE] * 15])
    assert_rounds_in_order(listener.events)
    assert closed_in(listener.events) == [(1, RoundEndReason.SUPERSEDED), (2, RoundEndReason.IDLE)]
    assert seqs_in(listener.events, 2) == [0]


def test_the_next_turn_plays_whole() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), *speech(faces(1, 1)), *[IDLE] * 10, *utterance(faces(20, 2))])
    assert_rounds_in_order(listener.events)
    assert opened_in(listener.events)[-1].cause is RoundCause.TRANSITION
    assert seqs_in(listener.events, 3) == list(range(20))


def test_the_next_turn_right_behind_the_lone_start_plays_whole() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), *speech(faces(1, 1)), *utterance(faces(20, 2))])
    last = opened_in(listener.events)[-1].round
    assert seqs_in(listener.events, last) == list(range(20))


def test_a_late_frame_of_the_cut_turn_is_not_one_of_the_next() -> None:
    listener = Listener()
    cut, following = speech(faces(32)), speech(faces(20, 1))
    listener.hear([*cut[:31], *following[:2], cut[31], *following[2:], transition_end(face(19, 1))])
    assert seqs_in(listener.events, 2) == list(range(20))
    assert listener.stream.counters.stragglers == 1


def test_a_late_frame_of_the_cut_turn_behind_the_next_transition() -> None:
    listener = Listener()
    cut = speech(faces(32))
    listener.hear([*cut[:31], transition(face(0, 1)), cut[31], cut[30], *speech(faces(9, 1))])
    assert seqs_in(listener.events, 1) == list(range(31))
    assert seqs_in(listener.events, 2) == list(range(9))
    assert listener.stream.counters.stragglers == 2
