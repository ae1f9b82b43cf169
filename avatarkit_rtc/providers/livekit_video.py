"""The picture from a LiveKit room: the avatar's video track as a feed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from livekit import rtc

from avatarkit_rtc.providers.avatar_finder import choose_picture
from avatarkit_rtc.video.newest import NewestPicture
from avatarkit_rtc.video.path_delay import VideoPathDelay, VideoSums
from avatarkit_rtc.video.picture import Picture, PictureFormat, shaped
from avatarkit_rtc.video.prompt_time import PromptTime

_log = logging.getLogger("avatarkit_rtc")

_CLOSE_TIMEOUT_S: Final = 3.0
_UNCERTAIN: Final = 2
"""So many pictures may be on their way from the decoder to Python: they are not lost."""

_TYPES: Final[Mapping[PictureFormat, rtc.VideoBufferType.ValueType]] = {
    "i420": rtc.VideoBufferType.I420,
    "bgra": rtc.VideoBufferType.BGRA,
    "rgba": rtc.VideoBufferType.RGBA,
    "rgb24": rtc.VideoBufferType.RGB24,
}

_TURNS: Final[Mapping[Any, int]] = {
    rtc.VideoRotation.VIDEO_ROTATION_90: 1,
    rtc.VideoRotation.VIDEO_ROTATION_180: 2,
    rtc.VideoRotation.VIDEO_ROTATION_270: 3,
}


class TrackPictures:
    """The avatar's video track: its newest picture. Costs nothing until somebody iterates over it."""

    def __init__(self, track: rtc.RemoteVideoTrack) -> None:
        self._track = track
        self._newest = NewestPicture()
        self._pump: asyncio.Task[None] | None = None
        self._prompt = PromptTime()
        self._path = VideoPathDelay()
        self._ahead: int | None = None
        self._lost = 0

    @property
    def dropped(self) -> int:
        """Pictures dropped because the reader, or this machine, was too slow: between the library's decoder
        and here by its own figures, up to the last time that :meth:`path_delay_s` asked for them."""
        return self._newest.dropped + self._lost

    def pictures(self, picture_format: PictureFormat) -> AsyncIterator[Picture]:
        """The newest picture, again and again."""
        if self._pump is None and not self._newest.ended:
            self._pump = asyncio.create_task(self._read(picture_format), name="avatar video")
        return self._newest

    async def path_delay_s(self) -> float:
        """Seconds from a picture's sending to its handing out, beyond what the network takes."""
        for stats in await self._track.get_stats():
            if stats.HasField("inbound_rtp"):
                inbound = stats.inbound_rtp.inbound
                emitted = inbound.jitter_buffer_emitted_count
                self._path.update(VideoSums(inbound.jitter_buffer_target_delay, emitted))
                self._count(emitted - self._newest.arrived)
        return self._path.delay_s

    def _count(self, ahead: int) -> None:
        """The decoder has handed on ``ahead`` pictures more than came here."""
        if self._ahead is None or ahead < self._ahead:
            if self._newest.arrived:  # those from before the stream began do not count
                self._ahead = ahead
        else:
            self._lost = max(self._lost, ahead - self._ahead - _UNCERTAIN)

    def end(self) -> None:
        """No more pictures will come: the reader stops."""
        if self._newest.ended:
            return  # a second cancel() would interrupt the closing of the stream
        self._newest.end()
        if self._pump is not None:
            # LiveKit's stream does not end by itself when its track is unsubscribed.
            self._pump.cancel()

    async def aclose(self) -> None:
        """Stop and release the stream. Never raises; more than once is fine."""
        self.end()
        if self._pump is not None and self._pump is not asyncio.current_task():
            await asyncio.wait([self._pump], timeout=2 * _CLOSE_TIMEOUT_S)

    async def _read(self, picture_format: PictureFormat) -> None:
        # One picture in the library's own queue: where the event loop stood still for seconds, all of them
        # would be copied before the first is looked at.
        stream: rtc.VideoStream | None = None
        try:
            stream = rtc.VideoStream(self._track, format=_TYPES[picture_format], capacity=1)
            async for event in stream:
                self._take(event, picture_format)
        except asyncio.CancelledError:
            # Only end() cancels, and nobody awaits this task's result.
            pass
        except Exception:
            _log.exception("the avatar's video stream failed; its picture stops here")
        finally:
            self._newest.end()
            if stream is not None:
                try:
                    await asyncio.wait_for(stream.aclose(), _CLOSE_TIMEOUT_S)
                except Exception as error:
                    _log.debug("closing the avatar's video stream: %r", error)

    def _take(self, event: rtc.VideoFrameEvent, picture_format: PictureFormat) -> None:
        frame = event.frame
        t = self._prompt.moment(time.monotonic(), event.timestamp_us / 1e6)
        data = shaped(frame.data, frame.width, frame.height, picture_format)
        turns = _TURNS.get(event.rotation, 0)
        self._newest.put(Picture(t, frame.width, frame.height, picture_format, data, 90 * turns))


class PictureTrack:
    """Which of the avatar's tracks is its picture: sees that it is subscribed, and hands it on."""

    def __init__(
        self,
        *,
        on_feed: Callable[[TrackPictures, bool], None],
        on_muted: Callable[[bool], None],
        on_ended: Callable[[TrackPictures], None],
    ) -> None:
        """
        Args:
            on_feed: a feed is there; whether it is muted.
            on_muted: it was muted or unmuted.
            on_ended: it is gone; the feed is ended and has to be closed.
        """
        self._on_feed, self._on_muted, self._on_ended = on_feed, on_muted, on_ended
        self._track: rtc.RemoteVideoTrack | None = None
        self._muted = False
        self._feed: TrackPictures | None = None
        self.sid: str | None = None
        """Of the track; None while there is none."""

    def follow(
        self, publications: Mapping[str, rtc.RemoteTrackPublication], *, owned: bool
    ) -> rtc.RemoteTrackPublication | None:
        """Look at the avatar's tracks as they are now.

        Args:
            publications: by sid.
            owned: unsubscribe a track that is not the picture any longer.

        Returns:
            The publication to subscribe to, if it is not subscribed yet.
        """
        video = {sid: p for sid, p in publications.items() if p.kind == rtc.TrackKind.KIND_VIDEO}
        sid = choose_picture(((sid, publication.name) for sid, publication in video.items()), self.sid)
        if sid != self.sid:
            old = video.get(self.sid or "")
            self.drop()
            self.sid = sid
            if old is not None and owned:
                old.set_subscribed(False)
        if sid is None:
            return None
        publication = video[sid]
        track = publication.track
        if track is not self._track:
            self._end()
        if not isinstance(track, rtc.RemoteVideoTrack):
            return publication
        if self._feed is None:
            self._feed, self._track, self._muted = TrackPictures(track), track, publication.muted
            self._on_feed(self._feed, self._muted)
        elif publication.muted != self._muted:
            self._muted = publication.muted
            self._on_muted(self._muted)
        return None

    def drop(self) -> None:
        """The avatar has no picture any longer."""
        self._end()
        self.sid = None

    def _end(self) -> None:
        feed, self._feed, self._track = self._feed, None, None
        if feed is not None:
            feed.end()
            self._on_ended(feed)
