"""When a sample is heard, from what a simulated card says on a clock of its own."""

from __future__ import annotations

import random

import pytest

from avatarkit_rtc.audio.audible_time import AudibleTime

RATE = 48000
OTHER_CLOCK = 4321.5
"""How far the card's clock is ahead."""
LATENCY = 0.040


def play(audible: AudibleTime, start: float, seconds: float, *, first: int = 0, late: float = 0.004) -> float:
    """Callbacks each 10 ms, up to ``late`` seconds held up by other threads; returns when the last came."""
    chance = random.Random(3)
    at = start
    for block in range(round(seconds * 100)):
        due = start + block * 0.01
        at = due + chance.random() * late
        audible.block(at, first + block * 480, due + LATENCY + OTHER_CLOCK, due + OTHER_CLOCK)
    return at


def test_the_cards_clock_is_brought_to_ours() -> None:
    audible = AudibleTime(RATE)
    now = play(audible, 50.0, 3.0)
    for position in (0, 100000, 140000, 150000):
        assert audible.at(position, now) == pytest.approx(50.0 + position / RATE + LATENCY, abs=0.0005)


def test_a_clock_that_is_set_back_is_followed_within_seconds() -> None:
    audible = AudibleTime(RATE)
    play(audible, 50.0, 1.0)
    for block in range(450):
        due = 51.0 + block * 0.01
        audible.block(due, 48000 + block * 480, due + LATENCY, due)  # the other clock is ours now
    assert audible.at(48000, 55.5) == pytest.approx(51.0 + LATENCY, abs=0.0005)


def test_after_a_long_pause_nothing_old_counts() -> None:
    audible = AudibleTime(RATE)
    play(audible, 50.0, 1.0)
    audible.block(1000.0, 0, 1000.0 + LATENCY, 1000.0)
    assert audible.at(0, 1000.0) == pytest.approx(1000.0 + LATENCY)


def test_where_the_card_says_nothing_its_latency_counts() -> None:
    audible = AudibleTime(RATE, 0.03)
    audible.block(10.0, 960, 0.0, 0.0)
    assert audible.at(960 + 480, 10.0) == pytest.approx(10.04)


def test_nobody_knows_before_the_first_block_in_silence_and_without_callbacks() -> None:
    audible = AudibleTime(RATE)
    assert audible.at(0, 10.0) is None
    audible.block(10.0, 0, 10.1, 10.0)
    assert audible.at(0, 10.4) is not None
    assert audible.at(0, 10.6) is None
    audible.block(11.0, 480, 11.1, 11.0)
    audible.block(11.01, None, 11.11, 11.01)
    assert audible.at(480, 11.02) is None
