"""What the echo canceller compares the microphone with: the very samples that the sound card was given.

The card's thread copies each block that it hands over, silence of underruns included, into a ring
(:class:`RenderTap`). With each block of the microphone :class:`EchoReference` takes one block out. As both
sides are counted in samples of sound cards, the delay between the two stays the same, however late callbacks
and event loop are.

How the two counts belong together is told by the earliest callbacks of the last half second on either side: a
callback may be late, never early. (The times that a card tells for its samples are no help: sound servers
estimate them, off by 20 ms at first and by 100 ms after a gap.) When the counts part, by a gap on one of the
sides, the reference is moved.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from avatarkit_rtc.audio.convert import Samples, to_channels
from avatarkit_rtc.audio.ring import SampleRing
from avatarkit_rtc.audio.variable_rate import CubicRate

RATE: Final = 48000
"""Samples per second of the reference, mono."""
_BLOCK: Final = RATE // 100
_KEPT_S: Final = 1.0

_BEHIND: Final = 0.6
"""The reference is what the card was given so much of its latency ago. The canceller is at ease with an echo
5 to 200 ms after its reference and helpless where it comes first; late callbacks may take the rest."""
_LEAST_BEHIND_S: Final = 0.01
_MOST_BEHIND_S: Final = 0.06

_SLOT: Final = 12
"""Blocks of the microphone in one slot of the search for the earliest callback ..."""
_SLOTS: Final = 4
"""... and slots."""
_LOOKS: Final = 6
"""A step has to be seen in so many blocks in a row."""
_STEP: Final = RATE * 15 // 1000
"""A change at once of more than this is a gap; less comes of callbacks that come now singly, now in pairs."""
_CREEP: Final = RATE * 2 / 1000 / 100
"""A slow change, of so much in a block at most, comes of two clocks that differ; the canceller follows it
better by itself ..."""
_DRIFT: Final = RATE * 25 // 1000
"""... until it adds up to this."""
_LACKING: Final = 10
"""What was not there in time, two points a block less one for each that was: no more patience for earlier
callbacks, there was a gap."""
_STALLED: Final = 15
"""Blocks of the microphone without a callback of the speaker: it begins anew."""


class RenderTap:
    """Copies what a sound card is given. Nobody has to read it: the oldest is dropped then, and counted."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """``sample_rate`` in samples per second; ``channels`` of the stream."""
        self.sample_rate = sample_rate
        self.channels = channels
        self.latency_s = 0.1
        """From here to the ear, about."""
        self.ring = SampleRing(round(sample_rate * _KEPT_S), channels)
        self.anchor: tuple[int, float] | None = None
        """Position after the newest sample, and when it was given (monotonic seconds); set in one go."""

    @property
    def dropped(self) -> int:
        """Samples that were not read in time."""
        return self.ring.dropped

    def given(self, out: Samples, now: float) -> None:
        """The card's thread: ``out``, shape (n, channels), is handed over ``now``."""
        self.ring.write(out)
        self.anchor = (self.ring.write_position, now)


class _Earliest:
    """The largest of the values of the last half second: how far a count was ahead of time, at best."""

    def __init__(self) -> None:
        self._slots: deque[float] = deque(maxlen=_SLOTS)
        self._values = 0

    def add(self, value: float) -> float:
        if self._values % _SLOT == 0:
            self._slots.append(value)
        elif value > self._slots[-1]:
            self._slots[-1] = value
        self._values += 1
        return max(self._slots)

    def clear(self) -> None:
        self._slots.clear()
        self._values = 0


class EchoReference:
    """Takes from a :class:`RenderTap` what belongs to each block of the microphone. For one thread."""

    def __init__(self, tap: RenderTap) -> None:
        self.tap = tap
        self.missing = 0
        """Blocks that were not there, or no longer, when they were needed: silence in their place."""
        self.jumps = 0
        """Times that the reference was moved."""
        self._scale = RATE / tap.sample_rate
        behind = min(max(_BEHIND * tap.latency_s, _LEAST_BEHIND_S), _MOST_BEHIND_S)
        self._behind = round(behind * RATE)
        # Not the speaker's resamplers: they hold sound back, and it has to be here before its echo.
        self._resampler = None if tap.sample_rate == RATE else CubicRate(1)
        self._expected = 0  # position in the tap's ring of what comes next
        self._line: Samples = np.empty((0, 1), np.int16)
        self._line_end = 0  # its end, in samples of the reference since the tap was made
        self._idle = 0  # blocks of the microphone since the card asked for sound
        self._given, self._heard = _Earliest(), _Earliest()
        self._taken = 0
        self._lacking = 0
        self._next: int | None = None
        self._accepted = 0.0  # what the next one is off its place by, and may be
        self._steps: deque[float] = deque(maxlen=_LOOKS)

    def take(self, arrived: float) -> Samples:
        """The reference of the microphone's next 10 ms.

        Args:
            arrived: monotonic moment at which these came from the device.

        Returns:
            Samples, shape (480, 1), mono at 48 kHz: silence where there are none.
        """
        self._collect()
        self._taken += _BLOCK
        anchor = self.tap.anchor
        if anchor is None or (self._next is None and arrived - anchor[1] > _STALLED * _BLOCK / RATE):
            return np.zeros((_BLOCK, 1), np.int16)
        given = self._given.add(anchor[0] * self._scale - anchor[1] * RATE)
        heard = self._heard.add(self._taken - arrived * RATE)
        wanted = self._taken + given - heard - self._behind - _BLOCK
        start = self._begin(wanted) if self._next is None else self._aligned(self._next, wanted)
        self._next = start + _BLOCK
        return self._cut(start)

    def _collect(self) -> None:
        """Move what the tap holds to the line, which ends with the newest sample."""
        ring = self.tap.ring
        block = np.empty((ring.depth, self.tap.channels), np.int16)
        self._idle += 1
        if not len(block):
            return
        if self._idle > _STALLED:
            self._given.clear()
            self._next = None
        self._idle = 0
        count = ring.read_into(block)
        begin = ring.read_position - count
        if begin != self._expected:  # not read for so long that the ring ran over
            if self._resampler is not None:
                self._resampler.reset()
            self._line = self._line[:0]
            self._line_end = round(begin * self._scale)
        self._expected = begin + count
        samples = to_channels(block[:count], 1)
        if self._resampler is not None:
            samples = self._resampler.process(samples, self._scale)
        self._line_end += len(samples)
        self._line = np.concatenate([self._line, samples])[-round(_KEPT_S * RATE) :]

    def _begin(self, wanted: float) -> int:
        self._accepted = 0.0
        self._steps.clear()
        return round(wanted)

    def _aligned(self, start: int, wanted: float) -> int:
        """``start``, moved if there was a gap."""
        off = wanted - start
        self._steps.append(off - self._accepted)
        if len(self._steps) == _LOOKS and min(abs(step) for step in self._steps) > _STEP:
            # By the newest: it takes several blocks until a gap shows in full.
            self.jumps += 1
            moved = round(self._steps[-1])
            self._steps.clear()
            return start + moved
        self._accepted += max(-_CREEP, min(_CREEP, self._steps[-1]))
        if abs(self._accepted) <= _DRIFT:
            return start
        self.jumps += 1
        return self._begin(wanted)

    def _cut(self, start: int) -> Samples:
        at = start - (self._line_end - len(self._line))
        found = self._line[max(at, 0) : max(at + _BLOCK, 0)]
        if len(found) == _BLOCK:
            self._lacking = max(0, self._lacking - 1)
            return found
        self._lacking += 2
        if self._lacking >= _LACKING:
            self._lacking = 0
            self._given.clear()
        self.missing += 1
        filled = np.zeros((_BLOCK, 1), np.int16)
        filled[max(-at, 0) : max(-at, 0) + len(found)] = found
        return filled
