from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.motion.sequence import JUMP_AHEAD, REORDER_WINDOW, Arrival, SequenceTracker
from tests.support.frames import face


def tracker(newest: int) -> SequenceTracker:
    made = SequenceTracker(newest)
    made.record(newest, face(newest))
    return made


def test_every_distance_has_its_name() -> None:
    after = tracker(1000)
    assert after.classify(1001, face(1)) is Arrival.NEXT
    assert after.classify(1000 + JUMP_AHEAD, face(1)) is Arrival.NEXT
    assert after.classify(1000 + JUMP_AHEAD + 1, face(1)) is Arrival.JUMP
    assert after.classify(1000, face(1000)) is Arrival.DUPLICATE
    assert after.classify(1000, face(1)) is Arrival.CONFLICT
    assert after.classify(999, face(1)) is Arrival.LATE
    assert after.classify(1000 - REORDER_WINDOW, face(1)) is Arrival.LATE
    assert after.classify(1000 - REORDER_WINDOW - 1, face(1)) is Arrival.BEHIND


def test_the_first_number_is_next() -> None:
    assert SequenceTracker(7).classify(7, face(7)) is Arrival.NEXT


def test_positions_go_on_past_the_wrap_and_back_before_it() -> None:
    after = tracker(2**32 - 1)
    assert after.position_of(0) == 2**32
    assert after.position_of(2**32 - 2) == 2**32 - 2
    after.record(2**32, face(0))
    assert after.position_of(1) == 2**32 + 1
    assert after.position_of(2**32 - 1) == 2**32 - 1


def test_remembers_what_was_recorded() -> None:
    after = tracker(5)
    assert after.has(5)
    assert not after.has(4)
    assert after.get(5) == after.newest_frame == face(5)
    assert after.get(4) is None


@given(st.lists(st.integers(-REORDER_WINDOW, JUMP_AHEAD), max_size=400))
def test_memory_is_bounded_in_any_order(steps: list[int]) -> None:
    after = tracker(0)
    for step in steps:
        after.record(after.newest + step, face(0))
        assert len(after._seen) <= 2 * REORDER_WINDOW + 2
