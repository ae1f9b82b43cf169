"""The controller of the ring's depth on a virtual clock: a card whose clock is off, for half an hour."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from avatarkit_rtc.audio.drift import MAX_CORRECTION, DriftController

TARGET_S = 0.060
BLOCK_S = 0.020
CALLBACK_S = 0.010
START_S = TARGET_S - BLOCK_S / 2
"""Depth right before a write when it is the target on average."""


@dataclass
class Card:
    """A ring between a writer of 20 ms blocks, up to 5 ms late each, and a card that takes 10 ms blocks."""

    ppm: float
    depth: float = START_S
    underruns: int = 0
    ratios: list[float] = field(default_factory=list)
    averages: list[tuple[float, float]] = field(default_factory=list)

    def run(self, controller: DriftController, seconds: float) -> None:
        late = random.Random(5)
        take_every = CALLBACK_S / (1 + self.ppm * 1e-6)
        written, taken_at, now = 0, CALLBACK_S, 0.0
        while now < seconds:
            now = written * BLOCK_S + late.random() * 0.005
            while taken_at < now:
                taken_at += take_every
                if self.depth < CALLBACK_S:
                    self.underruns += 1
                self.depth = max(0.0, self.depth - CALLBACK_S)
            ratio = controller.update(now, self.depth + BLOCK_S / 2)
            self.depth += BLOCK_S * ratio
            written += 1
            self.ratios.append(ratio)
            assert controller.average_s is not None
            self.averages.append((now, controller.average_s))


@pytest.mark.parametrize("ppm", [0, 100, -100, 1000, -1000])
def test_half_an_hour_at_a_wrong_clock(ppm: float) -> None:
    card, controller = Card(ppm), DriftController(TARGET_S)
    card.run(controller, 1800)
    settled = [average for now, average in card.averages if now > 60]
    assert card.underruns == 0
    assert max(abs(average - TARGET_S) for average in settled) < 0.010
    assert max(abs(average - TARGET_S) for _, average in card.averages) < 0.012
    assert max(abs(ratio - 1) for ratio in card.ratios) <= MAX_CORRECTION + 1e-9
    # It has learnt the clock, and is not kept busy by it.
    last_minutes = card.ratios[-30000:]
    assert sum(last_minutes) / len(last_minutes) - 1 == pytest.approx(ppm * 1e-6, abs=2e-5)


def test_a_right_clock_within_the_dead_band_is_left_alone() -> None:
    card, controller = Card(0, depth=START_S + 0.003), DriftController(TARGET_S)
    card.run(controller, 300)
    assert set(card.ratios) == {1.0}


def test_a_depth_far_off_is_for_silence_and_one_next_to_the_target_is_not() -> None:
    controller = DriftController(TARGET_S)
    assert controller.excess_s == 0.0
    for second in range(60):
        controller.update(second, 0.110)
    assert controller.excess_s == pytest.approx(0.050)
    controller.jumped(-0.050)
    assert controller.excess_s == 0.0
    controller.jumped(-0.030)
    assert controller.excess_s == pytest.approx(-0.030)


def test_what_was_learnt_outlives_a_new_start_and_the_depth_does_not() -> None:
    card, controller = Card(1000), DriftController(TARGET_S)
    card.run(controller, 300)
    controller.restart()
    assert controller.average_s is None
    assert controller.ratio == pytest.approx(1.001, abs=2e-4)


def test_one_depth_alone_says_nothing() -> None:
    controller = DriftController(TARGET_S)
    controller.update(0.0, 0.2)
    assert controller.average_s == TARGET_S


def test_a_late_burst_of_writes_counts_as_the_moment_it_is() -> None:
    controller = DriftController(TARGET_S)
    for step in range(100):
        controller.update(step * 0.02, TARGET_S)
    for _ in range(20):
        controller.update(2.0, 0.2)
    assert controller.average_s == pytest.approx(TARGET_S, abs=0.002)


def test_a_clock_that_goes_back_harms_nothing() -> None:
    controller = DriftController(TARGET_S)
    controller.update(10.0, TARGET_S)
    controller.update(5.0, 0.2)
    assert controller.average_s == TARGET_S
