from __future__ import annotations

import pytest

from tests.support.assertions import assert_rounds_in_order, frames_in, opened_in, seqs_in
from tests.support.frames import Listener, face, faces, frame_packet, speech, transition_end


@pytest.mark.parametrize("jump", [251, 10**6, 2**31 - 100])
def test_far_ahead_is_a_new_position_of_the_same_round(jump: int) -> None:
    listener = Listener()
    listener.hear(speech(faces(10)))
    listener.hear(speech(faces(10, 1), first_seq=9 + jump, start=False))
    assert len(opened_in(listener.events)) == 1
    assert seqs_in(listener.events) == [*range(10), *range(9 + jump, 19 + jump)]
    assert [each.seq for each in frames_in(listener.events) if each.rebased] == [9 + jump]
    assert listener.stream.counters.rebased == 1


@pytest.mark.parametrize("back", [65, 10**6])
def test_far_back_is_a_new_round(back: int) -> None:
    listener = Listener()
    listener.hear(speech(faces(10), first_seq=2 * 10**6))
    listener.hear(speech(faces(10, 1), first_seq=2 * 10**6 + 9 - back, start=False, redundancy=False))
    assert_rounds_in_order(listener.events)
    assert len(seqs_in(listener.events, 2)) == 10


def test_a_gap_of_up_to_ten_seconds_is_a_loss() -> None:
    listener = Listener()
    packets = speech(faces(300))
    listener.hear([packets[0], packets[250]])
    assert listener.stream.counters.rebased == 0
    assert seqs_in(listener.events) == [0, 248, 249, 250]


def test_a_jump_after_the_end_needs_a_second_frame() -> None:
    listener = Listener()
    listener.hear([*speech(faces(10)), transition_end(face(9))])
    listener.hear(frame_packet(5000, face(1, 1)))
    assert len(opened_in(listener.events)) == 1
    listener.hear(frame_packet(5001, face(2, 1)))
    assert seqs_in(listener.events, 2) == [5000, 5001]
