"""From the sound of a voice to the shapes of its mouth: a small estimator that needs no training.

Every 10 ms a piece of 30 ms is analysed (:mod:`~avatarkit_rtc.face.vowel_analysis`):

* **Which vowel**: the first two formants are compared with those of six vowels and the m (textbook averages
  of adult men: Peterson & Barney 1952, the close and mid ones as in languages with five vowels), on the Bark
  scale (Traunmüller 1990). How near each one is makes its weight; the weights add up to 1. The formants are
  divided by the size of the voice before, which is learnt from its third formant: 1 for a man, 1.2 for a
  child.
* **How far open**: loudness against the loudest of the last seconds, over 28 dB.
* **Hiss** (s, sh, f) and **hum** (n) close the teeth; the m has formants of its own, and closes the lips.

Causal: what is said about a moment needs sound up to :data:`LATENCY_S` after it. Pure: time is an argument.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.face.mouth_shapes import MOUTH_SHAPES
from avatarkit_rtc.face.vowel_analysis import WINDOW_S, VoiceFrames, analyse
from avatarkit_rtc.motion.frame import FloatArray

_Floats = npt.NDArray[np.floating[Any]]

HOP_S: Final = 0.010
"""Time between two estimates."""

LATENCY_S: Final = WINDOW_S / 2
"""So much sound after a moment is needed to tell its shape (and a block's own length, until it has come)."""

_VOWELS: Final = {
    "open": (760.0, 1320.0),
    "mid": (480.0, 1920.0),
    "wide": (300.0, 2270.0),
    "round": (520.0, 860.0),
    "pucker": (335.0, 820.0),
    "relaxed": (500.0, 1400.0),
    "closed": (270.0, 1120.0),
}
"""First and second formant in hertz of the vowel of each shape, and of the m."""

_NEAR_BARK: Final = 0.9
"""Distance at which a vowel's weight has fallen to 0.6 of that of one that fits: half the way between two."""

_THIRD_HZ: Final = 2550.0
"""Third formant of a man's voice, which is of size 1."""

_SIZES: Final = (0.85, 1.35)
_SIZE_STEP: Final = 0.004
"""The size goes towards each voiced piece's by so much: a running median that settles within a second."""

_QUIETEST_PEAK_DB: Final = -34.0
"""Sound that never gets louder than this is noise; a voice in a room is louder."""
_PEAK_FALL_DB: Final = 0.02
"""Fall of the peak per 10 ms: 2 dB in a second."""
_PEAK_RISE: Final = 0.25
_SHUT_DB: Final = 28.0
_WIDE_OPEN_DB: Final = 5.0
"""Below the peak by the first the mouth is shut, by the second wide open."""

_HISS_DB: Final = (-2.0, 4.0)
_NO_HUM_DB: Final = (17.0, 22.0)
_HUM_DB: Final = (16.0, 21.0)
"""From where to where a piece is taken for a hiss, for a hiss by the lack of low tones, and for a hum."""

_GAP_S: Final = 0.040
"""A block whose time is further than this from the end of the one before does not belong to it."""


class MouthMoment(NamedTuple):
    """Shapes of the mouth at one moment."""

    t: float
    """Seconds, on the clock of the blocks' times."""
    weights: FloatArray
    """Weight of each of :data:`~avatarkit_rtc.face.mouth_shapes.MOUTH_SHAPES`, shape (8,), each 0 to 1 and
    together at most 1; all zero for silence, lips at rest."""


def bark(hertz: _Floats) -> _Floats:
    """Frequency on the Bark scale of hearing (Traunmüller 1990)."""
    value: _Floats = 26.81 / (1 + 1960 / np.maximum(hertz, 1e-3)) - 0.53
    return value


_PROTOTYPES: Final = np.array([bark(np.array(formants)) for formants in _VOWELS.values()])
_COLUMNS: Final = np.array([MOUTH_SHAPES.index(name) for name in _VOWELS])
_TEETH: Final = MOUTH_SHAPES.index("teeth")
_UNKNOWN: Final = np.array([name == "relaxed" for name in _VOWELS], np.float64)


class MouthEstimator:
    """Takes one voice, block after block. Not thread-safe."""

    def __init__(self) -> None:
        self._rest: _Floats = np.zeros(0)
        self._rate = 0
        self._next = 0.0
        self._peak_db = _QUIETEST_PEAK_DB
        self._size = 1.05
        self.gaps = 0
        """Blocks that did not follow the one before."""

    @property
    def voice_size(self) -> float:
        """Formants of this voice relative to a man's, as far as is known, 0.85 to 1.35."""
        return self._size

    def hear(self, samples: npt.NDArray[Any], sample_rate: int, t: float) -> list[MouthMoment]:
        """Take the next block.

        Args:
            samples: int16, shape (n,) or (n, channels), of which the first is taken.
            sample_rate: samples per second, from 8000 on.
            t: when the block's first sample is heard, in seconds on any clock.

        Returns:
            The moments that can be told now, in order, 10 ms apart.

        Raises:
            ValueError: the rate is too low.
        """
        if sample_rate < 8000:
            raise ValueError(f"a voice needs 8000 samples per second, not {sample_rate}")
        mono = np.asarray(samples if samples.ndim == 1 else samples[:, 0], dtype=np.float64) / 32768.0
        if sample_rate != self._rate or abs(t - self._next) > _GAP_S:
            self.gaps += self._rate != 0
            self._rate, self._rest = sample_rate, np.zeros(0)
            self._next = t
        # Hand-out times jitter; samples do not.
        begin = self._next + 0.1 * (t - self._next) - len(self._rest) / sample_rate
        sound = np.concatenate([self._rest, mono])
        size, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
        count = max(0, (len(sound) - size) // hop + 1)
        self._rest = sound[count * hop :]
        self._next = begin + len(sound) / sample_rate
        if count == 0:
            return []
        pieces = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop][:count]
        # While nobody speaks, a room sends nothing but zeros.
        shapes = self._shapes(analyse(pieces, sample_rate)) if sound.any() else self._silence(count)
        middle = begin + size / 2 / sample_rate
        return [MouthMoment(middle + i * hop / sample_rate, shape) for i, shape in enumerate(shapes)]

    def forget(self) -> None:
        """The sound so far breaks off: what follows it is heard as if silence had come before."""
        self._rest = np.zeros_like(self._rest)

    def _silence(self, count: int) -> FloatArray:
        self._peak_db = max(self._peak_db - count * _PEAK_FALL_DB, _QUIETEST_PEAK_DB)
        return np.zeros((count, len(MOUTH_SHAPES)), np.float32)

    def _shapes(self, found: VoiceFrames) -> FloatArray:
        strength = self._strengths(found.level_db)
        hiss = np.maximum(_ramp(found.hiss_db, *_HISS_DB), _ramp(-found.hum_db, *_NO_HUM_DB))
        teeth = np.maximum(hiss, _ramp(found.hum_db, *_HUM_DB))
        sizes = self._sizes(found.formants[:, 2], (strength > 0.4) & (teeth < 0.2))
        shapes = np.zeros((len(strength), len(MOUTH_SHAPES)))
        shapes[:, _COLUMNS] = _vowels(found.formants[:, :2] / sizes[:, None]) * (1 - teeth)[:, None]
        shapes[:, _TEETH] = teeth
        result: FloatArray = (shapes * strength[:, None]).astype(np.float32)
        return result

    def _strengths(self, level_db: _Floats) -> _Floats:
        """Loudness of each piece against the peak, which follows, 0 to 1."""
        strengths: _Floats = np.empty(len(level_db))
        for i, level in enumerate(level_db):
            self._peak_db = max(self._peak_db - _PEAK_FALL_DB, _QUIETEST_PEAK_DB)
            if level > self._peak_db:
                self._peak_db += _PEAK_RISE * (level - self._peak_db)
            strengths[i] = (level - self._peak_db + _SHUT_DB) / (_SHUT_DB - _WIDE_OPEN_DB)
        return strengths.clip(0.0, 1.0)

    def _sizes(self, third: _Floats, voiced: npt.NDArray[np.bool_]) -> _Floats:
        """Size of the voice at each piece, shape (k,), as learnt until then from the third formants."""
        sizes: _Floats = np.empty(len(third))
        for i, size in enumerate(third / _THIRD_HZ):
            if voiced[i] and _SIZES[0] < size < _SIZES[1]:
                self._size += _SIZE_STEP if size > self._size else -_SIZE_STEP
            sizes[i] = self._size
        return sizes


def _vowels(formants: _Floats) -> _Floats:
    """Weight of each vowel, shape (k, 7), adding up to 1, by the first two formants, shape (k, 2)."""
    distance = np.square(bark(formants)[:, None, :] - _PROTOTYPES).sum(axis=2)
    nearest = distance.min(axis=1, keepdims=True)
    weights: _Floats = np.exp((nearest - distance) / (2 * _NEAR_BARK**2))
    weights /= weights.sum(axis=1, keepdims=True)
    weights[~np.isfinite(formants[:, 1])] = _UNKNOWN
    return weights


def _ramp(value: _Floats, low: float, high: float) -> _Floats:
    ramp: _Floats = np.clip((value - low) / (high - low), 0.0, 1.0)
    return ramp
