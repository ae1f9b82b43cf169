"""Idle packets have no number: under reordering they come after their round began."""

from __future__ import annotations

from avatarkit_rtc.motion.events import RoundEndReason
from tests.support.assertions import closed_in, seqs_in
from tests.support.frames import IDLE, Listener, face, faces, speech, transition, utterance


def test_idle_between_frames_closes_nothing() -> None:
    listener = Listener()
    for packet in speech(faces(20)):
        listener.hear([packet, IDLE, IDLE], every=0.013)
    assert closed_in(listener.events) == []
    assert seqs_in(listener.events) == list(range(20))


def test_many_idle_packets_at_once_close_nothing_while_frames_are_recent() -> None:
    listener = Listener()
    listener.hear(speech(faces(3)))
    listener.hear([IDLE] * 50, every=0.005)
    assert closed_in(listener.events) == []


def test_four_idle_packets_close_nothing_however_long_the_pause() -> None:
    listener = Listener()
    listener.hear(speech(faces(3)))
    listener.wait(2.0)
    listener.hear([IDLE] * 4)
    assert closed_in(listener.events) == []
    listener.hear(IDLE)
    assert closed_in(listener.events) == [(1, RoundEndReason.IDLE)]


def test_five_idle_packets_in_silence_close_a_round_whose_end_was_lost() -> None:
    listener = Listener()
    listener.hear([*speech(faces(3)), *[IDLE] * 20])
    assert closed_in(listener.events) == [(1, RoundEndReason.IDLE)]


def test_a_transition_that_leads_nowhere_is_closed_too() -> None:
    listener = Listener()
    listener.hear([transition(face(0)), *[IDLE] * 20])
    assert closed_in(listener.events) == [(1, RoundEndReason.IDLE)]
    assert listener.stream.open_round is None
    listener.hear(utterance(faces(5, 1)))
    assert seqs_in(listener.events, 2) == list(range(5))
