"""When a sample is heard: the sound card's word for it, on this computer's clock.

With each block that it asks for, PortAudio says when the block's first sample will leave the card, on a
clock of its own. That clock is brought to the monotonic one by the largest difference seen in the last
seconds: every reading of the two is late on the monotonic side by what the callback waited for its turn, the
best one by next to nothing. Pure: time is an argument.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_SLOT_S: Final = 0.5
_SLOTS: Final = 7
"""The largest difference is looked for in this many slots: the last 3-3.5 s."""
_FRESH_S: Final = 0.5
"""Without a callback for so long, nobody knows what is heard."""


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

    def block(self, now: float, position: int | None, dac_time: float, current_time: float) -> None:
        """The card asks for a block.

        Args:
            now: monotonic seconds, read in the callback.
            position: of the block's first sample; None for silence that is not from the ring.
            dac_time: when the block's first sample is heard, on the card's clock; 0 where it does not say.
            current_time: now on the card's clock; 0 where it does not say.
        """
        if dac_time > 0.0 and current_time > 0.0:
            heard = dac_time - self._difference(now, current_time - now)
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
