"""Sound from a LiveKit room: the avatar's track as a feed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

import numpy as np
from livekit import rtc

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.block_queue import BlockQueue
from avatarkit_rtc.audio.neteq import TICK_S, NetEqDelay, NetEqSums, TickPhase

_log = logging.getLogger("avatarkit_rtc")

FEED_RATE: Final = 48000
"""Samples per second of a feed: what Opus decodes to, so that nothing is resampled on the way."""
FEED_BLOCKS: Final = 100
"""Blocks of 10 ms a feed keeps for a slow reader: 1 s. The oldest are dropped, and counted."""
CODEC_S: Final = 0.017
"""From a sample's sending to its handing out, beyond what a motion packet takes and what NetEQ says: the
encoder's packet, the block that NetEQ hands out, and reading it. Measured on a local server (16-18 ms)."""
_BLOCK_MS: Final = 10
_READ_MS: Final = 20
"""What is read from LiveKit at a time: as long as an Opus packet. Each read wakes the process several times,
so single blocks would cost twice as much."""
_CLOSE_TIMEOUT_S: Final = 3.0


class TrackFeed:
    """The avatar's audio track as mono blocks of 10 ms. Costs nothing until somebody iterates over it."""

    def __init__(self, track: rtc.RemoteAudioTrack, capacity: int = FEED_BLOCKS) -> None:
        self._track = track
        self._queue: BlockQueue[AudioBlock] = BlockQueue(capacity)
        self._failed = False
        self._received = 0
        self._pump: asyncio.Task[None] | None = None
        self._neteq = NetEqDelay()
        self._phase = TickPhase()
        self._last_tick: float | None = None
        self._last_packet = 0.0

    @property
    def dropped(self) -> int:
        """Blocks dropped because the reader was too slow."""
        return self._queue.dropped

    @property
    def received(self) -> int | None:
        """What the library has handed out so far, in reads; None while nobody reads, or has ended it."""
        reading = self._pump is not None and (self._failed or not self._queue.ended)
        return self._received if reading else None

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        if self._pump is None and not self._queue.ended:
            self._pump = asyncio.create_task(self._read(), name="avatar audio")
        return await self._queue.get()

    async def path_delay_s(self) -> float:
        """Seconds from a sample's sending to its handing out, beyond what a motion packet takes."""
        asked = time.monotonic()
        for stats in await self._track.get_stats():
            if stats.HasField("inbound_rtp"):
                inbound, received = stats.inbound_rtp.inbound, stats.inbound_rtp.received
                # Microseconds and milliseconds of the library's own clock: only their difference is of use.
                age = stats.inbound_rtp.rtc.timestamp / 1e6 - inbound.last_packet_received_timestamp / 1e3
                if (
                    inbound.last_packet_received_timestamp != self._last_packet
                    and self._last_tick is not None
                ):
                    self._last_packet = inbound.last_packet_received_timestamp
                    self._phase.update(asked - age, self._last_tick)
                sums = NetEqSums(
                    inbound.jitter_buffer_delay,
                    inbound.jitter_buffer_emitted_count,
                    inbound.inserted_samples_for_deceleration,
                    inbound.removed_samples_for_acceleration,
                    inbound.concealed_samples,
                )
                self._neteq.update(time.monotonic(), sums, received.jitter)
        return max(0.0, self._neteq.delay_s - TICK_S + self._phase.wait_s) + CODEC_S

    def end(self) -> None:
        """No more sound will come: the reader gets what is there and then stops."""
        if self._queue.ended:
            return  # a second cancel() would interrupt the closing of the stream
        self._queue.end()
        if self._pump is not None:
            # LiveKit's stream does not end by itself when its track is unsubscribed.
            self._pump.cancel()

    async def aclose(self) -> None:
        """Stop and release the stream. Never raises; more than once is fine."""
        self.end()
        self._queue.clear()
        if self._pump is not None and self._pump is not asyncio.current_task():
            await asyncio.wait([self._pump], timeout=2 * _CLOSE_TIMEOUT_S)

    async def _read(self) -> None:
        # The stream would drop without counting; this task empties it at once, and the bound is ours.
        # So the stream has none of its own.
        stream: rtc.AudioStream | None = None
        try:
            stream = rtc.AudioStream(
                self._track,
                sample_rate=FEED_RATE,
                num_channels=1,
                capacity=0,
                frame_size_ms=_READ_MS,
            )
            async for event in stream:
                self._take(event.frame)
            self._failed = not self._queue.ended
        except asyncio.CancelledError:
            # Only end() cancels, and nobody awaits this task's result.
            pass
        except Exception:
            self._failed = True
            _log.exception("the avatar's audio stream failed; its sound stops here")
        finally:
            self._queue.end()
            if stream is not None:
                try:
                    await asyncio.wait_for(stream.aclose(), _CLOSE_TIMEOUT_S)
                except Exception as error:
                    _log.debug("closing the avatar's audio stream: %r", error)

    def _take(self, frame: rtc.AudioFrame) -> None:
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        size = frame.sample_rate * _BLOCK_MS // 1000
        before, now = self._last_tick or 0.0, time.monotonic()
        self._last_tick = now
        self._received += 1
        for start in range(0, len(samples), size):
            # The first half was decoded earlier, and only waited for the second; not earlier than what came
            # before it, though, when the loop was held up and hears of several at once.
            t = max(before, now - max(0, len(samples) - start - size) / frame.sample_rate)
            self._queue.put(AudioBlock(samples[start : start + size], frame.sample_rate, t))
