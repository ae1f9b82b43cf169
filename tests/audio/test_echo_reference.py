"""The echo's reference, with callbacks and blocks of the microphone on a simulated clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.echo import EchoCanceller, VoiceProcessing
from avatarkit_rtc.audio.echo_reference import EchoReference, RenderTap
from avatarkit_rtc.audio.intake import Intake
from avatarkit_rtc.audio.output import Gain
from avatarkit_rtc.audio.playback import Playback
from avatarkit_rtc.testing.voice import speak
from tests.support.pulse import rms

RATE = 48000
BUFFER_S = 0.1
"""The card holds so much: what it is given is heard that much later."""


class Card:
    """A sound card whose speaker and microphone run on one clock, and two threads that may be late.

    The sound given is a count of samples, so that each block of the reference says where it comes from.
    """

    def __init__(self, rate: int = RATE, channels: int = 1, *, late_s: float = 0.0) -> None:
        self.tap = RenderTap(rate, channels)
        self.tap.latency_s = BUFFER_S
        self.reference = EchoReference(self.tap)
        self.rate = rate
        self.late_s = late_s
        self.chance = random.Random(5)
        self.now = 0.0
        self.given = 0
        self.ended = 0.0  # the microphone's next block begins here
        self.gap_s = 0.0  # so much silence was heard in between

    def sound(self, start: int, count: int) -> np.ndarray:
        ramp = (np.arange(start, start + count) % 30000).astype(np.int16)
        return np.repeat(ramp[:, np.newaxis], self.tap.channels, axis=1)

    def feed(self) -> None:
        """Fill the card's buffer, three blocks at a time as sound servers do."""
        size = self.rate // 100
        while (at := self.given / self.rate + self.gap_s - BUFFER_S + 0.03) <= self.now:
            for _ in range(3):
                self.tap.given(self.sound(self.given, size), at + self.chance.random() * self.late_s)
                self.given += size

    def heard(self) -> float:
        """The sample that is heard at the beginning of the microphone's next block."""
        return (self.ended - self.gap_s) * self.rate

    def block(self) -> np.ndarray:
        """The microphone's next 10 ms have come."""
        self.now += 0.01
        self.feed()
        return self.reference.take(self.now + self.chance.random() * self.late_s)

    def delay_ms(self) -> float:
        """From the reference of the next block to its echo."""
        heard = self.heard()
        first = int(self.block()[0, 0])
        self.ended += 0.01
        return round(float((first - heard) % 30000) / self.rate * 1000, 2)


def run(card: Card, blocks: int) -> list[float]:
    return [card.delay_ms() for _ in range(blocks)]


@pytest.mark.parametrize("late_s", [0.0, 0.03])
def test_the_delay_stays_the_same_however_late_the_threads_are(late_s: float) -> None:
    card = Card(late_s=late_s)
    delays = run(card, 600)[50:]
    assert max(delays) - min(delays) < (0.01 if late_s == 0 else 35)
    assert len(set(delays[300:])) == 1, "as soon as an early callback was seen there is one delay"
    assert 5 < delays[-1] < 100
    assert card.reference.missing == 0
    assert card.tap.dropped == 0


def test_after_a_gap_in_what_is_heard_the_delay_is_the_same_again() -> None:
    card = Card()
    before = run(card, 200)[-1]
    card.gap_s += 0.05
    run(card, 150)
    after = run(card, 50)
    assert after[0] == after[-1] == pytest.approx(before, abs=1)
    assert card.reference.jumps == 1
    assert card.reference.missing < 25


def test_when_the_microphone_loses_sound_the_delay_is_the_same_again() -> None:
    card = Card()
    before = run(card, 200)[-1]
    card.now += 0.2
    card.ended += 0.2
    run(card, 150)
    assert run(card, 1)[0] == pytest.approx(before, abs=1)


def test_a_speaker_that_stalls_for_a_second_is_found_again_at_once() -> None:
    card = Card()
    before = run(card, 200)[-1]
    feed: Callable[[], None] = card.feed
    card.feed = lambda: None  # type: ignore[method-assign]
    silent = [card.block() for _ in range(100)]
    card.ended += 1.0
    assert not silent[-1].any()
    card.gap_s += 1.0
    card.feed = feed  # type: ignore[method-assign]
    assert run(card, 5)[-1] == pytest.approx(before, abs=1)


def test_two_clocks_that_differ_are_followed_in_few_steps() -> None:
    card = Card()
    delays = []
    for _ in range(30_000):
        card.gap_s -= 0.01 * 100e-6  # 100 ppm for five minutes: 30 ms
        delays.append(card.delay_ms())
    assert card.reference.jumps == 1
    assert max(delays[100:]) - min(delays[100:]) < 30
    assert card.reference.missing == 0


def test_another_rate_and_stereo_become_48_khz_mono() -> None:
    card = Card(44100, 2)
    for _ in range(200):
        card.delay_ms()
    heard = card.heard()
    block = card.block()
    assert block.shape == (480, 1)
    assert block.dtype == np.int16
    steps = np.diff(block[:, 0].astype(float))
    assert np.median(steps) == 1
    assert (steps == 0).sum() == pytest.approx(480 * (1 - 44100 / 48000), abs=2)
    assert 5 < ((int(block[0, 0]) - heard) % 30000) / 44.1 < 100


def test_nobody_reads_and_it_is_counted() -> None:
    tap = RenderTap(RATE, 1)
    for number in range(300):
        tap.given(np.full((480, 1), number, np.int16), number * 0.01)
    assert tap.dropped == 200 * 480
    reference = EchoReference(tap)
    assert reference.take(3.0).shape == (480, 1)
    assert reference.take(3.01).any()


def test_before_the_speaker_began_there_is_silence() -> None:
    reference = EchoReference(RenderTap(RATE, 1))
    assert not reference.take(1.0).any()
    assert reference.missing == 0


def test_a_reader_that_was_away_finds_its_place_again() -> None:
    card = Card()
    before = run(card, 200)[-1]
    for _ in range(300):  # the event loop is stuck; the microphone's sound of that time is lost
        card.now += 0.01
        card.ended += 0.01
        card.feed()
    run(card, 150)
    assert run(card, 1)[0] == pytest.approx(before, abs=1)
    assert card.tap.dropped > 0


def test_the_canceller_takes_the_echo_out_through_late_threads_and_a_gap() -> None:
    far = speak(1, 10.0, RATE).pcm
    card = Card(late_s=0.02)
    card.sound = lambda start, count: far[start : start + count, np.newaxis]  # type: ignore[method-assign]
    canceller = EchoCanceller(VoiceProcessing(auto_gain_control=False))
    left, without = [], []
    for number in range(850):
        if number == 400:
            card.gap_s += 0.06
        start = round(card.heard())
        heard = np.zeros((480, 1), np.int16)
        if start >= 0 and start + 480 <= len(far):
            heard[:, 0] = far[start : start + 480] // 2
        reference = card.block()
        card.ended += 0.01
        left.append(canceller.process(AudioBlock(heard, RATE, 0.0), reference).samples[:, 0])
        without.append(heard[:, 0])
    for part in (slice(250, 400), slice(650, 850)):
        assert rms(np.concatenate(left[part])) < 0.03 * rms(np.concatenate(without[part]))


def test_the_tap_gets_what_the_card_gets_volume_and_silence_included() -> None:
    playback = Playback(RATE, 1, target_s=0.02, max_s=0.2)
    gain = Gain()
    gain.set(0.25)
    intake = Intake(playback, gain)
    when = SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0)
    given = []
    for number in range(60):
        if number < 30:  # then there is no sound any more
            intake.write(AudioBlock(np.full((480, 1), 8000, np.int16), RATE, 0.0), number * 0.01)
        out = np.full((480, 1), 99, np.int16)
        playback.callback(out, 480, when, None)
        given.append(out)
    tapped = np.empty((60 * 480, 1), np.int16)
    assert playback.tap.ring.read_into(tapped) == len(tapped)
    assert np.array_equal(tapped, np.concatenate(given))
    assert np.median(tapped[tapped > 500]) == pytest.approx(2000, abs=20)
    assert not tapped[-480:].any()
