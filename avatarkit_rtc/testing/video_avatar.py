"""A stand-in for a video avatar: publishes a real picture, with a flash at the very moment of each beep."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from livekit import rtc

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.beeps import BEEP_HZ
from avatarkit_rtc.testing.room import RoomTransport, TokenSource
from avatarkit_rtc.testing.stand_in import SessionClock
from avatarkit_rtc.video.picture import Picture

VIDEO_AVATAR_IDENTITY: Final = "stand-in-avatar-agent"
"""Identity that such an avatar may join with; with the token of :func:`avatar_token` it is recognised by its
attribute, whatever its identity."""
PICTURE_TRACK: Final = "avatar-picture"
"""Name of its video track."""
FLASH_S: Final = 0.12
"""Length of a flash and of its beep."""
DARK, BRIGHT = 40, 235
"""Brightness (Y) of the picture without and with a flash."""

_BLOCK_S: Final = 0.020
_MAX_CATCH_UP_S: Final = 0.1
_LOUDNESS: Final = 16000
_BAR: Final = 16


class VideoAvatar:
    """Flashes and beeps in a LiveKit room::

        async with VideoAvatar(url, avatar_token(key, secret, "my-room")) as avatar:
            await avatar.run(seconds=10)

    The picture is dark grey with a bar that moves, so that no two are alike.
    """

    def __init__(
        self,
        url: str,
        token: TokenSource,
        *,
        size: tuple[int, int] = (640, 480),
        fps: float = 25.0,
        every_s: float = 1.0,
        sample_rate: int = 24000,
        codec: str = "vp8",
        on_flash: Callable[[float], object] = lambda moment: None,
    ) -> None:
        """
        Args:
            url: WebSocket address of the server.
            token: join token, or what makes one.
            size: width and height of the picture in pixels, even.
            fps: pictures a second.
            every_s: seconds from a flash to the next.
            sample_rate: samples per second of the sound.
            codec: ``vp8``, ``vp9``, ``h264`` or ``av1``.
            on_flash: called with the moment of each flash, in monotonic seconds.

        Raises:
            ConfigurationError: an argument is out of range.
        """
        if size[0] % 2 or size[1] % 2 or min(size) < 32:
            raise ConfigurationError(f"a picture's sides are even and 32 or more, not {size!r}")
        if not 1 <= fps <= 60 or not every_s > 2 * FLASH_S:
            raise ConfigurationError(f"fps is 1 to 60, and every_s more than {2 * FLASH_S:g}")
        if f"{codec.upper()}" not in rtc.VideoCodec.keys():  # noqa: SIM118 - a protobuf enum
            raise ConfigurationError(f"there is no codec {codec!r}")
        self._transport = RoomTransport(url, token, sample_rate=sample_rate, pseudo_video=False)
        self._size, self._fps, self._every_s, self._rate = size, fps, every_s, sample_rate
        self._codec = rtc.VideoCodec.Value(codec.upper())
        self._on_flash = on_flash
        self._source: rtc.VideoSource | None = None
        self._publication: rtc.LocalTrackPublication | None = None
        self.pictures = 0
        """Pictures sent."""
        self.flashes = 0
        """Flashes begun."""

    @property
    def room(self) -> rtc.Room | None:
        """The LiveKit room, once joined."""
        return self._transport.room

    async def connect(self) -> None:
        """Join and publish both tracks.

        Raises:
            ConnectError: it did not work; the message says why.
        """
        await self._transport.connect()
        await self.publish_picture()

    async def publish_picture(self) -> None:
        """Publish the picture's track; :meth:`connect` has done so."""
        room = self._transport.room
        assert room is not None
        self._source = rtc.VideoSource(*self._size)
        track = rtc.LocalVideoTrack.create_video_track(PICTURE_TRACK, self._source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, video_codec=self._codec
        )
        self._publication = await room.local_participant.publish_track(track, options)

    async def unpublish_picture(self) -> None:
        """Take the picture's track back; the sound goes on."""
        publication, self._publication = self._publication, None
        source, self._source = self._source, None
        if publication is not None and self._transport.room is not None:
            await self._transport.room.local_participant.unpublish_track(publication.sid)
        if source is not None:
            await source.aclose()

    def mute_picture(self, muted: bool) -> None:
        """Mute or unmute the picture's track."""
        track: Any = self._publication.track if self._publication is not None else None
        if track is not None:
            track.mute() if muted else track.unmute()

    async def send_message(self, data: bytes) -> None:
        """Send a data message, reliably."""
        assert self._transport.room is not None
        await self._transport.room.local_participant.publish_data(data, reliable=True)

    async def run(self, seconds: float = math.inf) -> None:
        """Send pictures and sound for so long. After a hiccup of this machine of more than 0.1 s both go on
        later, together."""
        clock = SessionClock(asyncio.get_running_loop().time() + 0.05)
        parts = [
            asyncio.create_task(self._show(clock, seconds), name="stand-in picture"),
            asyncio.create_task(self._beep(clock, seconds), name="stand-in beeps"),
        ]
        try:
            await asyncio.gather(*parts)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)

    async def aclose(self) -> None:
        """Leave. More than once is fine; never raises."""
        self._publication = None
        await self._transport.aclose()
        source, self._source = self._source, None
        if source is not None:
            await source.aclose()

    async def __aenter__(self) -> VideoAvatar:
        try:
            await self.connect()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # -- inside ----------------------------------------------------------------------------------------------

    async def _show(self, clock: SessionClock, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        number, flashing = 0, False
        while (offset := number / self._fps) < seconds:
            await _until(clock, offset)
            now = loop.time()
            clock.keep_up(offset, now, _MAX_CATCH_UP_S)
            flash = is_flash_time(offset, self._every_s)
            if flash and not flashing:
                self.flashes += 1
                self._on_flash(now)
            flashing = flash
            if self._source is not None:
                self._source.capture_frame(self._picture(number, flash))
                self.pictures += 1
            number += 1

    async def _beep(self, clock: SessionClock, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        lead, size = self._transport.audio_lead_s, round(_BLOCK_S * self._rate)
        number = 0
        while (offset := number * _BLOCK_S) < seconds:
            await _until(clock, offset - lead)
            clock.keep_up(offset - lead, loop.time(), _MAX_CATCH_UP_S)
            await self._transport.send_audio(self._sound(number * size, size), self._rate)
            number += 1

    def _picture(self, number: int, flash: bool) -> rtc.VideoFrame:
        width, height = self._size
        data = np.full(width * height * 3 // 2, 128, np.uint8)
        luma = data[: width * height].reshape(height, width)
        luma[:] = BRIGHT if flash else DARK
        at = 7 * number % (width - _BAR)
        luma[:, at : at + _BAR] = 120
        return rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, bytearray(data))

    def _sound(self, start: int, size: int) -> npt.NDArray[np.int16]:
        t = np.arange(start, start + size) / self._rate
        into = np.round(t % self._every_s, 6)
        beep = _LOUDNESS * np.sin(2 * np.pi * BEEP_HZ * t) * (into < FLASH_S)
        return beep.astype(np.int16)


def is_flash_time(t: float, every_s: float = 1.0) -> bool:
    """Whether there is a flash ``t`` seconds after the beginning."""
    return round(t % every_s, 6) < FLASH_S


def is_flash(picture: Picture) -> bool:
    """Whether a picture of a :class:`VideoAvatar` that was received is one of a flash."""
    if picture.format == "i420":
        brightness = picture.data[: picture.width * picture.height : 997]
    else:
        brightness = picture.data[::7, ::11, 1]
    return float(brightness.mean()) > (DARK + BRIGHT) / 2


async def _until(clock: SessionClock, offset: float) -> None:
    """Sleep until ``offset`` is due, which may move meanwhile."""
    loop = asyncio.get_running_loop()
    wait = 1.0
    while wait > 0:
        wait = clock.due(offset) - loop.time()
        await asyncio.sleep(max(0.0, wait))
