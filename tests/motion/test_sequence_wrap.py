from __future__ import annotations

from tests.support.assertions import assert_rounds_in_order, opened_in, seqs_in
from tests.support.frames import Listener, faces, speech


def test_numbers_go_on_rising_past_the_wrap() -> None:
    listener = Listener()
    listener.hear(speech(faces(20), first_seq=2**32 - 10))
    assert seqs_in(listener.events) == list(range(2**32 - 10, 2**32 + 10))
    assert len(opened_in(listener.events)) == 1


def test_copies_cross_the_wrap() -> None:
    listener = Listener()
    packets = speech(faces(20), first_seq=2**32 - 10)
    listener.hear([each for index, each in enumerate(packets) if index not in (9, 10)])
    assert seqs_in(listener.events) == list(range(2**32 - 10, 2**32 + 10))
    assert listener.stream.counters.recovered == 2


def test_reordering_across_the_wrap() -> None:
    listener = Listener()
    packets = speech(faces(6), first_seq=2**32 - 3, redundancy=False)
    packets[2], packets[3] = packets[3], packets[2]
    listener.hear(packets)
    assert sorted(seqs_in(listener.events)) == list(range(2**32 - 3, 2**32 + 3))
    assert_rounds_in_order(listener.events)
