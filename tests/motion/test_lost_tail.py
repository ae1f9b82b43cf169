"""The last frame has no successor to carry it again: the transition-end holds the same bytes."""

from __future__ import annotations

from avatarkit_rtc.motion.events import RoundEndReason
from tests.support.assertions import assert_each_frame_once, closed_in, frames_in, seqs_in
from tests.support.frames import Listener, face, faces, frame_packet, ramp, speech, transition_end


def test_the_transition_end_stands_in_for_the_last_frame() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10))[:9], *[transition_end(face(9))] * 20])
    assert seqs_in(listener.events) == list(range(10))
    last = frames_in(listener.events)[-1]
    assert last.recovered
    assert last.frame == face(9)
    assert closed_in(listener.events) == [(1, RoundEndReason.TRANSITION_END)]


def test_the_last_frame_itself_comes_later_and_is_a_duplicate() -> None:
    listener = Listener()
    packets = speech(faces(10))
    listener.hear([*packets[:9], transition_end(face(9)), packets[9]])
    assert seqs_in(listener.events) == list(range(10))
    assert listener.stream.counters.duplicates == 1


def test_two_late_frames_are_not_shown_twice_nor_taken_for_a_new_round() -> None:
    listener = Listener()
    packets = speech(faces(10))
    listener.hear([*packets[:8], transition_end(face(9)), packets[8], packets[9]])
    assert_each_frame_once(listener.events)
    assert [each.frame for each in frames_in(listener.events)].count(face(9)) == 1
    assert listener.stream.counters.stragglers == 1
    assert listener.stream.counters.restarts == 0


def test_a_late_last_frame_still_brings_the_ones_before_it() -> None:
    listener = Listener()
    packets = speech(faces(10))
    listener.hear([*packets[:7], transition_end(face(9)), packets[9]])
    # 7 has the stand-in's place; 8 comes from the copies of 9.
    assert seqs_in(listener.events) == [*range(8), 8]


def test_a_straggler_within_the_reorder_window_still_belongs_to_the_round() -> None:
    listener = Listener()
    packets = speech(faces(10), redundancy=False)
    listener.hear([*packets[:8], packets[9], transition_end(face(9)), packets[8]])
    assert seqs_in(listener.events) == [*range(8), 9, 8]


def test_frames_of_a_still_face_behind_the_end() -> None:
    still = [ramp(1)] * 4
    listener = Listener()
    packets = speech(still, redundancy=False)
    listener.hear([*packets[:3], transition_end(ramp(1)), packets[3]])
    assert seqs_in(listener.events) == [0, 1, 2, 3]


def test_a_straggler_much_later_needs_a_second_one() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), transition_end(face(9))])
    listener.wait(0.6)
    listener.hear(frame_packet(10, face(10)))
    assert seqs_in(listener.events, 1) == list(range(10))
    listener.hear(frame_packet(11, face(11)))
    assert seqs_in(listener.events, 2) == [10, 11]


def test_the_end_of_the_round_before_overtaken_by_the_next_does_not_close_it() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), *[transition_end(face(9))] * 3])
    following = speech(faces(10, 1))
    listener.hear([following[0], transition_end(face(9)), *following[1:], transition_end(face(9, 1))])
    assert closed_in(listener.events) == [
        (1, RoundEndReason.TRANSITION_END),
        (2, RoundEndReason.TRANSITION_END),
    ]
    assert seqs_in(listener.events, 2) == list(range(10))


def test_so_for_an_end_that_was_all_we_heard_of_the_round_before() -> None:
    listener = Listener()
    following = speech(faces(10, 1))
    listener.hear([transition_end(face(9)), following[0], transition_end(face(9)), *following[1:]])
    assert seqs_in(listener.events, 1) == list(range(10))
    assert closed_in(listener.events) == []
