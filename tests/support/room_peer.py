"""The other side of a LiveKit room in tests: a plain participant, and a listener that takes notes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from livekit import rtc

from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.avatar_finder import MOTION_TOPIC
from avatarkit_rtc.providers.base import AudioFeed, VideoFeed
from avatarkit_rtc.providers.livekit_room import OwnRoom
from tests.support.livekit import LiveKitServer, mint_token

RATE = 48000


class Peer:
    """A participant made with the plain SDK; an async context manager."""

    def __init__(
        self,
        server: LiveKitServer,
        room_name: str,
        identity: str = "spatialreal-avatar",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self.room = OwnRoom()
        self.identity = identity
        self._url = server.url
        self._token = mint_token(server, room_name, identity, attributes=attributes)
        self._speaking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.room.connect(self._url, self._token)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def send(self, data: bytes, topic: str = MOTION_TOPIC, *, reliable: bool = True) -> None:
        await self.room.local_participant.publish_data(data, reliable=reliable, topic=topic)

    async def speak(self, name: str = "egress-audio", tone_hz: float = 440.0) -> rtc.LocalTrackPublication:
        """Publish an audio track with a tone on it."""
        source = rtc.AudioSource(RATE, 1, 200)
        track = rtc.LocalAudioTrack.create_audio_track(name, source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(track, options)
        self._speaking.append(asyncio.create_task(play_tone(source, tone_hz)))
        return publication

    async def show(self, name: str = "egress-animation") -> rtc.LocalTrackPublication:
        """Publish a video track with a few grey pictures on it."""
        source = rtc.VideoSource(64, 64)
        track = rtc.LocalVideoTrack.create_video_track(name, source)
        publication = await self.room.local_participant.publish_track(track)

        async def picture() -> None:
            frame = rtc.VideoFrame(64, 64, rtc.VideoBufferType.RGBA, bytes(64 * 64 * 4))
            while True:
                source.capture_frame(frame)
                await asyncio.sleep(0.1)

        self._speaking.append(asyncio.create_task(picture()))
        return publication

    async def leave(self) -> None:
        for task in self._speaking:
            task.cancel()
        await asyncio.gather(*self._speaking, return_exceptions=True)
        self._speaking.clear()
        await self.room.disconnect()


async def play_tone(source: rtc.AudioSource, tone_hz: float) -> None:
    position = 0
    while True:
        samples = np.sin(2 * np.pi * tone_hz * (position + np.arange(480)) / RATE) * 8000
        position += 480
        await source.capture_frame(rtc.AudioFrame(samples.astype(np.int16).tobytes(), RATE, 1, 480))


class Notes:
    """A :class:`ProviderListener` that writes everything down."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.packets: list[bytes] = []
        self.feeds: list[AudioFeed] = []
        self.errors: list[Exception] = []
        self.pictures: list[VideoFeed] = []
        self.messages: list[tuple[bytes, str]] = []
        self.wants_video = False

    def on_connection_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        self.events.append(("state", state) if reason is None else ("state", state, reason))

    def on_motion_packet(self, data: bytes) -> None:
        self.packets.append(data)

    def on_avatar_joined(self, identity: str) -> None:
        self.events.append(("joined", identity))

    def on_avatar_left(self, identity: str) -> None:
        self.events.append(("left", identity))

    def on_audio(self, feed: AudioFeed) -> None:
        self.events.append(("audio",))
        self.feeds.append(feed)

    def on_audio_ended(self) -> None:
        self.events.append(("audio ended",))

    def on_video(self, feed: VideoFeed, *, muted: bool) -> None:
        self.events.append(("video", muted))
        self.pictures.append(feed)

    def on_video_muted(self, muted: bool) -> None:
        self.events.append(("video muted", muted))

    def on_video_ended(self) -> None:
        self.events.append(("video ended",))

    def on_message(self, data: bytes, sender: str) -> None:
        self.messages.append((data, sender))

    def on_token_refreshed(self) -> None:
        self.events.append(("token refreshed",))

    def on_provider_error(self, error: Exception) -> None:
        self.errors.append(error)

    def named(self, *names: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] in names]

    @property
    def states(self) -> list[ConnectionState]:
        return [event[1] for event in self.named("state")]


async def listen(feed: AudioFeed, blocks: int = 50, timeout_s: float = 10.0) -> np.ndarray[Any, Any]:
    """The samples of the next ``blocks`` blocks, shape (n,); fewer if the feed ends."""
    heard: list[np.ndarray[Any, Any]] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            async for block in feed:
                heard.append(block.samples[:, 0])
                if len(heard) == blocks:
                    break
    return np.concatenate(heard) if heard else np.zeros(0, np.int16)


def pitch(samples: np.ndarray[Any, Any], rate: int = RATE) -> float:
    """The strongest frequency in ``samples``, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


async def tone_of(feed: AudioFeed, blocks: int = 100, timeout_s: float = 15.0) -> float:
    """The strongest frequency of the next ``blocks`` blocks, in Hz; 0 if only silence comes. They begin with
    the first that is not silent: a voice may begin a while after its track."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            async for block in feed:
                if np.abs(block.samples.astype(int)).max() > 500:
                    return pitch(await listen(feed, blocks, timeout_s))
    return 0.0
