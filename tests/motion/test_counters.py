from __future__ import annotations

from avatarkit_rtc.motion.counters import StreamCounters
from avatarkit_rtc.motion.message import Malformed


def test_refusals_are_counted_by_kind() -> None:
    counters = StreamCounters()
    counters.refuse(Malformed.TOO_SHORT)
    counters.refuse(Malformed.TOO_SHORT)
    counters.refuse(Malformed.NOT_MOTION)
    assert counters.malformed == {Malformed.TOO_SHORT: 2, Malformed.NOT_MOTION: 1}
