from __future__ import annotations

from avatarkit_rtc.motion.events import RoundCause, RoundEndReason
from tests.support.assertions import assert_rounds_in_order, closed_in, frames_in, opened_in, seqs_in
from tests.support.frames import Listener, face, faces, frame_packet, speech, transition, transition_end


def test_the_first_frame_opens_the_round_and_brings_the_lost_one() -> None:
    listener = Listener()
    listener.hear(speech(faces(10))[1:])
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.FRAME]
    assert seqs_in(listener.events) == list(range(10))
    assert [each.seq for each in frames_in(listener.events) if each.recovered] == [0]


def test_a_round_after_a_transition_needs_no_start_flag() -> None:
    listener = Listener()
    listener.hear([transition(face(0)), *speech(faces(5))[1:]])
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.TRANSITION]
    assert seqs_in(listener.events) == list(range(5))


def test_a_start_overtaken_by_later_frames_does_not_open_the_round_again() -> None:
    listener = Listener()
    zero, one, two, three = speech(faces(4), redundancy=False)
    listener.hear([one, two, zero, three])
    assert len(opened_in(listener.events)) == 1
    assert seqs_in(listener.events) == [1, 2, 0, 3]


def test_the_next_round_a_second_later_opens_by_its_first_frame() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), transition_end(face(9))])
    listener.wait(1.5)
    listener.hear(speech(faces(10, 1))[1:])
    assert_rounds_in_order(listener.events)
    assert seqs_in(listener.events, 2) == list(range(10))


def test_an_identical_round_a_second_later_opens_too() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), transition_end(face(9))])
    listener.wait(1.5)
    listener.hear(speech(faces(10))[1:])
    assert seqs_in(listener.events, 2) == list(range(10))


def test_right_after_a_round_two_frames_in_order_open_the_next() -> None:
    listener = Listener()
    listener.hear([*speech(faces(30)), transition_end(face(29))])
    listener.hear(speech(faces(10, 1))[1:])
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.START, RoundCause.RESTART]
    assert seqs_in(listener.events, 2) == list(range(10))
    assert listener.stream.counters.restarts == 1


def test_packets_behind_a_round_that_only_had_a_transition() -> None:
    listener = Listener()
    listener.hear(transition(face(0)))
    listener.close(RoundEndReason.STALLED)
    listener.hear(frame_packet(4, face(4)))
    assert closed_in(listener.events) == [(1, RoundEndReason.STALLED)]
    assert opened_in(listener.events)[-1].cause is RoundCause.FRAME
