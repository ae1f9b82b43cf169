"""Sound to a LiveKit room: what is published of the user's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

import numpy as np
from livekit import rtc

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError, PublishError

_log = logging.getLogger("avatarkit_rtc")

UPLINK_QUEUE_MS: Final = 100
"""Sound queued in an uplink before ``write`` waits."""
IN_FLIGHT: Final = 8
"""Blocks of a live uplink that LiveKit has been given and has not answered for. Its answer comes from another
thread; to wait for each would make a busy interpreter lose sound."""
_PUBLISH_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 3.0
_ENCODER_S: Final = 0.04
"""Two Opus packets."""


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
        *,
        live: bool = False,
    ) -> None:
        """``live``: the source has no queue, and what is written leaves at once."""
        super().__init__(room, publication, forget)
        self._source = source
        self._live = live
        self._in_flight: deque[asyncio.Task[None]] = deque()

    async def write(self, block: AudioBlock) -> None:
        """Send ``block``; waits while more than 100 ms are queued, or 80 ms of a live uplink unanswered.

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
                if self._live:
                    await self._hand_over(frame)
                else:
                    await self._source.capture_frame(frame)
            except Exception as error:
                raise PublishError(f"the room does not take the sound: {error}; publish it anew") from error

    async def _hand_over(self, frame: rtc.AudioFrame) -> None:
        """Give LiveKit ``frame``, in order, without waiting for its answer; an error comes up here later."""
        waiting = self._in_flight
        waiting.append(asyncio.ensure_future(self._source.capture_frame(frame)))
        await asyncio.sleep(0)  # lets it begin: LiveKit has the frame before the next one comes
        while waiting and (waiting[0].done() or len(waiting) > IN_FLIGHT):
            await waiting.popleft()

    def clear(self) -> None:
        """Drop what is queued and not yet sent."""
        if not self.closed:
            self._source.clear_queue()

    async def drain(self) -> None:
        """Wait until what is queued has been sent, or the uplink is closed."""
        if not self.closed:
            await asyncio.gather(*self._in_flight, return_exceptions=True)
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
        for each in self._in_flight:
            each.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        self._in_flight.clear()


async def publish(
    room: rtc.Room, track: rtc.LocalAudioTrack, *, keep: Callable[[Coroutine[Any, Any, None]], None]
) -> rtc.LocalTrackPublication:
    """Publish ``track`` as a microphone. Safe to cancel: a publication that comes late is taken back.

    Args:
        keep: runs to its end what takes it back.

    Raises:
        PublishError: the room refused it, or did not answer.
    """
    if not room.local_participant.permissions.can_publish:
        # The SDK would wait for an answer that does not come.
        raise PublishError("the token does not allow publishing; get one with can_publish")
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    native = asyncio.ensure_future(room.local_participant.publish_track(track, options))
    try:
        publication: rtc.LocalTrackPublication = await asyncio.wait_for(
            asyncio.shield(native), _PUBLISH_TIMEOUT_S
        )
    except (asyncio.CancelledError, TimeoutError) as error:
        keep(_take_back(room, native))
        if isinstance(error, asyncio.CancelledError):
            raise
        raise PublishError(
            f"the room did not answer within {_PUBLISH_TIMEOUT_S:g} s; check that the token may publish"
        ) from None
    except Exception as error:
        raise PublishError(
            f"the room refused the track: {error}; check that the token may publish"
        ) from error
    return publication


async def _take_back(room: rtc.Room, native: asyncio.Future[Any]) -> None:
    """Nobody waits for this publication any more: unpublish it should it come."""
    done, _ = await asyncio.wait([native], timeout=_PUBLISH_TIMEOUT_S)
    if not done:
        native.cancel()
    elif not native.cancelled() and native.exception() is None:
        await unpublish(room, native.result())


async def unpublish(room: rtc.Room, publication: rtc.LocalTrackPublication) -> None:
    """Unpublish within a time limit. Never raises."""
    if not room.isconnected():
        return
    try:
        # The SDK waits for ever if the connection ends meanwhile.
        await asyncio.wait_for(room.local_participant.unpublish_track(publication.sid), _CLOSE_TIMEOUT_S)
    except Exception as error:
        _log.debug("unpublishing %s: %r", publication.name, error)
