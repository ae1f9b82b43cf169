"""What a service's delay of the sound seems to be, from mouth and loudness alone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from avatarkit_rtc.audio.delay_estimate import (
    LONGEST_S,
    NEEDED_S,
    WINDOW_S,
    AudioDelayEstimate,
    best_delay,
)
from avatarkit_rtc.testing.performer import Utterance, perform

ROUND_S = 6.0


def speak(
    estimate: AudioDelayEstimate,
    delay_s: float,
    seconds: float,
    *,
    begin: float = 50.0,
    jitter_s: float = 0.02,
    mute_face: bool = False,
    wrong_sound: bool = False,
) -> None:
    rng = random.Random(3)
    happened: list[tuple[float, float | np.ndarray]] = []
    at, number = begin, 0
    while at < begin + seconds:
        said: Utterance = perform(number % 7, ROUND_S)
        heard = perform(number % 7 + 20, ROUND_S) if wrong_sound else said
        for index, frame in enumerate(said.frames):
            opening = 0.0 if mute_face else float(frame.jaw_pose[0])
            happened.append((at + 0.04 * index + rng.uniform(0, jitter_s), opening))
        size = heard.sample_rate // 100
        for index in range(len(heard.pcm) // size):
            samples = heard.pcm[index * size : (index + 1) * size, None]
            happened.append((at + delay_s + jitter_s / 2 + 0.01 * index, samples))
        at += ROUND_S + 1.0
        number += 1
    for t, what in sorted(happened, key=lambda each: each[0]):
        if isinstance(what, float):
            estimate.frame(t, what)
        else:
            estimate.block(t, what)


@pytest.mark.parametrize("delay_s", [0.0, 0.04, 0.24, 0.5])
def test_it_finds_the_delay(delay_s: float) -> None:
    estimate = AudioDelayEstimate()
    speak(estimate, delay_s, 60.0)
    assert estimate.estimate_s == pytest.approx(delay_s, abs=0.020)


def test_it_says_nothing_before_it_has_heard_enough() -> None:
    estimate = AudioDelayEstimate()
    speak(estimate, 0.04, NEEDED_S - ROUND_S)
    assert estimate.estimate_s is None


@pytest.mark.parametrize("what", ["mute_face", "wrong_sound"])
def test_it_says_nothing_when_mouth_and_voice_have_nothing_in_common(what: str) -> None:
    estimate = AudioDelayEstimate()
    speak(estimate, 0.04, 100.0, **{what: True})  # type: ignore[arg-type]
    assert estimate.estimate_s is None


def test_a_delay_beyond_what_is_tried_is_not_found() -> None:
    estimate = AudioDelayEstimate()
    speak(estimate, LONGEST_S + 0.5, 60.0)
    assert estimate.estimate_s is None


def test_it_follows_when_the_delay_changes() -> None:
    estimate = AudioDelayEstimate()
    speak(estimate, 0.04, 60.0)
    speak(estimate, 0.3, WINDOW_S + 20.0, begin=120.0)
    assert estimate.estimate_s == pytest.approx(0.3, abs=0.020)


def test_it_forgets() -> None:
    estimate = AudioDelayEstimate()
    speak(estimate, 0.04, 60.0)
    estimate.forget()
    assert estimate.estimate_s is None
    speak(estimate, 0.3, 60.0, begin=120.0)
    assert estimate.estimate_s == pytest.approx(0.3, abs=0.020)


def test_after_a_long_silence_and_with_moments_that_cannot_be_it_goes_on() -> None:
    estimate = AudioDelayEstimate()
    estimate.frame(float("nan"), 0.1)
    estimate.frame(1.0, float("inf"))
    estimate.block(float("inf"), np.zeros((480, 1), np.int16))
    estimate.frame(2.0, 0.1)
    estimate.frame(2.0 - 2 * WINDOW_S, 0.1)
    speak(estimate, 0.1, 60.0, begin=100_000.0)
    assert estimate.estimate_s == pytest.approx(0.1, abs=0.020)


def test_without_sound_beside_the_mouth_there_is_no_best_delay() -> None:
    mouth = np.random.default_rng(1).normal(size=3000)
    assert best_delay(mouth, np.full(3000, np.nan)) is None
    assert best_delay(mouth, np.roll(mouth, 4)) == pytest.approx(0.08, abs=0.001)
