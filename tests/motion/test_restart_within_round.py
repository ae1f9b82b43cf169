from __future__ import annotations

import pytest

from avatarkit_rtc.motion.events import RoundCause, RoundEndReason
from tests.support.assertions import (
    assert_each_frame_once,
    assert_rounds_in_order,
    closed_in,
    opened_in,
    seqs_in,
)
from tests.support.frames import Listener, face, faces, frame_packet, speech


@pytest.mark.parametrize("length", [2, 30, 200])
def test_with_a_start_flag_at_once(length: int) -> None:
    listener = Listener()
    listener.hear([*speech(faces(length)), *speech(faces(20, 1))])
    assert_rounds_in_order(listener.events)
    assert closed_in(listener.events) == [(1, RoundEndReason.SUPERSEDED)]
    assert seqs_in(listener.events, 2) == list(range(20))


@pytest.mark.parametrize("length", [30, 200])
def test_without_a_start_flag_after_two_frames(length: int) -> None:
    listener = Listener()
    listener.hear([*speech(faces(length)), *speech(faces(20, 1), start=False)])
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.START, RoundCause.RESTART]
    assert seqs_in(listener.events, 2) == list(range(20))


@pytest.mark.parametrize("length", [30, 200])
def test_of_the_same_content(length: int) -> None:
    listener = Listener()
    listener.hear([*speech(faces(length)), *speech(faces(length))])
    assert seqs_in(listener.events, 2) == list(range(length))


def test_one_frame_far_behind_is_no_restart() -> None:
    listener = Listener()
    packets = speech(faces(200))
    listener.hear([*packets[:150], packets[3], *packets[150:]])
    assert seqs_in(listener.events, 1) == list(range(200))
    assert listener.stream.counters.unconfirmed == 1


def test_two_frames_far_behind_but_out_of_order_are_none_either() -> None:
    listener = Listener()
    packets = speech(faces(200))
    listener.hear([*packets[:150], packets[8], packets[3], *packets[150:]])
    assert len(opened_in(listener.events)) == 1
    assert listener.stream.counters.unconfirmed == 2


def test_two_candidates_too_far_apart_in_time_are_none_either() -> None:
    listener = Listener()
    listener.hear([*speech(faces(150)), frame_packet(3, face(3, 1))])
    listener.wait(3.0)
    listener.hear(frame_packet(4, face(4, 1)))
    assert len(opened_in(listener.events)) == 1


def test_frames_before_a_start_that_was_seen_are_not_of_its_round() -> None:
    listener = Listener()
    listener.hear(speech(faces(5), first_seq=100))
    listener.hear([frame_packet(98, face(1, 1)), *speech(faces(9), first_seq=100)[5:]])
    assert seqs_in(listener.events) == list(range(100, 109))
    assert listener.stream.counters.unconfirmed == 1


def test_copies_from_before_a_start_are_not_of_its_round() -> None:
    listener = Listener()
    start, then = speech(faces(2), first_seq=100)[0], frame_packet(101, face(1), face(0), face(7, 7))
    listener.hear([start, then])
    assert seqs_in(listener.events) == [100, 101]


def test_a_start_far_below_an_unstarted_round_waits_for_a_second_frame() -> None:
    listener = Listener()
    listener.hear(speech(faces(20), first_seq=30, start=False, redundancy=False), every=0.02)
    listener.hear([frame_packet(2**32 - 30, face(1, 1), start=True), frame_packet(2**32 - 29, face(2, 1))])
    assert_each_frame_once(listener.events)
    assert opened_in(listener.events)[-1].cause is RoundCause.RESTART
