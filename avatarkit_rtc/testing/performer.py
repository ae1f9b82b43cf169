"""A performer made by code: speech from :mod:`~avatarkit_rtc.testing.voice`, and a face that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import FIELD_SLICES, FRAME_INTERVAL_S, FRAME_SIZE, MotionFrame
from avatarkit_rtc.testing.voice import Speech, speak

_Floats = npt.NDArray[np.float64]

_JAW_OPEN_RAD: Final = 0.30
_JAW_LIMIT_RAD: Final = 0.35
_BLINK_S: Final = 0.18
_EXPRESSIONS: Final = 50
"""Coefficients that move: avatar services leave the other half of the hundred at zero."""
_FULL_SCALE: Final = 32768.0
_SILENT: Final = 1e-3
"""Loudness below this (-60 dB) is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One turn of speech: motion and its sound. Frame N belongs to the sound at N x 40 ms."""

    frames: tuple[MotionFrame, ...]
    """Motion at 25 frames a second."""
    pcm: npt.NDArray[np.int16]
    """Mono sound, shape (n,), int16."""
    sample_rate: int
    """Samples of sound per second."""

    @property
    def duration(self) -> float:
        """Length of the motion in seconds."""
        return len(self.frames) * FRAME_INTERVAL_S


def perform(seed: int, seconds: float, sample_rate: int = 24000) -> Utterance:
    """An utterance made by code; the same for the same arguments.

    The jaw follows the loudness of the sound; eyelids blink, eyes jump, the head sways and nods on stressed
    syllables, the expression moves with the vowels.

    Args:
        seed: which performance, >= 0.
        seconds: length, more than 0; rounded to whole 40 ms frames, at least one.
        sample_rate: samples of sound per second, 8000 … 192000.

    Raises:
        ConfigurationError: an argument is out of range.
    """
    if seed < 0:
        raise ConfigurationError(f"seed must be 0 or more, not {seed}")
    if not 0 < seconds <= 3600:
        raise ConfigurationError(f"seconds must be more than 0 and at most 3600, not {seconds}")
    if not 8000 <= sample_rate <= 192000:
        raise ConfigurationError(f"sample_rate must be 8000 … 192000, not {sample_rate}")
    speech = speak(seed, seconds, sample_rate)
    rng = np.random.default_rng([seed, 0xFACE])
    count = len(speech.formants)
    t = np.arange(count, dtype=np.float64) * FRAME_INTERVAL_S
    values = np.zeros((count, FRAME_SIZE))
    mouth = mouth_opening(speech.pcm, speech.sample_rate, count)
    values[:, FIELD_SLICES["jaw_pose"].start] = np.minimum(_JAW_OPEN_RAD * mouth, _JAW_LIMIT_RAD)
    values[:, FIELD_SLICES["expression"]] = _expression(rng, t, mouth, speech)
    values[:, FIELD_SLICES["eye_lid"]] = _blinks(rng, t)[:, None]
    values[:, FIELD_SLICES["eye_pose"]] = np.tile(_gaze(rng, t), 2)
    values[:, FIELD_SLICES["rotation"]] = _head(rng, t, speech.stresses)
    values[:, FIELD_SLICES["neck_pose"]] = _sway(rng, t, (0.015, 0.02, 0.012))
    rows = values.astype(np.float32)
    return Utterance(tuple(MotionFrame(row) for row in rows), speech.pcm, sample_rate)


def mouth_opening(pcm: npt.NDArray[np.int16], sample_rate: int, frames: int) -> _Floats:
    """How far the mouth is open while ``pcm`` sounds: 0 shut, 1 wide, now and then a little more.

    Args:
        pcm: mono sound, shape (n,); silence is added when it is shorter than the motion.
        sample_rate: samples per second.
        frames: how many frames of 40 ms to answer for; frame N is about the sound from N x 40 ms.

    Returns:
        Shape (frames,).
    """
    edges = np.round(np.arange(frames + 1) * FRAME_INTERVAL_S * sample_rate).astype(int)
    sound = np.zeros(int(edges[-1]))
    used = min(len(pcm), len(sound))
    sound[:used] = pcm[:used] / _FULL_SCALE
    energy = np.concatenate([[0.0], np.cumsum(sound * sound)])
    loudness = np.sqrt(np.maximum(np.diff(energy[edges]), 0.0) / np.diff(edges))
    heard = loudness[loudness > _SILENT]
    if not len(heard):
        return np.zeros(frames)
    loud = float(np.quantile(heard, 0.95))
    # Ears and mouths are far from linear: half the amplitude is more than half as loud, and as open.
    opening = (loudness / loud) ** 0.7
    # Symmetric, so that the mouth is neither early nor late.
    return np.convolve(np.pad(opening, 1), [0.2, 0.6, 0.2], mode="valid")


def _expression(rng: np.random.Generator, t: _Floats, mouth: _Floats, speech: Speech) -> _Floats:
    # How features of speech move a face is anatomy: the same for every performance.
    anatomy = np.random.default_rng(0xA7A).standard_normal((3, _EXPRESSIONS))
    falloff = 1.0 / np.sqrt(1.0 + np.arange(_EXPRESSIONS))
    openness = (speech.formants[:, 0] - 500.0) / 250.0
    spread = (speech.formants[:, 1] - 1500.0) / 600.0
    features = np.stack([mouth - 0.3, openness * mouth, spread * mouth], axis=1)
    moving = features @ anatomy * falloff * 0.55
    wobble = np.stack([_waves(rng, t, 0.15, 1.2) for _ in range(_EXPRESSIONS)], axis=1) * falloff * 0.3
    mood = rng.standard_normal(_EXPRESSIONS) * falloff * 0.25
    expression = np.zeros((len(t), 100))
    expression[:, :_EXPRESSIONS] = moving + wobble + mood
    return expression


def _blinks(rng: np.random.Generator, t: _Floats) -> _Floats:
    lids = np.zeros(len(t))
    at = rng.uniform(0.5, 3.0)
    while at < t[-1] + _BLINK_S:
        # Lids shut faster than they open. The steepness makes the shut phase as long as a frame, so that 25
        # frames a second do not step over it.
        phase = (t - at) / _BLINK_S
        shut = np.where(phase < 0.3, phase / 0.3, (1.0 - phase) / 0.7)
        lids = np.maximum(lids, np.clip(1.6 * shut, 0.0, 1.0))
        at += rng.uniform(2.0, 6.0)
    return lids


def _gaze(rng: np.random.Generator, t: _Floats) -> _Floats:
    """Axis-angle of one eyeball: it rests, then jumps within one frame. Shape (len(t), 3)."""
    gaze = np.zeros((len(t), 3))
    at = rng.uniform(0.3, 1.2)
    while at < t[-1]:
        # Mostly at the listener.
        target = (0.0, 0.0) if rng.random() < 0.4 else (rng.normal(0.0, 0.05), rng.normal(0.0, 0.12))
        gaze[t >= at, :2] = np.clip(target, -0.35, 0.35)
        at += rng.uniform(0.4, 1.8)
    return gaze


def _head(rng: np.random.Generator, t: _Floats, stresses: tuple[float, ...]) -> _Floats:
    head = _sway(rng, t, (0.03, 0.05, 0.02))
    for moment in stresses:
        head[:, 0] += rng.uniform(0.02, 0.05) * np.exp(-0.5 * ((t - moment) / 0.09) ** 2)
    return head


def _sway(rng: np.random.Generator, t: _Floats, sizes: tuple[float, float, float]) -> _Floats:
    return np.stack([size * _waves(rng, t, 0.08, 0.45) for size in sizes], axis=1)


def _waves(rng: np.random.Generator, t: _Floats, low_hz: float, high_hz: float) -> _Floats:
    """Slow movement without a period: three sines, about -1 … 1."""
    hertz, phase = rng.uniform(low_hz, high_hz, 3), rng.uniform(0, 2 * np.pi, 3)
    waves: _Floats = np.sin(2 * np.pi * np.outer(t, hertz) + phase).sum(axis=1) / 2.0
    return waves
