"""A plain session, and what a stream counts; loss, order and restarts have files of their own."""

from __future__ import annotations

import math

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.events import RoundCause, RoundEndReason, RoundOpened, TransitionArrived
from avatarkit_rtc.motion.packet import encode_frame
from avatarkit_rtc.motion.stream import MotionStream
from tests.support.assertions import (
    assert_each_frame_once,
    assert_rounds_in_order,
    assert_values,
    closed_in,
    frames_in,
    opened_in,
    seqs_in,
)
from tests.support.frames import (
    IDLE,
    Listener,
    face,
    faces,
    frame_packet,
    message,
    speech,
    transition,
    utterance,
)


def test_a_session_as_a_service_sends_it() -> None:
    listener = Listener()
    listener.hear([IDLE] * 3)
    for turn in range(3):
        listener.hear(utterance(faces(30, turn)))
    assert_rounds_in_order(listener.events)
    assert_each_frame_once(listener.events)
    assert_values(listener.events, {number + 1: faces(30, number) for number in range(3)})
    assert [each.cause for each in opened_in(listener.events)] == [RoundCause.TRANSITION] * 3
    assert closed_in(listener.events) == [(number, RoundEndReason.TRANSITION_END) for number in (1, 2, 3)]
    assert all(seqs_in(listener.events, number) == list(range(30)) for number in (1, 2, 3))
    assert not any(each.recovered or each.rebased for each in frames_in(listener.events))
    counters = listener.stream.counters
    assert (counters.packets, counters.frames, counters.recovered) == (3 + 3 * 68, 90, 0)
    assert (counters.idle, counters.transitions, counters.transition_ends) == (33, 24, 60)


def test_the_open_round_is_open_from_transition_to_end() -> None:
    listener = Listener()
    seen = []
    for data in [IDLE, *utterance(faces(2), lead=1, ends=1, idle=1)]:
        listener.hear(data)
        seen.append(listener.stream.open_round)
    assert seen == [None, 1, 1, 1, None, None]


def test_a_transition_is_reported_once_with_its_pose() -> None:
    events = Listener().hear([transition(face(0))] * 8)
    assert events == [RoundOpened(1, RoundCause.TRANSITION), TransitionArrived(1, face(0))]


def test_the_services_name_for_a_turn_is_passed_on() -> None:
    events = Listener().hear(encode_frame(0, message(face(0), "turn-1"), start=True))
    assert opened_in(events)[0].req_id == "turn-1"


def test_the_end_flag_closes_a_round() -> None:
    listener = Listener()
    listener.hear(speech(faces(5), end=True))
    assert closed_in(listener.events) == [(1, RoundEndReason.END_FLAG)]


def test_closing_from_outside_is_reported_once() -> None:
    listener = Listener()
    assert listener.close(RoundEndReason.STALLED) == []
    listener.hear(speech(faces(3)))
    assert closed_in(listener.close(RoundEndReason.CONNECTION_LOST)) == [(1, RoundEndReason.CONNECTION_LOST)]
    assert listener.close(RoundEndReason.CONNECTION_LOST) == []


def test_what_comes_after_a_stall_opens_a_round_at_once() -> None:
    listener = Listener()
    packets = speech(faces(20))
    listener.hear(packets[:5])
    listener.close(RoundEndReason.STALLED)
    events = listener.hear(packets[5:])
    assert opened_in(events) == [RoundOpened(2, RoundCause.FRAME)]
    assert seqs_in(events) == list(range(5, 20))
    listener.close(RoundEndReason.STALLED)
    assert opened_in(listener.hear([packets[19], transition(face(0))])) == [
        RoundOpened(3, RoundCause.TRANSITION)
    ]


def test_only_well_formed_packets_are_activity() -> None:
    stream = MotionStream()
    stream.receive(b"rubbish", 5.0)
    assert stream.last_activity is None
    stream.receive(IDLE, 6.0)
    stream.receive(b"rubbish", 7.0)
    assert stream.last_activity == 6.0


def test_resized_fields_and_extra_keyframes_are_counted() -> None:
    flame = pb.Flame(jaw_pose=[0.1] * 4)
    animation = pb.FlameAnimation(keyframes=[flame, flame, flame])
    odd = pb.Message(server_response_animation=pb.ServerResponseAnimation(animation=animation))
    stream = MotionStream()
    stream.receive(encode_frame(0, odd.SerializeToString()), 0.0)
    assert (stream.counters.resized_fields, stream.counters.extra_keyframes) == (7, 2)


def test_times_that_are_none_and_a_clock_that_was_set() -> None:
    listener = Listener(math.nan)
    packets = speech(faces(40))
    listener.hear(packets[:3])
    listener.now = 5000.0
    listener.hear(packets[3:10])
    listener.now = 10.0  # set back
    listener.hear(packets[10:20])
    listener.hear([*[frame_packet(3, face(1, 9))], *[IDLE] * 20])  # idle still closes: 0.3 s are 0.3 s
    assert seqs_in(listener.events, 1) == list(range(20))
    assert closed_in(listener.events)[-1][1] is RoundEndReason.IDLE


def test_a_clock_that_was_set_moves_both_rounds_and_drops_the_candidate() -> None:
    listener = Listener()
    listener.hear(speech(faces(10)))
    listener.hear(speech(faces(10, 1)))
    listener.hear(frame_packet(5, face(5, 7)))
    listener.now = 3.0
    listener.hear(IDLE)
    assert listener.stream.counters.unconfirmed == 1
    listener.hear([IDLE] * 10)
    assert closed_in(listener.events)[-1] == (2, RoundEndReason.IDLE)
