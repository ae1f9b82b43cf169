from __future__ import annotations

import struct

import pytest

from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion.packet import encode_frame
from tests.support.assertions import assert_each_frame_once, assert_values, frames_in, seqs_in
from tests.support.frames import Listener, face, faces, frame_packet, message, speech, utterance


def test_every_seventh_packet_withheld_is_recovered() -> None:
    frames = faces(92)
    packets = [each for index, each in enumerate(utterance(frames, lead=0)) if index > 91 or (index + 1) % 7]
    listener = Listener()
    listener.hear(packets)
    assert seqs_in(listener.events) == list(range(92))
    lost = list(range(6, 92, 7))
    assert [each.seq for each in frames_in(listener.events) if each.recovered] == lost
    assert listener.stream.counters.recovered == len(lost)
    assert_values(listener.events, {1: frames})


def test_two_in_a_row_are_recovered_and_of_three_two() -> None:
    packets = speech(faces(20))
    listener = Listener()
    listener.hear([each for index, each in enumerate(packets) if index not in (5, 6, 10, 11, 12)])
    assert seqs_in(listener.events) == [each for each in range(20) if each != 10]


def test_copies_of_what_has_arrived_are_nothing_new() -> None:
    listener = Listener()
    packets = speech(faces(20))
    listener.hear([each for packet in packets for each in (packet, packet, packet)], every=0.01)
    assert_each_frame_once(listener.events)
    assert not any(each.recovered for each in frames_in(listener.events))
    assert listener.stream.counters.duplicates == 40


def test_a_duplicate_may_bring_copies_that_are_missing() -> None:
    listener = Listener()
    listener.hear([frame_packet(5, face(5)), frame_packet(5, face(5), face(4))])
    assert seqs_in(listener.events) == [5, 4]


def test_a_broken_copy_costs_only_itself() -> None:
    broken = encode_frame(2, message(face(2)), previous=[b"\xff\xff", message(face(0))])
    listener = Listener()
    listener.hear([broken, frame_packet(3, face(3))])
    assert seqs_in(listener.events) == [0, 2, 3]
    counters = listener.stream.counters
    assert (counters.malformed_copies, counters.malformed) == (1, {})


def test_copies_are_not_looked_for_before_number_zero() -> None:
    listener = Listener()
    listener.hear(frame_packet(0, face(0), face(8, 1), face(7, 1)))
    assert seqs_in(listener.events) == [0]


def test_a_round_that_goes_on_with_its_numbering_does_not_repeat_the_last_frames() -> None:
    listener = Listener()
    packets = speech(faces(20))
    listener.hear(packets[:10])
    listener.close(RoundEndReason.STALLED)
    listener.wait(2.0)
    listener.hear(packets[10:])
    assert seqs_in(listener.events, 2) == list(range(10, 20))


def test_an_absent_current_message_is_refused() -> None:
    body = struct.pack("<III", 5, 0, 0)
    listener = Listener()
    listener.hear(struct.pack("<BI", 0x40, len(body)) + body)
    assert sum(listener.stream.counters.malformed.values()) == 1


@pytest.mark.parametrize("lost", [2, 3])
def test_the_frame_before_a_jump_is_not_made_up(lost: int) -> None:
    listener = Listener()
    listener.hear(speech(faces(5)))
    listener.hear(speech(faces(9), first_seq=10**6, start=False)[lost:])
    assert_each_frame_once(listener.events)
