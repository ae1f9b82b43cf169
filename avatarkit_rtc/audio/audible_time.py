"""When a sample is heard: the sound card's word for it, on this computer's clock.

With each block that it asks for, PortAudio says when the block's first sample will leave the card, on a
clock of its own. That clock is brought to the monotonic one by the largest difference seen in the last
seconds: every reading of the two is late on the monotonic side by what the callback waited for its turn, the
best one by next to nothing.

Sound servers interpolate what they say, and after a disturbance may be off by 20-140 ms for ten seconds and
more. What the card has taken cannot be wrong: counted in samples, its distance from what the card says is the
same all the time. So where the two disagree for longer than the count needs to notice a real break, the count
is believed. Pure: time is an argument.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

_SLOT_S: Final = 0.5
_SLOTS: Final = 7
"""The largest difference is looked for in this many slots: the last 3-3.5 s."""
_FRESH_S: Final = 0.5
"""Without a callback for so long, nobody knows what is heard."""

_COUNT_SLOT_S: Final = 0.25
_COUNT_SLOTS: Final = 5
"""The count goes by the most prompt callback of 1-1.25 s: so long after a break in what is heard it knows."""
_TYPICAL_SLOT_S: Final = 0.5
_TYPICAL_SLOTS: Final = 120
"""The card's usual word is the median of one in each half second of the last minute."""
_TYPICAL_NEEDED: Final = 8
_DISAGREE_S: Final = 0.005
_PATIENCE_S: Final = 1.5
"""Only a disagreement longer than this is the card's mistake."""


class _Anchor(NamedTuple):
    position: int
    heard: float
    said: float


class AudibleTime:
    """Maps positions in the ring to the moments at which they are heard.

    :meth:`block` is for the sound card's thread, :meth:`at` for any.
    """

    def __init__(self, sample_rate: int, latency_s: float = 0.0) -> None:
        """
        Args:
            sample_rate: samples per second.
            latency_s: delay of the card as its stream states it, used where it never tells times.
        """
        self._rate = sample_rate
        self.latency_s = latency_s
        self._slots = [float("-inf")] * _SLOTS
        self._slot = 0
        self._slot_end = float("-inf")
        self._anchor: _Anchor | None = None
        self._count = _Count()

    def block(
        self, now: float, position: int | None, dac_time: float, current_time: float, frames: int = 0
    ) -> None:
        """The card asks for a block.

        Args:
            now: monotonic seconds, read in the callback.
            position: of the block's first sample; None for silence that is not from the ring.
            dac_time: when the block's first sample is heard, on the card's clock; 0 where it does not say.
            current_time: now on the card's clock; 0 where it does not say.
            frames: samples that it asks for; 0 for a card whose word is not to be checked.
        """
        if dac_time > 0.0 and current_time > 0.0:
            heard = dac_time - self._difference(now, current_time - now)
            if frames:
                heard = self._count.check(now, heard, frames / self._rate)
        else:
            heard = now + self.latency_s
        self._anchor = None if position is None else _Anchor(position, heard, now)

    def _difference(self, now: float, difference: float) -> float:
        if now >= self._slot_end:
            if now >= self._slot_end + _SLOTS * _SLOT_S:
                self._slots[:] = [float("-inf")] * _SLOTS
            self._slot = (self._slot + 1) % _SLOTS
            self._slots[self._slot] = difference
            self._slot_end = now + _SLOT_S
        elif difference > self._slots[self._slot]:
            self._slots[self._slot] = difference
        return max(self._slots)

    def at(self, position: int, now: float) -> float | None:
        """The monotonic moment at which sample ``position`` is heard, or was a moment ago; None while the
        card plays nothing from the ring."""
        anchor = self._anchor  # once: the other thread puts a new one in its place
        if anchor is None or now - anchor.said > _FRESH_S:
            return None
        return anchor.heard + (position - anchor.position) / self._rate


class _Count:
    """What the card says, checked against what it has taken."""

    def __init__(self) -> None:
        self._taken_s = 0.0
        self._prompt = [math.inf] * _COUNT_SLOTS
        self._prompt_end = -math.inf
        self._usual: deque[float] = deque(maxlen=_TYPICAL_SLOTS)
        self._usual_end = -math.inf
        self._typical = 0.0
        self._disagreed_at: float | None = None
        self._agreed = 0.0

    def check(self, now: float, heard: float, block_s: float) -> float:
        """When a block of ``block_s`` seconds is heard that is asked for ``now``; the card says ``heard``."""
        prompt = self._prompt_of(now, now - self._taken_s)
        begin = prompt + self._taken_s
        self._taken_s += block_s
        beyond = heard - begin
        if now >= self._usual_end:
            self._usual_end = now + _TYPICAL_SLOT_S
            self._usual.append(beyond)
            self._typical = sorted(self._usual)[(len(self._usual) - 1) // 2]
        if len(self._usual) < _TYPICAL_NEEDED or abs(beyond - self._typical) <= _DISAGREE_S:
            self._disagreed_at, self._agreed = None, prompt
            return heard
        if abs(prompt + beyond - self._agreed - self._typical) <= _DISAGREE_S:
            # It took as much more at once as it keeps back longer now: another buffer, and no break in sound.
            self._usual.clear()
            self._usual.append(beyond)
            self._typical = beyond
            return heard
        if self._disagreed_at is None:
            self._disagreed_at = now
        return heard if now - self._disagreed_at < _PATIENCE_S else begin + self._typical

    def _prompt_of(self, now: float, late: float) -> float:
        if now >= self._prompt_end:
            if now >= self._prompt_end + _COUNT_SLOTS * _COUNT_SLOT_S:  # a pause: nothing old counts
                self._prompt[:] = [math.inf] * _COUNT_SLOTS
                self._usual.clear()
            self._prompt = [late, *self._prompt[:-1]]
            self._prompt_end = now + _COUNT_SLOT_S
        elif late < self._prompt[0]:
            self._prompt[0] = late
        return min(self._prompt)
