from __future__ import annotations

import math

import pytest

from avatarkit_rtc.playout.stall import StallDetector


def watching(**options: bool) -> StallDetector:
    detector = StallDetector(3.0, **options)
    detector.connected(100.0)
    return detector


def test_silence_in_an_open_round_is_a_stall_once() -> None:
    detector = watching()
    detector.activity(101.0)
    detector.round_open(True)
    assert detector.deadline() == 104.0
    assert not detector.check(103.9)
    assert detector.check(104.0)
    assert not detector.check(110.0)
    assert detector.deadline() is None
    assert detector.silence_s(104.0) == 3.0


def test_anything_that_comes_starts_the_time_anew() -> None:
    detector = watching()
    detector.round_open(True)
    detector.check(103.0)
    detector.activity(105.0)
    assert detector.check(108.0)


def test_silence_between_rounds_is_none_unless_watched() -> None:
    detector = watching()
    assert detector.deadline() is None
    detector.round_open(True)
    detector.round_open(False)
    assert not detector.check(1000.0)
    assert watching(watch_idle=True).check(103.0)


def test_silence_while_reconnecting_is_none_and_the_timer_starts_anew_after() -> None:
    detector = watching()
    detector.round_open(True)
    detector.disconnected()
    assert not detector.check(200.0)
    detector.connected(300.0)
    assert detector.deadline() == 303.0
    assert detector.check(303.0)


def test_after_a_rejoin_something_must_come_even_between_rounds() -> None:
    detector = watching()
    detector.expect(110.0)
    assert detector.check(113.0)
    detector.connected(120.0)
    detector.expect(120.0)
    assert detector.check(123.0)
    detector.expect(130.0)
    detector.activity(131.0)
    assert detector.deadline() is None


def test_never_is_a_timeout_and_zero_is_none() -> None:
    detector = StallDetector(math.inf, watch_idle=True)
    detector.connected(0.0)
    assert detector.deadline() is None
    for timeout in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="more than 0"):
            StallDetector(timeout)


def test_moments_that_are_none() -> None:
    detector = StallDetector(watch_idle=True)
    detector.connected(math.nan)
    assert detector.deadline() == 3.0
    detector.activity(10.0)
    detector.activity(math.nan)
    assert detector.deadline() == 13.0
