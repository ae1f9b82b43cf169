from __future__ import annotations

from avatarkit_rtc.log_limit import RateLimit


def test_one_line_of_each_kind_per_interval() -> None:
    limit = RateLimit(10.0)
    assert [limit.allows("a", now) for now in (5.0, 5.0, 14.9, 15.0, 24.9, 25.0)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert limit.allows("b", 25.0)
