"""Taking turns: the microphone is silent while the avatar is heard.

For rooms in which the echo canceller does not get on top of the echo.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from avatarkit_rtc.audio.convert import Samples

HANGOVER_S: Final = 0.3
"""How long after the avatar's last sound the microphone stays closed: the room's reverberation."""
_AUDIBLE: Final = 100.0
"""Root mean square of a block, of 32768, above which it is heard (-50 dB)."""


class HalfDuplex:
    """A gate for the microphone. Times are monotonic seconds."""

    def __init__(self, hangover_s: float = HANGOVER_S) -> None:
        self._hangover_s = hangover_s
        self._open_at = float("-inf")
        self._gain = 1.0

    def played(self, samples: Samples, now: float, delay_s: float = 0.0) -> None:
        """``samples``, shape (n, channels), go to the speaker, and are heard ``delay_s`` later at most."""
        if samples.size and float(np.sqrt(np.mean(np.square(samples.astype(np.float32))))) > _AUDIBLE:
            self._open_at = max(self._open_at, now + delay_s + self._hangover_s)

    def flushed(self, now: float) -> None:
        """What the speaker held was dropped: only the hang-over is left."""
        self._open_at = min(self._open_at, now + self._hangover_s)

    def is_open(self, now: float) -> bool:
        """Whether the microphone is let through."""
        return now >= self._open_at

    def apply(self, samples: Samples, now: float) -> Samples:
        """``samples`` of the microphone, shape (n, channels), let through or silenced; the change is a ramp
        across one block, as a step would click."""
        gain, self._gain = self._gain, 1.0 if self.is_open(now) else 0.0
        if gain == self._gain == 1.0:
            return samples
        if gain == self._gain == 0.0:
            return np.zeros_like(samples)
        ramp = np.linspace(gain, self._gain, len(samples), dtype=np.float32)[:, np.newaxis]
        faded: Samples = np.rint(samples * ramp).astype(np.int16)
        return faded
