"""A provider without an avatar: tests say what it reports, and see what it was asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import NotConnectedError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.packet import encode_frame, encode_message
from avatarkit_rtc.providers.base import (
    AudioUplink,
    ConnectionConfig,
    FullListener,
    ProviderListener,
    PublishedTrack,
)
from avatarkit_rtc.providers.bounded_feed import BoundedAudioFeed
from avatarkit_rtc.video.newest import NewestPicture
from avatarkit_rtc.video.picture import Picture, PictureFormat

_KEPT_BLOCKS = 10_000


class MockUplink:
    """A published track of the user's, as :class:`MockProvider` hands it out."""

    def __init__(self, name: str, sample_rate: int, channels: int, live: bool = False) -> None:
        self.name, self.sample_rate, self.channels, self.live = name, sample_rate, channels, live
        self.blocks: deque[AudioBlock] = deque(maxlen=_KEPT_BLOCKS)
        """What was written, newest 10 000 blocks."""
        self.cleared = 0
        """How often :meth:`clear` was called."""
        self.drained = 0
        """How often :meth:`drain` was called."""
        self.closed = False

    async def write(self, block: AudioBlock) -> None:
        """Keep ``block``; never waits for long."""
        self.blocks.append(block)
        await asyncio.sleep(0)

    def clear(self) -> None:
        """Count the call; what was written stays."""
        self.cleared += 1

    async def drain(self) -> None:
        """Count the call; nothing is queued here."""
        self.drained += 1

    async def aclose(self) -> None:
        """Mark as closed."""
        self.closed = True


class MockTrack:
    """A track published with :meth:`MockProvider.publish_track`."""

    def __init__(self, track: Any) -> None:
        self.track = track
        self.closed = False

    async def aclose(self) -> None:
        """Mark as closed."""
        self.closed = True


class MockVideoFeed:
    """A video avatar's picture, as :class:`MockProvider` hands it out."""

    def __init__(self) -> None:
        self.newest = NewestPicture()
        """What is fed and not yet read."""
        self.format: PictureFormat | None = None
        """What the player asked for."""
        self.closed = False

    @property
    def dropped(self) -> int:
        """Pictures that a newer one replaced before they were read."""
        return self.newest.dropped

    def pictures(self, picture_format: PictureFormat) -> AsyncIterator[Picture]:
        """The newest picture, again and again."""
        self.format = picture_format
        return self.newest

    async def path_delay_s(self) -> float:
        """Nothing lies between sending and handing out."""
        return 0.0

    async def aclose(self) -> None:
        """Mark as closed."""
        self.closed = True
        self.newest.end()


class MockProvider:
    """A :class:`~avatarkit_rtc.providers.base.Provider` for tests of programs that use a player.

    provider = MockProvider()
    player = AvatarPlayer(provider, view)
    await player.connect()
    provider.avatar_joins()
    provider.feed_frame(0, MotionFrame.neutral(), start=True)
    provider.set_state(ConnectionState.RECONNECTING)
    """

    def __init__(
        self,
        *,
        avatar_identity: str = "mock-avatar",
        owns_connection: bool = True,
        native_client: Any = None,
        connect_delay: float = 0.0,
    ) -> None:
        """
        Args:
            avatar_identity: the avatar's name in the room.
            owns_connection: False to behave like a provider with a borrowed connection.
            native_client: what ``get_native_client()`` returns while connected.
            connect_delay: how many seconds ``connect()`` takes; may be changed at any time.
        """
        self.avatar_identity = avatar_identity
        self.connect_delay = connect_delay
        self.calls: list[str] = []
        """What the player called, in order: connect, disconnect, open_uplink, publish_track."""
        self.configs: list[ConnectionConfig] = []
        """What each ``connect()`` was given."""
        self.uplinks: list[MockUplink] = []
        """Tracks that were opened for the user's sound."""
        self.tracks: list[MockTrack] = []
        """Ready tracks that were published."""
        self.publish_error: Exception | None = None
        """Raised by ``open_uplink()`` and ``publish_track()`` when set."""
        self._owns_connection = owns_connection
        self._native_client = native_client
        self._failures: deque[Exception] = deque()
        self._listener: ProviderListener | None = None
        self._state = ConnectionState.DISCONNECTED
        self._feed: BoundedAudioFeed | None = None
        self._video: MockVideoFeed | None = None

    # What a test says

    def fail_next_connect(self, error: Exception, times: int = 1) -> None:
        """The next ``times`` calls of ``connect()`` raise ``error``."""
        self._failures.extend([error] * times)

    def set_state(self, state: ConnectionState, reason: DisconnectReason | None = None) -> None:
        """The connection changes by itself."""
        self._state = state
        if self._listener is not None:
            self._listener.on_connection_state(state, reason)

    def avatar_joins(self, identity: str | None = None) -> None:
        """The avatar comes into the room."""
        if identity is not None:
            self.avatar_identity = identity
        if self._listener is not None:
            self._listener.on_avatar_joined(self.avatar_identity)

    def avatar_leaves(self) -> None:
        """The avatar leaves the room; its sound and its picture end."""
        self.end_audio()
        self.end_video()
        if self._listener is not None:
            self._listener.on_avatar_left(self.avatar_identity)

    def feed_packet(self, data: bytes) -> None:
        """A motion packet arrives; :mod:`avatarkit_rtc.motion.packet` encodes them."""
        if self._listener is not None:
            self._listener.on_motion_packet(data)

    def feed_frame(self, seq: int, frame: MotionFrame, *, start: bool = False, end: bool = False) -> None:
        """A frame packet arrives."""
        self.feed_packet(encode_frame(seq, encode_message(frame), start=start, end=end))

    def feed_audio(self, samples: npt.NDArray[np.int16], sample_rate: int = 48000) -> None:
        """Sound of the avatar arrives: shape (n,) or (n, channels). The first opens the feed."""
        if self._feed is None:
            self._feed = BoundedAudioFeed()
            if self._listener is not None:
                self._listener.on_audio(self._feed)
        shaped = samples.reshape(-1, 1) if samples.ndim == 1 else samples
        self._feed.feed(shaped, sample_rate, asyncio.get_running_loop().time())

    def end_audio(self) -> None:
        """The avatar's sound track is gone; does nothing when there was none."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.end()
            if self._listener is not None:
                self._listener.on_audio_ended()

    def start_video(self, *, muted: bool = False) -> MockVideoFeed:
        """The avatar has a picture from now on."""
        self.end_video()
        feed = self._video = MockVideoFeed()
        if (listener := self._video_listener) is not None:
            listener.on_video(feed, muted=muted)
        return feed

    def feed_picture(self, picture: Picture) -> None:
        """A picture of a video avatar arrives. The first opens the feed."""
        feed = self._video if self._video is not None else self.start_video()
        feed.newest.put(picture)

    def mute_video(self, muted: bool) -> None:
        """The avatar sends no pictures for now, or does so again."""
        if (listener := self._video_listener) is not None and self._video is not None:
            listener.on_video_muted(muted)

    def end_video(self) -> None:
        """The avatar's picture is gone; does nothing when there was none."""
        feed, self._video = self._video, None
        if feed is not None:
            feed.newest.end()
            if (listener := self._video_listener) is not None:
                listener.on_video_ended()

    def feed_message(self, data: bytes, sender: str | None = None) -> None:
        """Data that is no motion arrives, from the avatar unless ``sender`` is given."""
        on_message = getattr(self._listener, "on_message", None)
        if on_message is not None:
            on_message(data, self.avatar_identity if sender is None else sender)

    @property
    def _video_listener(self) -> FullListener | None:
        wants = getattr(self._listener, "wants_video", False)
        return cast("FullListener", self._listener) if wants else None

    def refresh_token(self) -> None:
        """The server extends the token."""
        if self._listener is not None:
            self._listener.on_token_refreshed()

    def report_error(self, error: Exception) -> None:
        """Something fails that no caller is waiting for."""
        if self._listener is not None:
            self._listener.on_provider_error(error)

    # What a player calls

    def set_listener(self, listener: ProviderListener | None) -> None:
        """Report to ``listener`` from now on."""
        self._listener = listener

    @property
    def owns_connection(self) -> bool:
        """As given."""
        return self._owns_connection

    async def connect(self, config: ConnectionConfig) -> None:
        """Connect after ``connect_delay``, or raise what :meth:`fail_next_connect` said."""
        self.calls.append("connect")
        self.configs.append(config)
        self.set_state(ConnectionState.CONNECTING)
        try:
            await asyncio.sleep(self.connect_delay)
            if self._failures:
                raise self._failures.popleft()
        except BaseException as exc:
            if isinstance(exc, Exception):
                self.set_state(ConnectionState.FAILED, DisconnectReason.JOIN_FAILURE)
            else:
                self.set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
            raise
        self.set_state(ConnectionState.CONNECTED)

    async def disconnect(self) -> None:
        """Disconnect; the sound ends and the user's tracks are closed."""
        self.calls.append("disconnect")
        self.end_audio()
        self.end_video()
        for uplink in self.uplinks:
            uplink.closed = True
        for track in self.tracks:
            track.closed = True
        if self._state is not ConnectionState.DISCONNECTED:
            self.set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)

    def get_connection_state(self) -> ConnectionState:
        """The state of the connection now."""
        return self._state

    def get_native_client(self) -> Any:
        """As given, while connected."""
        return self._native_client if self._state is ConnectionState.CONNECTED else None

    async def open_uplink(
        self, *, name: str, sample_rate: int, channels: int, live: bool = False
    ) -> AudioUplink:
        """A :class:`MockUplink`, also in :attr:`uplinks`."""
        self.calls.append("open_uplink")
        self._check_publish()
        uplink = MockUplink(name, sample_rate, channels, live)
        self.uplinks.append(uplink)
        return uplink

    async def publish_track(self, track: Any) -> PublishedTrack:
        """A :class:`MockTrack`, also in :attr:`tracks`."""
        self.calls.append("publish_track")
        self._check_publish()
        published = MockTrack(track)
        self.tracks.append(published)
        return published

    def _check_publish(self) -> None:
        if self._state is not ConnectionState.CONNECTED:
            raise NotConnectedError("connect() before publishing")
        if self.publish_error is not None:
            raise self.publish_error
