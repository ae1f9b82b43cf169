"""A voice made by code: syllables with pauses, spoken by a pulse source through moving formants.

It says nothing, but has what lip sync and codecs need of speech: pitch, formants that move, unvoiced
consonants, a loudness that rises and falls four times a second, and silence between phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S

_Floats = npt.NDArray[np.float64]

_CONTROL_RATE: Final = 200.0
_LEAD_S: Final = 0.12
_TAIL_S: Final = 0.16
_FADE_S: Final = 0.05
_HIGHEST_HARMONIC_HZ: Final = 5200.0
_HIGHEST_HARMONICS: Final = 48
_BANDWIDTHS: Final = np.array([80.0, 110.0, 170.0, 260.0])
_FOURTH_FORMANT_HZ: Final = 3600.0

# F1, F2, F3 in hertz of an adult voice (textbook averages), and how loud the vowel is.
_VOWELS: Final = np.array(
    [
        [750.0, 1220.0, 2550.0, 1.00],
        [680.0, 1700.0, 2450.0, 0.95],
        [520.0, 1850.0, 2550.0, 0.85],
        [300.0, 2250.0, 2950.0, 0.60],
        [500.0, 900.0, 2450.0, 0.85],
        [330.0, 820.0, 2300.0, 0.60],
        [500.0, 1450.0, 2450.0, 0.70],
    ]
)
# Centre and width in hertz of the noise of: s, sh, f, h.
_HISSES: Final = np.array([[6000.0, 1600.0], [3200.0, 1100.0], [4500.0, 3200.0], [1600.0, 900.0]])
_HISS_LEVELS: Final = (0.30, 0.36, 0.16, 0.22)


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Sound of a voice, and how its mouth moved."""

    pcm: npt.NDArray[np.int16]
    """Mono sound, shape (n,), int16, n = frames x 40 ms."""
    sample_rate: int
    """Samples per second."""
    formants: _Floats
    """First and second formant in hertz at the middle of each 40 ms frame, shape (frames, 2)."""
    stresses: tuple[float, ...]
    """Moments of the stressed syllables, in seconds."""


class _Voice(NamedTuple):
    size: float
    """Formants relative to those of the table: a smaller head has higher ones."""
    pitch: float
    """Hertz."""


@dataclass(slots=True)
class _Score:
    """Breakpoints of everything that moves, over time in seconds."""

    voicing: list[tuple[float, float]]
    formants: list[tuple[float, float, float, float]]
    pitch: list[tuple[float, float]]
    hisses: list[tuple[int, float, float, float]]
    """(which, from, to, level)"""
    stresses: list[float]


class _Times:
    """The moments of samples and of control points, in seconds."""

    def __init__(self, duration: float, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.samples: _Floats = np.arange(round(duration * sample_rate), dtype=np.float64) / sample_rate
        self.control: _Floats = np.arange(int(duration * _CONTROL_RATE) + 2, dtype=np.float64) / _CONTROL_RATE

    def at_samples(self, control_values: _Floats) -> _Floats:
        return np.interp(self.samples, self.control, control_values)


def speak(seed: int, seconds: float, sample_rate: int) -> Speech:
    """Say something of ``seconds`` length, rounded to whole 40 ms frames; the same for the same arguments.

    Args:
        seed: which voice and which syllables, >= 0.
        seconds: length, more than 0.
        sample_rate: samples per second, 8000 … 192000.
    """
    frames = max(1, round(seconds / FRAME_INTERVAL_S))
    duration = frames * FRAME_INTERVAL_S
    rng = np.random.default_rng([seed, 0x501CE])
    score = _compose(rng, duration)
    times = _Times(duration, sample_rate)
    formants = _track(times.control, score.formants)
    voicing = _smooth(_track(times.control, score.voicing)[:, 0], 7)
    pitch = _smooth(_track(times.control, score.pitch)[:, 0], 15)
    pitch *= 1.0 + 0.012 * _smooth(rng.standard_normal(len(pitch)), 9)
    sound = _harmonics(times, pitch, formants, voicing) + _noise(rng, times, voicing, score.hisses)
    middles = (np.arange(frames) + 0.5) * FRAME_INTERVAL_S
    mouth = np.stack([np.interp(middles, times.control, formants[:, i]) for i in range(2)], axis=1)
    # tanh keeps the rare peak from clipping hard.
    pcm = np.round(np.tanh(sound) * 30000.0).astype(np.int16)
    return Speech(pcm, sample_rate, mouth, tuple(score.stresses))


def _compose(rng: np.random.Generator, duration: float) -> _Score:
    size = rng.uniform(0.95, 1.18)
    base_pitch = rng.uniform(105.0, 190.0)
    rest = (500.0 * size, 1500.0 * size, 2500.0 * size)
    score = _Score([(0.0, 0.0)], [(0.0, *rest)], [(0.0, base_pitch)], [], [])
    now, end = min(_LEAD_S, duration / 4), duration - min(_TAIL_S, duration / 4)
    score.voicing.append((now, 0.0))
    while end - now > 0.08:
        syllables = int(rng.integers(3, 9))
        for i in range(syllables):
            if end - now < 0.08:
                break
            declination = 1.12 - 0.26 * i / syllables
            now = _syllable(rng, score, now, end, _Voice(size, base_pitch * declination))
        score.voicing.append((now + _FADE_S, 0.0))
        now += rng.uniform(0.18, 0.55)
        score.voicing.append((now, 0.0))
    return score


def _syllable(rng: np.random.Generator, score: _Score, now: float, end: float, voice: _Voice) -> float:
    """Append one syllable that begins at ``now``; returns where it ends."""
    size, pitch = voice.size, voice.pitch
    stressed = bool(rng.random() < 0.35)
    onset = rng.choice(4, p=[0.35, 0.25, 0.25, 0.15])
    vowel = _VOWELS[rng.integers(len(_VOWELS))]
    consonant_s = min(rng.uniform(0.04, 0.09), (end - now) / 3)
    vowel_s = min(rng.uniform(0.14, 0.22) if stressed else rng.uniform(0.08, 0.15), end - now - consonant_s)
    start, stop = now + consonant_s, now + consonant_s + vowel_s
    f1, f2, f3 = vowel[:3] * size
    if onset == 0:  # unvoiced fricative
        which = int(rng.integers(len(_HISS_LEVELS)))
        score.hisses.append((which, now, start + 0.015, _HISS_LEVELS[which]))
        score.voicing += [(now, 0.0), (start - 0.01, 0.0)]
    elif onset == 1:  # plosive: closed, then a burst
        score.hisses.append((int(rng.integers(3)), start - 0.016, start + 0.008, 0.45))
        score.voicing += [(now, 0.0), (start - 0.008, 0.0)]
    elif onset == 2:  # nasal or liquid
        score.voicing += [(now + 0.01, 0.22), (start - 0.01, 0.25)]
    score.formants += [
        (start - 0.01, 0.55 * f1, 0.75 * f2 + 0.25 * 1500.0 * size, f3),
        (start + 0.3 * vowel_s, f1, f2, f3),
        (stop - 0.25 * vowel_s, f1, f2, f3),
    ]
    loudness = vowel[3] * (1.0 if stressed else rng.uniform(0.55, 0.8))
    score.voicing += [
        (start + min(0.03, vowel_s / 3), loudness),
        (stop - min(0.05, vowel_s / 3), 0.9 * loudness),
        (stop, 0.18),
    ]
    score.pitch += [(start, pitch), (start + vowel_s / 2, pitch * (1.16 if stressed else 1.02))]
    if stressed:
        score.stresses.append(start + vowel_s / 3)
    return stop


def _track(t: _Floats, points: Sequence[tuple[float, ...]]) -> _Floats:
    """Breakpoints (time, value, …) interpolated at ``t``; shape (len(t), values)."""
    table = np.array(points)
    return np.stack([np.interp(t, table[:, 0], table[:, i]) for i in range(1, table.shape[1])], axis=1)


def _smooth(values: _Floats, width: int) -> _Floats:
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _harmonics(times: _Times, pitch: _Floats, formants: _Floats, voicing: _Floats) -> _Floats:
    """The voiced part: the harmonics of the pitch, each as loud as source and formants make it."""
    phase = 2 * np.pi * np.cumsum(times.at_samples(pitch)) / times.sample_rate
    highest = min(_HIGHEST_HARMONIC_HZ, 0.45 * times.sample_rate)
    count = min(_HIGHEST_HARMONICS, int(highest / pitch.min()))
    numbers = np.arange(1, count + 1)[:, None]
    frequency = numbers * pitch
    centres = np.column_stack([formants, np.full(len(formants), _FOURTH_FORMANT_HZ)])
    gain = voicing / np.sqrt(numbers)
    for i, bandwidth in enumerate(_BANDWIDTHS):
        squared = centres[:, i] ** 2
        gain = gain * squared / np.sqrt((squared - frequency**2) ** 2 + (frequency * bandwidth) ** 2)
    gain[frequency > highest] = 0.0
    # sin(kx) = 2 cos(x) sin((k - 1)x) - sin((k - 2)x): a multiplication in place of a sine per harmonic.
    twice_cos, before, current = 2 * np.cos(phase), np.zeros(len(phase)), np.sin(phase)
    sound = np.zeros(len(phase))
    for row in gain:
        sound += times.at_samples(row) * current
        before, current = current, twice_cos * current - before
    return 0.09 * sound


def _noise(
    rng: np.random.Generator, times: _Times, voicing: _Floats, hisses: list[tuple[int, float, float, float]]
) -> _Floats:
    """The unvoiced part: hisses and bursts, and a little breath in the vowels."""
    count = len(times.samples)
    padded = 1 << (count - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(padded))
    frequency = np.fft.rfftfreq(padded, 1 / times.sample_rate)
    sound = np.zeros(count)
    breath = 3
    for which, (centre, width) in enumerate(_HISSES):
        envelope = 0.02 * voicing if which == breath else np.zeros(len(times.control))
        for hiss, start, stop, level in hisses:
            if hiss == which:
                edge = min(0.012, (stop - start) / 3)
                points = [start, start + edge, stop - edge, stop]
                envelope = envelope + np.interp(times.control, points, [0.0, level, level, 0.0])
        if not envelope.any():
            continue
        band = np.exp(-0.5 * ((frequency - min(centre, 0.35 * times.sample_rate)) / width) ** 2)
        shaped = np.fft.irfft(spectrum * band, padded)[:count]
        shaped *= 0.25 / max(float(np.std(shaped)), 1e-9)
        sound += times.at_samples(envelope) * shaped
    return sound
