"""What a living face does and a stream may leave out: blinks, small turns of the eyes, sway and breath.

All of it is drawn with a seed, and depends on that and on the moments it is asked for alone.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

import numpy as np

from avatarkit_rtc.motion.frame import FloatArray

BLINK_EVERY_S: Final = (2.0, 5.6)
"""Pause before the next blink: 16 a minute, as people in conversation blink 10 to 25 times a minute."""

WATCHED_S: Final = 8.0
"""After a blink of the stream's own, none is added for so long: it blinks by itself."""

_DOUBLE: Final = 0.08
"""So many blinks are followed by another at once."""
_CLOSING_S: Final = 0.08
_SHUT_S: Final = 0.04
_OPENING_S: Final = 0.14

FIXATION_S: Final = (0.5, 2.6)
"""An eye rests on a point for so long."""
_AT_VIEWER: Final = 0.55
"""So often the next point is the viewer's eye again."""
_ASIDE: Final = (0.030, 0.055)
"""Spread of the other points, radians: up and down, left and right."""
_ASIDE_MOST: Final = 2.2

_SYLLABLE_S: Final = 0.15
_SPEECH_S: Final = 2.0
"""Time constants of a syllable's loudness and of that of speech of late."""
_ORDINARY: Final = 0.6
_SPOKEN: Final = 0.05
"""Loudness of speech before any was heard, and from which on it counts as speech."""

BREATH_S: Final = 4.2
"""A resting adult breathes some 12 to 20 times a minute."""
_SWAY: Final = ((0.006, 6.1, 0.004, 2.9), (0.012, 9.7, 0.005, 3.7), (0.007, 13.3, 0.003, 5.3))
"""Nod, turn and tilt: two slow waves each, radians and seconds. They never meet again."""


class Blinks:
    """When the lids fall, and how far they are down."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._start = -math.inf
        self._next: float | None = None
        self.count = 0
        """Blinks that were added."""

    def shut(self, now: float, *, stream_shut: float = 0.0) -> float:
        """How far the lids are shut by a blink of ours at ``now``, 0 to 1.

        Args:
            now: seconds, never less than the last time.
            stream_shut: how far the stream's own lids are shut, 0 to 1.
        """
        if self._next is None:
            self._next = now + self._random.uniform(*BLINK_EVERY_S) / 2
        if stream_shut > 0.5:
            self._next = max(self._next, now + WATCHED_S)
        if now >= self._next:
            self._start, self.count = now, self.count + 1
            pause = 0.3 if self._random.random() < _DOUBLE else self._random.uniform(*BLINK_EVERY_S)
            self._next = now + pause
        since = now - self._start
        if since < _CLOSING_S:
            return since / _CLOSING_S
        return min(1.0, max(0.0, 1.0 - (since - _CLOSING_S - _SHUT_S) / _OPENING_S))


class Saccades:
    """Where the eyes look: at the viewer most of the time, with small leaps aside and back."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._until: float | None = None
        self._target = np.zeros(3, np.float32)

    def gaze(self, now: float) -> FloatArray:
        """Turn of both eyes at ``now``, shape (3,), axis-angle in radians; it leaps."""
        if self._until is None or now >= self._until:
            self._until = now + self._random.uniform(*FIXATION_S)
            if self._random.random() < _AT_VIEWER:
                self._target = np.zeros(3, np.float32)
            else:
                down, left = (spread * self._aside() for spread in _ASIDE)
                self._target = np.array([down, left, 0.0], np.float32)
        return self._target

    def _aside(self) -> float:
        return max(-_ASIDE_MOST, min(_ASIDE_MOST, self._random.gauss(0.0, 1.0)))


class Emphasis:
    """Brows that go up a little with stressed syllables: those that are louder than speech was of late."""

    def __init__(self) -> None:
        self._syllable, self._speech = 0.0, _ORDINARY

    def raised(self, loudness: float, dt: float) -> float:
        """How far the brows are up, 0 to 1, at a ``loudness`` of 0 to 1, ``dt`` seconds after the last."""
        self._syllable += min(1.0, dt / _SYLLABLE_S) * (loudness - self._syllable)
        if loudness > _SPOKEN:
            self._speech += min(1.0, dt / _SPEECH_S) * (loudness - self._speech)
        return min(1.0, max(0.0, 2.5 * (self._syllable - self._speech) - 0.25))


class Activity:
    """Whether a number of the stream moves at all, or stands still and wants a life made for it."""

    def __init__(self, lively: float) -> None:
        """``lively``: mean movement, in the numbers' own unit, from which on nothing is added."""
        self._lively = lively
        self._level = 0.0
        self._mean: FloatArray | None = None

    def missing(self, values: FloatArray, dt: float) -> float:
        """How much life is missing in ``values``, shape (n,), 0 to 1; ``dt`` seconds after the last ones."""
        if self._mean is None:
            self._mean = values.copy()
        away = values - self._mean
        rate = min(1.0, dt / 2.0)
        self._mean = self._mean + np.float32(rate) * away
        self._level += rate * (float(np.abs(away).max()) - self._level)
        return min(1.0, max(0.0, 1.5 - self._level / self._lively))


def breath(now: float) -> float:
    """How far breathed in at ``now``, 0 to 1."""
    return 0.5 + 0.5 * math.sin(2 * math.pi * now / BREATH_S)


def sway(now: float, phase: float) -> FloatArray:
    """Small turns of a head that is held still, shape (3,), axis-angle in radians; ``phase`` in seconds."""
    t = 2 * math.pi * (now + phase)
    waves = [a * math.sin(t / a_s) + b * math.sin(t / b_s) for a, a_s, b, b_s in _SWAY]
    return np.array(waves, np.float32)
