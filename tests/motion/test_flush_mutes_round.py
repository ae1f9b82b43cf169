"""flush(): what is left of the round is dropped; the next one plays."""

from __future__ import annotations

import pytest

from avatarkit_rtc.motion.events import RoundEndReason
from tests.support.assertions import closed_in, opened_in, seqs_in
from tests.support.frames import IDLE, Listener, face, faces, speech, transition, transition_end, utterance


def flushed(count: int = 10, length: int = 30, end: bool = False) -> tuple[Listener, list[bytes]]:
    listener = Listener()
    packets = speech(faces(length), end=end)
    listener.hear(packets[:count])
    listener.close(RoundEndReason.FLUSHED)
    listener.events.clear()
    assert listener.stream.muted
    return listener, packets[count:]


def test_the_rest_of_the_round_is_dropped() -> None:
    listener, rest = flushed()
    listener.hear([*rest, *[transition_end(face(29))] * 20, *[IDLE] * 20])
    assert listener.events == []
    assert listener.stream.counters.muted == 20
    assert listener.stream.open_round is None


@pytest.mark.parametrize("between", [[], [IDLE] * 10, [transition_end(face(29))] * 20])
def test_the_next_round_plays(between: list[bytes]) -> None:
    listener, rest = flushed()
    listener.hear([*rest, *between, *utterance(faces(20, 1))])
    assert seqs_in(listener.events, 2) == list(range(20))
    assert closed_in(listener.events) == [(2, RoundEndReason.TRANSITION_END)]


def test_the_next_round_plays_without_transition_and_start() -> None:
    listener, rest = flushed()
    listener.hear([*rest, *speech(faces(20, 1), start=False)])
    assert seqs_in(listener.events, 2) == list(range(20))


def test_stragglers_behind_its_end_open_no_round() -> None:
    listener, rest = flushed(length=100)
    listener.hear([*rest[:-1], transition_end(face(99)), rest[-1]])
    assert opened_in(listener.events) == []
    assert not listener.stream.muted


def test_the_end_flag_ends_it() -> None:
    listener, rest = flushed(end=True)
    listener.hear(rest)
    assert not listener.stream.muted
    assert listener.events == []


def test_flushed_before_its_first_frame() -> None:
    listener = Listener()
    listener.hear([transition(face(0))] * 4)
    listener.close(RoundEndReason.FLUSHED)
    listener.events.clear()
    listener.hear([*[transition(face(0))] * 12, *speech(faces(30)), *[transition_end(face(29))] * 20])
    assert listener.events == []
    assert listener.stream.counters.muted == 30
    listener.hear(utterance(faces(5, 1)))
    assert seqs_in(listener.events, 2) == list(range(5))


def test_frames_long_after_it_fell_silent_are_a_new_round() -> None:
    listener, rest = flushed()
    listener.wait(5.0)
    listener.hear(rest)
    assert seqs_in(listener.events, 2) == list(range(10, 30))


def test_flushing_between_rounds_mutes_nothing() -> None:
    listener = Listener()
    listener.hear([*speech(faces(1)), transition_end(face(0))])
    listener.close(RoundEndReason.FLUSHED)
    assert not listener.stream.muted
    listener.wait(1.0)
    listener.hear(speech(faces(5, 1))[1:])
    assert seqs_in(listener.events, 2) == list(range(5))


def test_a_lost_connection_does_not_unmute() -> None:
    listener, rest = flushed()
    listener.close(RoundEndReason.CONNECTION_LOST)
    listener.hear(rest)
    assert listener.events == []


def test_nothing_is_muted_before_anything_came() -> None:
    listener = Listener()
    assert not listener.stream.muted
    listener.close(RoundEndReason.FLUSHED)
    assert not listener.stream.muted
