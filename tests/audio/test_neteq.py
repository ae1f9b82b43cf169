"""What NetEQ's sums say of its delay: the waiting on average, the stretching at once."""

from __future__ import annotations

import random

import pytest

from avatarkit_rtc.audio.neteq import INITIAL_S, RATE, TICK_S, NetEqDelay, NetEqSums, TickPhase

EVERY_S = 0.3


class Stream:
    """Sums of a stream whose samples wait ``delay`` seconds."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.t = 100.0
        self.waited = 0.0
        self.emitted = self.inserted = self.removed = self.concealed = 0

    def play(self, seconds: float = EVERY_S, noise: float = 0.0) -> NetEqSums:
        """``seconds`` pass."""
        self.t += seconds
        count = round(seconds * RATE)
        self.waited += count * (self.delay + noise)
        self.emitted += count
        return self.sums

    def silence(self, seconds: float) -> NetEqSums:
        """Nothing is sent for a while."""
        self.t += seconds
        return self.sums

    def stretch(self, seconds: float) -> None:
        """It holds the sound back by ``seconds`` more, or less."""
        self.delay += seconds
        if seconds > 0:
            self.inserted += round(seconds * RATE)
        else:
            self.removed += round(-seconds * RATE)

    @property
    def sums(self) -> NetEqSums:
        """So far."""
        return NetEqSums(self.waited, self.emitted, self.inserted, self.removed, self.concealed)


def settled(stream: Stream, polls: int = 10) -> NetEqDelay:
    delay = NetEqDelay()
    for _ in range(polls):
        delay.update(stream.t, stream.play(), 0.0)
    return delay


def test_before_anything_is_known_it_is_that_of_a_quiet_network() -> None:
    assert NetEqDelay().delay_s == INITIAL_S


def test_the_first_answer_is_believed_and_later_ones_of_this_interval_alone() -> None:
    stream = Stream(0.16)
    delay = settled(stream, 1)
    assert delay.delay_s == pytest.approx(0.16, abs=0.001)
    stream.delay = 0.05
    for _ in range(3):
        delay.update(stream.t, stream.play(), 0.0)
    assert delay.delay_s == pytest.approx(0.05, abs=0.002)


def test_stretching_and_cutting_are_followed_at_once_even_while_nothing_is_played() -> None:
    stream = Stream(0.05)
    delay = settled(stream)
    stream.stretch(0.04)
    assert delay.update(stream.t, stream.silence(0.02), 0.0) == pytest.approx(0.09, abs=0.002)
    stream.stretch(-0.06)
    assert delay.update(stream.t, stream.silence(0.02), 0.0) == pytest.approx(0.03, abs=0.002)


def test_the_noise_of_jitter_is_averaged_out() -> None:
    rng = random.Random(1)
    stream, delay = Stream(0.06), NetEqDelay()
    said = []
    for _ in range(200):
        noise = sum(rng.uniform(-0.02, 0.02) for _ in range(7)) / 7
        said.append(delay.update(stream.t, stream.play(noise=noise), 0.012))
    assert max(abs(each - 0.06) for each in said[20:]) < 0.008


@pytest.mark.parametrize("pause", [0.0, 3.0])
def test_a_jump_is_believed_at_once(pause: float) -> None:
    stream = Stream(0.05)
    delay = settled(stream, 30)
    stream.silence(pause)
    stream.delay = 0.15
    assert delay.update(stream.t, stream.play(), 0.005) == pytest.approx(0.15, abs=0.01)


def test_after_concealment_it_trusts_what_was_waited() -> None:
    stream, doubtful = Stream(0.05), Stream(0.05)
    sure, unsure = settled(stream, 30), settled(doubtful, 30)
    for each in (stream, doubtful):
        each.delay = 0.06
    doubtful.concealed += round(0.02 * RATE)
    sure.update(stream.t, stream.play(), 0.01)
    unsure.update(doubtful.t, doubtful.play(), 0.01)
    assert abs(unsure.delay_s - 0.06) < abs(sure.delay_s - 0.06)


def test_another_stream_under_the_same_track_begins_anew() -> None:
    delay = settled(Stream(0.15))
    other = Stream(0.04)
    before = delay.delay_s
    assert delay.update(other.t, NetEqSums(0.0, 0, 0, 0, 0), 0.0) == before
    assert delay.update(other.t, other.play(), 0.0) == pytest.approx(0.04, abs=0.001)


def test_it_is_never_negative() -> None:
    stream = Stream(0.03)
    delay = settled(stream)
    stream.removed += RATE
    assert delay.update(stream.t, stream.silence(0.02), 0.0) == 0.0


def phase(offsets_s: list[float]) -> TickPhase:
    """Packets that come each 20 ms and an offset, and ticks each 10 ms, asked for at odd moments."""
    found = TickPhase()
    for number, offset in enumerate(offsets_s):
        arrival = 50.0 + 0.02 * 17 * number + offset
        tick = 50.0 + 0.01 * (34 * number + number % 3 - 1)
        found.update(arrival, tick)
    return found


@pytest.mark.parametrize("wait", [0.002, 0.005, 0.0085])
def test_the_wait_for_the_next_tick_is_found(wait: float) -> None:
    assert phase([-wait] * 40).wait_s == pytest.approx(wait, abs=1e-6)


def test_noise_in_reading_the_ticks_averages_out() -> None:
    rng = random.Random(2)
    assert phase([-0.003 + rng.gauss(0, 0.0007) for _ in range(60)]).wait_s == pytest.approx(0.003, abs=0.001)


def test_with_jitter_or_on_the_tick_it_is_half_a_tick() -> None:
    rng = random.Random(2)
    assert TickPhase().wait_s == TICK_S / 2
    assert phase([rng.uniform(0, 0.04) for _ in range(200)]).wait_s == TICK_S / 2
    assert phase([0.0] * 40).wait_s == TICK_S / 2
