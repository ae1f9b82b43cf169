"""The sound card's side of the speaker: what runs in PortAudio's thread, for as long as one stream lives.

The callback copies out of the ring, counts, and does nothing else. Playing begins when the ring has reached
its target depth. Sound servers do not call back for a second or two after a stream starts, and again after a
stall; when callbacks come back, what is above the target is passed over, so that no stall leaves a lasting
delay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from avatarkit_rtc.audio.audible_time import AudibleTime
from avatarkit_rtc.audio.convert import Samples
from avatarkit_rtc.audio.echo_reference import RenderTap
from avatarkit_rtc.audio.ring import SampleRing

STALL_S: Final = 0.15
"""A pause between callbacks that is longer than this was a stall of the card."""

PAUSE_S: Final = 0.5
"""Sound that comes again after a gap longer than this had ended; a shorter gap was an underrun."""

USUAL_BLOCK_S: Final = 0.02
"""Sound that is written in blocks up to this long needs no more than the target depth."""

LONGEST_BLOCK_S: Final = 0.3
"""Blocks up to this long may be written one after another: there is room for them."""

_FADE_S: Final = 0.003
"""Sound that breaks off dies away over so long: a step to 0 would click."""


class Playback:
    """One stream's ring, callback and counters. All of it but the ring's writing side belongs to the card's
    thread; counters are read from anywhere."""

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        *,
        target_s: float,
        max_s: float,
        start: int = 0,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            sample_rate: samples per second.
            channels: of the stream.
            target_s: depth to be kept, in seconds. Playing begins with a block more.
            max_s: most that the ring holds, in seconds; both are for blocks up to :data:`USUAL_BLOCK_S`.
            start: position of the first sample, so that positions go on counting from stream to stream.
            ended: the stream has ended by itself; called in PortAudio's thread.
        """
        self.sample_rate = sample_rate
        self._least = round(sample_rate * target_s), round(sample_rate * max_s)
        self.target = self.limit = 0
        """Depth on average, and the most that is held."""
        self._begin = self._most = self._more = 0
        self._seen = self._since = 0  # end of what is written, and silence played since it has moved
        self.expect_blocks(USUAL_BLOCK_S)
        most = max_s + 2 * (LONGEST_BLOCK_S - USUAL_BLOCK_S)
        self.ring = SampleRing(round(sample_rate * most), channels, start=start)
        self.audible = AudibleTime(sample_rate)
        self.tap = RenderTap(sample_rate, channels)
        """What the card was given, for the echo canceller."""
        self.muted = False
        self.playing = False
        self.starved = False
        """The ring ran empty; taken back by the writer."""
        self.flushing = False
        """Set by the writer, taken back by the callback."""
        self.over = False
        """The stream is to be closed and another may play already: silence, however long that takes."""
        self.finished = False
        self.last_callback = 0.0
        self.callbacks = 0
        self.played = 0
        self.trimmed = 0
        self.concealed = 0
        self._gap: int | None = None  # silence since the ring ran empty
        self._ended = ended
        self._fade = np.linspace(1.0, 0.0, max(1, round(sample_rate * _FADE_S)), dtype=np.float32)[:, None]

    def expect_blocks(self, seconds: float) -> None:
        """Blocks of up to so many seconds are written, at most :data:`LONGEST_BLOCK_S`: hold so much more
        that as much is left when the next one comes as with short ones. For the writer."""
        block = round(self.sample_rate * max(USUAL_BLOCK_S, seconds))
        self._more = more = block - round(self.sample_rate * USUAL_BLOCK_S)
        target, limit = self._least
        self.target, self.limit = target + more // 2, limit + 2 * more
        self._begin = target + self.sample_rate // 100 + more
        self._most = self._begin + block

    def callback(self, out: Samples, frames: int, when: Any, _status: Any) -> None:
        """PortAudio's thread: copy, count, return."""
        if self.over:
            out.fill(0)
            return
        now = time.monotonic()
        stalled = now - self.last_callback > STALL_S
        self.last_callback = now
        self.callbacks += 1
        ring = self.ring
        if self.flushing:
            self.flushing = self.playing = False
            self._gap = None
        if not self.playing and ring.depth + self._waited(frames) >= self._begin:
            self.playing = stalled = True
            self._count_gap()
        position: int | None = None
        if self.playing:
            if stalled and ring.depth > self._most:
                self.trimmed += ring.skip_to_newest(self._begin)
            position = ring.read_position
            got = ring.read_into(out)
            self.played += got
            if got < frames:
                self.playing = False
                self.starved = True
                self._gap = frames - got
                self._die_away(out, got)
            if self.muted:
                out.fill(0)
        else:
            out.fill(0)
            if self._gap is not None:
                self._gap += frames
        self.audible.block(now, position, when.outputBufferDacTime, when.currentTime, frames)
        self.tap.given(out, now)

    def _waited(self, frames: int) -> int:
        """Samples that would have been played since the last long block came: as much less has to be there to
        begin with. Otherwise half the sound of one would be held for good, on average."""
        if not self._more:
            return 0
        end = self.ring.write_position
        self._since = self._since + frames if end == self._seen else 0
        self._seen = end
        return self._since if self.ring.depth else 0

    def _count_gap(self) -> None:
        if self._gap is not None and self._gap < PAUSE_S * self.sample_rate:
            self.concealed += self._gap
        self._gap = None

    def _die_away(self, out: Samples, got: int) -> None:
        if got:
            tail = out[got : got + len(self._fade)]
            tail[:] = out[got - 1] * self._fade[: len(tail)]

    def on_finished(self) -> None:
        """PortAudio's thread: the stream has ended, by being closed or because the device is gone."""
        self.finished = True
        self.playing = False
        self._ended()
