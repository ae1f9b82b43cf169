"""How long WebRTC's audio jitter buffer (NetEQ) holds sound back, from its running sums.

Its sums say how long the samples that were played in an interval had waited, in steps of 10 ms and give or
take the network's jitter, and by how many samples it stretched and cut meanwhile, which is exact. A scalar
Kalman filter takes both: it is carried along by what was stretched and cut, corrected by what was waited, and
trusts itself less after silence, in which nothing is sent and the next packet sets the delay anew, and after
concealment, which is a delay when the packet was late and none when it was lost. Pure.
"""

from __future__ import annotations

import cmath
import math
from typing import Final, NamedTuple

RATE: Final = 48000
"""NetEQ counts samples at the rate that Opus decodes to."""

INITIAL_S: Final = 0.030
"""What it holds on a quiet network; taken until it says itself."""

_STEP_VARIANCE: Final = 0.005**2
"""Of one figure: it is made of blocks of 10 ms."""
_PACKETS_PER_S: Final = 50
_DRIFT_VARIANCE_PER_S: Final = 0.003**2
"""The waiting changes a little by itself, with the network's mean delay."""
_SILENCE_VARIANCE: Final = 0.004**2
_SILENCE_S: Final = 0.1
"""So much less played than time has passed, and there was silence."""
_JUMP: Final = 3.0
"""A figure so many standard deviations off is believed at once."""


class NetEqSums(NamedTuple):
    """What ``getStats()`` sums up since the stream began, by the names of the WebRTC statistics standard."""

    jitter_buffer_delay: float
    """Seconds, over all samples that were played."""
    jitter_buffer_emitted_count: int
    """Samples that were played."""
    inserted_samples: int
    """Samples by which it was stretched (``insertedSamplesForDeceleration``)."""
    removed_samples: int
    """Samples that were cut (``removedSamplesForAcceleration``)."""
    concealed_samples: int
    """Samples that were made up."""


class NetEqDelay:
    """The delay now."""

    def __init__(self) -> None:
        self.delay_s = INITIAL_S
        """Seconds from a packet's arrival to its sound being handed out, for a packet of average delay."""
        self._variance = 1.0
        self._last: NetEqSums | None = None
        self._last_t = 0.0

    def update(self, t: float, sums: NetEqSums, jitter_s: float) -> float:
        """Take the sums at ``t`` (monotonic seconds); returns :attr:`delay_s`.

        Args:
            t: when they were asked for.
            sums: as they are.
            jitter_s: standard deviation of the packets' delay, roughly.
        """
        last, self._last = self._last, sums
        passed, self._last_t = t - self._last_t, t
        if last is None:
            last, passed = NetEqSums(0.0, 0, 0, 0, 0), 0.0
        emitted = sums.jitter_buffer_emitted_count - last.jitter_buffer_emitted_count
        waited = sums.jitter_buffer_delay - last.jitter_buffer_delay
        if emitted < 0 or waited < 0.0:  # another stream under the same track
            self._variance = 1.0
            return self.delay_s
        self._predict(passed, emitted / RATE, sums, last)
        if emitted > 0:
            self._correct(waited / emitted, emitted / RATE, jitter_s)
        return self.delay_s

    def _predict(self, passed: float, played_s: float, sums: NetEqSums, last: NetEqSums) -> None:
        inserted = sums.inserted_samples - last.inserted_samples
        removed = sums.removed_samples - last.removed_samples
        concealed = sums.concealed_samples - last.concealed_samples
        self.delay_s = max(0.0, self.delay_s + (inserted - removed) / RATE)
        self._variance += max(0.0, passed) * _DRIFT_VARIANCE_PER_S + (concealed / RATE) ** 2
        if passed - played_s > _SILENCE_S:
            self._variance += _SILENCE_VARIANCE

    def _correct(self, measured: float, played_s: float, jitter_s: float) -> None:
        packets = max(1.0, played_s * _PACKETS_PER_S)
        noise = _STEP_VARIANCE + jitter_s**2 / packets
        off = measured - self.delay_s
        if off**2 > _JUMP**2 * (self._variance + noise):
            self._variance = off**2
        gain = self._variance / (self._variance + noise)
        self.delay_s += gain * off
        self._variance *= 1.0 - gain


TICK_S: Final = 0.010
"""NetEQ hands out 10 ms at a time."""

_SMOOTHING: Final = 1 / 8
_SURE: Final = 0.6
_WRAP_S: Final = 0.0008


class TickPhase:
    """How long before a tick packets arrive, which NetEQ does not count: it counts whole ticks.

    Packets come each 20 ms and ticks each 10, so on a quiet network this is the same for the whole of a
    session, and another in the next. A circular mean, as just before one tick is just after the last; where
    arrivals are spread all over, and where they coincide with the ticks, so that one may count or not, it is
    taken for half a tick.
    """

    def __init__(self) -> None:
        self._mean = 0j

    def update(self, arrival: float, tick: float) -> None:
        """A packet arrived at ``arrival``, and there was a tick at ``tick``: seconds, on one clock."""
        turn = cmath.exp(2j * math.pi * ((tick - arrival) / TICK_S % 1.0))
        self._mean += _SMOOTHING * (turn - self._mean)

    @property
    def wait_s(self) -> float:
        """Seconds from a packet's arrival to the next tick: 0 … 0.010."""
        if abs(self._mean) < _SURE:
            return TICK_S / 2
        wait = cmath.phase(self._mean) / (2 * math.pi) % 1.0 * TICK_S
        return wait if _WRAP_S < wait < TICK_S - _WRAP_S else TICK_S / 2
