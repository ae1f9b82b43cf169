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


class Card:
    """Takes 10 ms each 10 ms; what it says is ``wrong`` by so much, and the sound breaks off when told."""

    def __init__(self) -> None:
        self.audible = AudibleTime(RATE)
        self.now = 50.0
        self.position = 0
        self.wrong = 0.0
        self.latency = LATENCY

    def play(self, seconds: float) -> list[float]:
        """How far the prediction is off, in seconds, block by block."""
        off = []
        for _ in range(round(seconds * 100)):
            said = self.now + self.latency + self.wrong
            self.audible.block(self.now, self.position, said, self.now, 480)
            told = self.audible.at(self.position, self.now)
            assert told is not None
            off.append(told - (self.now + self.latency))
            self.position += 480
            self.now += 0.01
        return off


def test_a_card_that_is_wrong_for_seconds_is_not_believed() -> None:
    card = Card()
    card.play(20.0)
    card.wrong = 0.100
    off = []
    for _ in range(10):
        off += card.play(1.0)
        card.wrong *= 0.8
    assert max(abs(each) for each in off[160:]) < 0.006
    assert max(off[:100]) == pytest.approx(0.1, abs=0.001), "at first it may be a real break"


def test_a_real_break_is_believed_at_once_and_stays() -> None:
    card = Card()
    card.play(10.0)
    card.now += 0.080  # the card stood still, and everything is heard later
    assert max(abs(each) for each in card.play(10.0)) < 0.001


def test_a_card_that_says_something_else_for_good_is_believed_in_the_end() -> None:
    card = Card()
    card.play(70.0)
    card.wrong = 0.040
    off = card.play(40.0)
    assert off[300] == pytest.approx(0.0, abs=0.001)
    assert off[-1] == pytest.approx(0.040, abs=0.001)


@pytest.mark.parametrize("more", [0.060, -0.060])
def test_a_card_that_keeps_back_more_or_less_from_now_on_is_believed(more: float) -> None:
    """As when a sound server moves what plays to another card: it takes more at once, or waits a while."""
    card = Card()
    card.play(20.0)
    if more > 0:
        for _ in range(round(more * 100)):
            card.audible.block(card.now, card.position, card.now + card.latency, card.now, 480)
            card.position += 480
            card.latency += 0.01
    else:
        card.now -= more
        card.latency += more
    off = card.play(10.0)
    assert max(abs(each) for each in off[200:]) < 0.001


def test_in_the_first_seconds_and_after_a_pause_the_cards_word_counts() -> None:
    card = Card()
    for _ in range(2):
        card.play(1.0)
        card.wrong += 0.030
        assert card.play(1.0)[-1] == pytest.approx(card.wrong)
        card.now += 20.0
