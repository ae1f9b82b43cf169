"""What a service's delay between a frame and its sound seems to be, from how the mouth goes with the voice.

Mouths are open when it is loud. So the jaw's opening, by when frames came, and the loudness, by when its
sound was sent, are laid over each other at every shift that can be, and the shift at which they go together
best is the delay. Speech is no metronome: on real motion the correlation is 0.3 with a broad peak. So it
takes minutes, and what is not sure is not said: both halves of what was gathered have to say the same. Pure;
moments are monotonic seconds.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

STEP_S: Final = 0.020
"""Time is cut into steps of this length."""

WINDOW_S: Final = 120.0
"""What is older is forgotten."""

NEEDED_S: Final = 16.0
"""So much speech with its motion is needed in all."""

SHORTEST_S: Final = -0.1
LONGEST_S: Final = 0.8
"""Delays that are tried."""

MIN_CORRELATION: Final = 0.15
AGREEMENT_S: Final = 0.060
"""How far apart the delays may be that the two halves say."""

_EVERY_S: Final = 2.5
_STEPS: Final = round(WINDOW_S / STEP_S)
_FRAME_STEPS: Final = 2
_QUIET: Final = 30.0
"""Sound below this, of 32768, is silence, however quiet it is."""

_Floats = npt.NDArray[np.float64]


class AudioDelayEstimate:
    """Gathers mouth and loudness, and says what it makes of them. A call takes microseconds, but for one each
    2.5 s that takes a millisecond or two."""

    def __init__(self) -> None:
        self.estimate_s: float | None = None
        """Seconds from a frame's sending to its sound's; None while it is not sure."""
        self._mouth = np.full(_STEPS, np.nan)
        self._loud = np.full(_STEPS, np.nan)
        self._newest: int | None = None
        self._due = -math.inf
        self._halves: list[float | None] = [None, None]
        self._turn = 0

    def frame(self, t: float, opening: float) -> None:
        """A frame with the jaw open by ``opening`` came at ``t``."""
        step = self._step(t)
        if step is not None and math.isfinite(opening):
            for each in range(step, step + _FRAME_STEPS):
                self._mouth[each % _STEPS] = opening

    def block(self, sent: float, samples: npt.NDArray[np.int16]) -> None:
        """A block of sound was sent at ``sent``, on the clock on which motion came."""
        step = self._step(sent)
        if step is None:
            return
        values = samples.astype(np.float32)
        loudness = 20 * math.log10(math.sqrt(float(np.mean(values * values))) + _QUIET)
        before = self._loud[step % _STEPS]
        self._loud[step % _STEPS] = loudness if math.isnan(before) else max(before, loudness)
        if sent >= self._due:
            self._due = sent + _EVERY_S
            self._estimate()

    def forget(self) -> None:
        """Another avatar, or the same one anew."""
        self._newest = None
        self._halves = [None, None]
        self.estimate_s = None

    def _step(self, t: float) -> int | None:
        """The step of moment ``t``, with everything up to it made ready; None if that is long past."""
        if not math.isfinite(t):
            return None
        step = math.floor(t / STEP_S)
        ahead = step + _FRAME_STEPS
        if self._newest is None or ahead - self._newest >= _STEPS:
            self._mouth.fill(np.nan)
            self._loud.fill(np.nan)
            self._newest = ahead
        elif ahead > self._newest:
            fresh = np.arange(self._newest + 1, ahead + 1) % _STEPS
            self._mouth[fresh] = np.nan
            self._loud[fresh] = np.nan
            self._newest = ahead
        return step if step > self._newest - _STEPS else None

    def _estimate(self) -> None:
        assert self._newest is not None  # a block came
        order = np.arange(self._newest + 1, self._newest + 1 + _STEPS) % _STEPS
        mouth, loud = self._mouth[order], self._loud[order]
        there = np.flatnonzero(~np.isnan(mouth))
        self.estimate_s = None
        if len(there) * STEP_S < NEEDED_S:
            self._halves = [None, None]
            return
        middle = int(there[len(there) // 2])
        part = np.full(_STEPS, np.nan)
        half = slice(middle, None) if self._turn else slice(None, middle)
        part[half] = mouth[half]
        self._halves[self._turn] = best_delay(part, loud)
        self._turn = 1 - self._turn  # one at a time, so as not to hold up the event loop
        sure = [each for each in self._halves if each is not None]
        if len(sure) == 2 and max(sure) - min(sure) <= AGREEMENT_S:
            self.estimate_s = sum(sure) / 2


def best_delay(mouth: _Floats, loud: _Floats) -> float | None:
    """The delay in seconds at which ``loud`` goes best with ``mouth``; None if it does so nowhere.

    Args:
        mouth: opening, a value each 20 ms, shape (n,); NaN where nobody spoke.
        loud: loudness, likewise; NaN where nothing came.
    """
    first, last = round(SHORTEST_S / STEP_S), round(LONGEST_S / STEP_S)
    there = np.flatnonzero(~np.isnan(mouth))
    fits = np.full(last - first + 1, -1.0)
    for number, shift in enumerate(range(first, last + 1)):
        at = there + shift
        at = at[(at >= 0) & (at < len(loud))]
        heard = loud[at]
        both = ~np.isnan(heard)
        if np.count_nonzero(both) * STEP_S < NEEDED_S / 4:
            continue
        fits[number] = _correlation(mouth[at[both] - shift], heard[both])
    best = int(np.argmax(fits))
    if fits[best] < MIN_CORRELATION or not 0 < best < len(fits) - 1:
        return None
    left, middle, right = fits[best - 1 : best + 2]
    bend = left - 2 * middle + right
    between = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float((first + best + between) * STEP_S)


def _correlation(a: _Floats, b: _Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 1e-9 else -1.0
