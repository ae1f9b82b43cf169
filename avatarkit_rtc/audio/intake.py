"""The writing side of the speaker: from blocks of any form to the ring, at the rate the card really has."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Converter, Samples
from avatarkit_rtc.audio.drift import DriftController
from avatarkit_rtc.audio.output import Gain
from avatarkit_rtc.audio.playback import LONGEST_BLOCK_S, PAUSE_S, USUAL_BLOCK_S, Playback
from avatarkit_rtc.audio.variable_rate import VariableRate, make_variable_rate

_SILENCE: Final = 64
"""A block whose samples are all smaller than this (-54 dB of full scale) may be cut or lengthened."""
_MOST_STRETCH_S: Final = 0.02
"""Silence put in with one block at most."""
_BLOCKS_S: Final = 10.0
"""A block that is longer than the others is remembered for so long, and up to twice as long."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters of one stream, or of several one after another. Sound in seconds."""

    written: float = 0.0
    played: float = 0.0
    dropped: float = 0.0
    trimmed: float = 0.0
    stretched: float = 0.0
    flushed: float = 0.0
    concealed: float = 0.0
    underruns: int = 0
    overruns: int = 0
    callbacks: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


class Intake:
    """Writes to one :class:`Playback`. All calls on one thread, but :meth:`totals`."""

    def __init__(self, playback: Playback, gain: Gain) -> None:
        self.playback = playback
        self._gain = gain
        self._rate = playback.sample_rate
        channels = playback.ring.channels
        self._converter = Converter(self._rate, channels)
        self._resampler: VariableRate = make_variable_rate(channels)
        self.drift = DriftController(playback.target / self._rate)
        self._steady = False  # playing, and the controller at work
        self._due = 0.0  # samples that should have come out of the resamplers, and have
        self._made = 0
        self._last_write = float("-inf")
        self._longest = self._longest_before = USUAL_BLOCK_S  # in this stretch of time, and the one before
        self._stretch_ends = float("-inf")
        self._written_s = 0.0
        self._dropped = self._trimmed = self._stretched = self._flushed = 0
        self._underruns = self._overruns = 0

    def write(self, block: AudioBlock, now: float) -> int:
        """Take ``block`` at ``now`` (monotonic seconds).

        Returns:
            The position in the ring of the block's first sample.
        """
        playback, ring = self.playback, self.playback.ring
        if playback.starved:
            playback.starved = False
            if now - self._last_write < PAUSE_S:
                self._underruns += 1
        self._last_write = now
        self._expect(block.duration, now)
        length = len(block.samples) * self._rate / block.sample_rate
        ratio = self._follow(now, length)
        samples = self._converter.convert(block.samples, block.sample_rate)
        samples = self._resampler.process(self._gain.apply(samples), ratio)
        held = round(min(max(self._due - self._made, 0.0), self._rate))
        self._due += length * ratio
        self._made += len(samples)
        self._written_s += block.duration
        samples, shift = self._fit(samples)
        position = ring.write_position + held + shift
        if ring.depth + len(samples) > playback.limit:
            # All the way back to the target in one cut: dropping a little at each write would crackle.
            self._overruns += 1
            self._dropped += ring.keep_newest(max(0, playback.target - len(samples)))
        self._dropped += ring.write(samples) + ring.keep_newest(playback.limit)
        return position

    def flush(self) -> None:
        """Drop all sound that is not yet with the device."""
        self._flushed += self.playback.ring.clear()
        self._converter.reset()
        self._resampler.reset()
        self._due = self._made = 0
        self.playback.flushing = True
        self._steady = False
        self._last_write = float("-inf")  # the ring runs empty on purpose: no underrun

    def _expect(self, block_s: float, now: float) -> None:
        """Hold more for long blocks, as long as they come."""
        if block_s > LONGEST_BLOCK_S:
            block_s = USUAL_BLOCK_S  # no stream of blocks, but sound that is not paced at all
        longest = max(self._longest, self._longest_before)
        if now >= self._stretch_ends:
            self._stretch_ends = now + _BLOCKS_S
            self._longest_before, self._longest = self._longest, USUAL_BLOCK_S
        self._longest = max(self._longest, block_s)
        now_longest = max(self._longest, self._longest_before)
        if now_longest != longest:
            self.playback.expect_blocks(now_longest)
            self.drift.target_s = self.playback.target / self._rate

    def _follow(self, now: float, length: float) -> float:
        if not self.playback.playing:
            self._steady = False
            return self.drift.ratio
        if not self._steady:
            self._steady = True
            self.drift.restart()
        # Between this write and the next the depth is on average half a block more than right before it.
        return self.drift.update(now, (self.playback.ring.depth + length / 2) / self._rate)

    def _fit(self, samples: Samples) -> tuple[Samples, int]:
        """Shorten or lengthen silence where the depth is far off.

        Returns:
            The samples, and by how many they lie later in the ring.
        """
        excess = self.drift.excess_s if self._steady else 0.0
        if not excess or not len(samples) or int(np.abs(samples).max()) >= _SILENCE:
            return samples, 0
        if excess > 0:
            count = min(len(samples), round(excess * self._rate))
            self._trimmed += count
            shift = -count
            samples = samples[count:]
        else:
            shift = round(min(-excess, _MOST_STRETCH_S) * self._rate)
            self._stretched += shift
            samples = np.concatenate([np.zeros((shift, samples.shape[1]), np.int16), samples])
        self.drift.jumped(shift / self._rate)
        return samples, shift

    def totals(self) -> Totals:
        """The counters of this stream."""
        playback, rate = self.playback, self._rate
        return Totals(
            written=self._written_s,
            played=playback.played / rate,
            dropped=self._dropped / rate,
            trimmed=(self._trimmed + playback.trimmed) / rate,
            stretched=self._stretched / rate,
            flushed=self._flushed / rate,
            concealed=playback.concealed / rate,
            underruns=self._underruns,
            overruns=self._overruns,
            callbacks=playback.callbacks,
        )
