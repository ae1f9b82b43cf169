from __future__ import annotations

import pytest

from avatarkit_rtc.motion.events import RoundEndReason
from tests.support.assertions import assert_rounds_in_order, closed_in, frames_in, opened_in, seqs_in
from tests.support.frames import IDLE, Listener, face, faces, speech, transition, transition_end, utterance


@pytest.mark.parametrize("end", [True, False])
def test_a_frame_that_is_start_and_end_is_a_whole_round(end: bool) -> None:
    listener = Listener()
    listener.hear([*speech(faces(1), end=end), transition_end(face(0))])
    assert seqs_in(listener.events) == [0]
    assert closed_in(listener.events) == [
        (1, RoundEndReason.END_FLAG if end else RoundEndReason.TRANSITION_END)
    ]


def test_many_in_a_row() -> None:
    listener = Listener()
    for turn in range(5):
        listener.hear(utterance(faces(1, turn)))
    assert_rounds_in_order(listener.events)
    assert [seqs_in(listener.events, number) for number in range(1, 6)] == [[0]] * 5


def test_identical_ones_in_a_row_are_rounds_of_their_own() -> None:
    listener = Listener()
    for _ in range(5):
        listener.hear(utterance(faces(1)))
    assert len(opened_in(listener.events)) == 5
    assert len(frames_in(listener.events)) == 5


def test_a_lost_only_frame_is_replaced_by_the_transition_end() -> None:
    listener = Listener()
    listener.hear([transition(face(0)), transition_end(face(0)), *[IDLE] * 10])
    assert [(each.seq, each.frame, each.recovered) for each in frames_in(listener.events)] == [
        (0, face(0), True)
    ]
    assert closed_in(listener.events) == [(1, RoundEndReason.TRANSITION_END)]


def test_its_transition_behind_its_end_does_not_open_it_again() -> None:
    listener = Listener()
    listener.hear([transition(face(0)), *speech(faces(1)), transition_end(face(0)), transition(face(0))])
    assert len(opened_in(listener.events)) == 1
