"""Sound to and from a LiveKit room: the avatar's track as a feed, the user's as an uplink."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import numpy as np
from livekit import rtc

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.neteq import TICK_S, NetEqDelay, NetEqSums, TickPhase
from avatarkit_rtc.errors import ConfigurationError, PublishError

_log = logging.getLogger("avatarkit_rtc")

FEED_RATE: Final = 48000
"""Samples per second of a feed: what Opus decodes to, so that nothing is resampled on the way."""
FEED_BLOCKS: Final = 100
"""Blocks of 10 ms a feed keeps for a slow reader: 1 s. The oldest are dropped, and counted."""
UPLINK_QUEUE_MS: Final = 100
"""Sound queued in an uplink before ``write`` waits."""
CODEC_S: Final = 0.017
"""From a sample's sending to its handing out, beyond what a motion packet takes and what NetEQ says: the
encoder's packet, the block that NetEQ hands out, and reading it. Measured on a local server (16-18 ms)."""
_BLOCK_MS: Final = 10
_READ_MS: Final = 20
"""What is read from LiveKit at a time: as long as an Opus packet. Each read wakes the process several times,
so single blocks would cost twice as much."""
_CLOSE_TIMEOUT_S: Final = 3.0
_ENCODER_S: Final = 0.04
"""Two Opus packets."""


class TrackFeed:
    """The avatar's audio track as mono blocks of 10 ms. Costs nothing until somebody iterates over it."""

    def __init__(self, track: rtc.RemoteAudioTrack, capacity: int = FEED_BLOCKS) -> None:
        self._track = track
        self._blocks: deque[AudioBlock] = deque(maxlen=capacity)
        self._dropped = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._pump: asyncio.Task[None] | None = None
        self._neteq = NetEqDelay()
        self._phase = TickPhase()
        self._last_tick: float | None = None
        self._last_packet = 0.0

    @property
    def dropped(self) -> int:
        """Blocks dropped because the reader was too slow."""
        return self._dropped

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        if self._pump is None and not self._ended:
            self._pump = asyncio.create_task(self._read(), name="avatar audio")
        while not self._blocks:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._blocks.popleft()

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
        if self._ended:
            return  # a second cancel() would interrupt the closing of the stream
        self._ended = True
        self._wake.set()
        if self._pump is not None:
            # LiveKit's stream does not end by itself when its track is unsubscribed.
            self._pump.cancel()

    async def aclose(self) -> None:
        """Stop and release the stream. Never raises; more than once is fine."""
        self.end()
        self._blocks.clear()
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
        except asyncio.CancelledError:
            # Only end() cancels, and nobody awaits this task's result.
            pass
        except Exception:
            _log.exception("the avatar's audio stream failed; its sound stops here")
        finally:
            self._ended = True
            self._wake.set()
            if stream is not None:
                try:
                    await asyncio.wait_for(stream.aclose(), _CLOSE_TIMEOUT_S)
                except Exception as error:
                    _log.debug("closing the avatar's audio stream: %r", error)

    def _take(self, frame: rtc.AudioFrame) -> None:
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        size = frame.sample_rate * _BLOCK_MS // 1000
        now = self._last_tick = time.monotonic()
        for start in range(0, len(samples), size):
            self._dropped += len(self._blocks) == self._blocks.maxlen
            # The first half was decoded earlier, and only waited for the second.
            t = now - max(0, len(samples) - start - size) / frame.sample_rate
            self._blocks.append(AudioBlock(samples[start : start + size], frame.sample_rate, t))
        self._wake.set()


class RoomTrack:
    """A published local track. Closing it unpublishes; whatever feeds the track stays as it is."""

    def __init__(
        self, room: rtc.Room, publication: rtc.LocalTrackPublication, forget: Callable[[RoomTrack], None]
    ) -> None:
        self._room = room
        self._publication = publication
        self._forget = forget
        self._closed = False

    @property
    def closed(self) -> bool:
        """True once closed from either side."""
        return self._closed

    def mark_closed(self) -> None:
        """The room is gone, and the publication with it."""
        self._closed = True

    async def aclose(self) -> None:
        """Unpublish. Never raises; more than once is fine."""
        if self._closed:
            return
        self._closed = True
        self._forget(self)
        await unpublish(self._room, self._publication)


class SourceUplink(RoomTrack):
    """A published track of our own that takes sound block by block."""

    def __init__(
        self,
        room: rtc.Room,
        publication: rtc.LocalTrackPublication,
        forget: Callable[[RoomTrack], None],
        source: rtc.AudioSource,
    ) -> None:
        super().__init__(room, publication, forget)
        self._source = source

    async def write(self, block: AudioBlock) -> None:
        """Send ``block``; waits while more than 100 ms are queued.

        Raises:
            PublishError: the uplink is closed, or the room does not take the sound.
            ConfigurationError: the block's rate or channels are not the uplink's.
        """
        samples = block.samples
        if samples.ndim != 2 or samples.shape[1] != self._source.num_channels:
            raise ConfigurationError(
                f"this uplink takes {self._source.num_channels} channels, shape (n, "
                f"{self._source.num_channels}), not shape {samples.shape}"
            )
        if block.sample_rate != self._source.sample_rate:
            raise ConfigurationError(
                f"this uplink takes {self._source.sample_rate} samples per second, not {block.sample_rate}"
            )
        # In pieces the queue has room for, so that closing and clear() need not wait for a long block.
        size = self._source.sample_rate * UPLINK_QUEUE_MS // 2000
        for start in range(0, len(samples), size):
            if self.closed:
                raise PublishError("the uplink is closed; open a new one")
            piece = np.ascontiguousarray(samples[start : start + size], np.int16)
            frame = rtc.AudioFrame(piece.tobytes(), block.sample_rate, piece.shape[1], len(piece))
            try:
                await self._source.capture_frame(frame)
            except Exception as error:
                raise PublishError(f"the room does not take the sound: {error}; publish it anew") from error

    def clear(self) -> None:
        """Drop what is queued and not yet sent."""
        if not self.closed:
            self._source.clear_queue()

    async def drain(self) -> None:
        """Wait until what is queued has been sent, or the uplink is closed."""
        if not self.closed:
            await self._source.wait_for_playout()
            # The encoder still holds the last packet when the queue is empty.
            await asyncio.sleep(_ENCODER_S)

    def mark_closed(self) -> None:
        """The room is gone."""
        super().mark_closed()
        # Lets go of a write that waits for room in the queue.
        with contextlib.suppress(Exception):
            self._source.clear_queue()

    async def aclose(self) -> None:
        """Unpublish and release the source, which is our own. Never raises; more than once is fine."""
        if not self.closed:
            with contextlib.suppress(Exception):
                self._source.clear_queue()
            await super().aclose()
            with contextlib.suppress(Exception):
                await self._source.aclose()


async def unpublish(room: rtc.Room, publication: rtc.LocalTrackPublication) -> None:
    """Unpublish within a time limit. Never raises."""
    if not room.isconnected():
        return
    try:
        # The SDK waits for ever if the connection ends meanwhile.
        await asyncio.wait_for(room.local_participant.unpublish_track(publication.sid), _CLOSE_TIMEOUT_S)
    except Exception as error:
        _log.debug("unpublishing %s: %r", publication.name, error)
