"""Lip sync: how far the face has to be held back so that it moves when its voice is heard.

No timestamp links sound and motion in a room. What links them is that the service paces both: frame N leaves
when N x 40 ms of speech have left, and its sound a little later (``audio_delay_s``). So the moment at which a
sample was sent tells which frame belongs to it, and the moment at which it is heard tells when that frame is
to be shown. All this is pure: moments are arguments, in monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

AUDIO_DELAY_S: Final = 0.040
"""The service sends the sound of a frame one frame after the frame itself: its own client holds two frames
before it starts."""

SMOOTHED_BLOCKS: Final = 40
"""Blocks of 10 ms over which the delay is taken as the median: it then changes about when the sound that came
another way is heard."""

NEEDED_BLOCKS: Final = 20
"""Blocks before the delay is believed."""

MAX_DELAY_S: Final = 3.0
"""A longer delay is no delay but a mistake (a clock that was set, a device that lies)."""


class LipSync:
    """The delay of the voice from its sending to the ear, as the face has to share it."""

    def __init__(self, *, audio_delay_s: float = AUDIO_DELAY_S, correction_s: float = 0.0) -> None:
        """
        Args:
            audio_delay_s: how much later than its frame the service sends a sample.
            correction_s: added to the face's delay, for a device that is heard later (+) than it says.
        """
        self._offset = audio_delay_s + correction_s
        self._delays: deque[float] = deque(maxlen=SMOOTHED_BLOCKS)
        self._delay: float | None = None
        self._until_next = 0

    @property
    def delay_s(self) -> float | None:
        """Delay the face needs behind the average motion packet, in seconds; None while it is not known."""
        return self._delay

    def heard(self, handed_out: float, path_delay_s: float, audible: float) -> None:
        """A block was handed out at ``handed_out``, ``path_delay_s`` after it was sent, and is heard at
        ``audible``."""
        delay = audible - (handed_out - path_delay_s) + self._offset
        if not 0.0 <= delay <= MAX_DELAY_S:
            return
        self._delays.append(delay)
        self._until_next -= 1
        if self._until_next <= 0 and len(self._delays) >= NEEDED_BLOCKS:
            self._until_next = 10
            self._delay = median(self._delays)

    def forget(self) -> None:
        """The chain has changed: a reconnect, another track, another device."""
        self._delays.clear()
        self._delay = None
        self._until_next = 0
