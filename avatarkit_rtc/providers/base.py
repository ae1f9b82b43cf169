"""The seam between the player and the place an avatar comes from.

A :class:`Provider` owns a connection. It reports everything to one :class:`ProviderListener` (the player),
always on the event loop that called ``connect()``, and never lets an exception of its own reach the network
library's callbacks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from avatarkit_rtc.events import ConnectionState, DisconnectReason

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.video.picture import Picture, PictureFormat

TokenProvider: TypeAlias = Callable[[], "str | Awaitable[str]"]
"""Called at each connect and reconnect; returns a fresh join token."""


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """How to reach the avatar. What a provider does not need it ignores."""

    url: str | None = None
    """WebSocket address of the server, ``ws://`` or ``wss://``."""
    token: str | None = field(default=None, repr=False)
    """Join token. Kept out of every repr and log line."""
    room_name: str | None = None
    """Room the token is expected to admit to; None to take the token's word."""
    token_provider: TokenProvider | None = field(default=None, repr=False)
    """Called for a fresh token at each (re)connect; wins over ``token``."""
    timeout_s: float = 20.0
    """Longest time one attempt to connect may take."""


class AudioFeed(Protocol):
    """The avatar's sound: iterate over it for blocks of 10 ms; ``aclose()`` it when done."""

    def __aiter__(self) -> AsyncIterator[AudioBlock]: ...

    async def aclose(self) -> None:
        """Stop and release the stream; more than once is fine."""

    @property
    def dropped(self) -> int:
        """Blocks dropped because the reader was too slow."""

    async def path_delay_s(self) -> float:
        """Seconds from a sample's sending to its handing out here, beyond what a motion packet takes: the
        codec and the network library's own jitter buffer, as they were of late."""


class VideoFeed(Protocol):
    """The picture of a video avatar. Costs nothing until :meth:`pictures` is iterated over."""

    def pictures(self, picture_format: PictureFormat) -> AsyncIterator[Picture]:
        """The newest picture, again and again; called once. ``t`` is when it was handed out, less what it
        waited for this machine; ``presentation_time`` is None."""

    async def aclose(self) -> None:
        """Stop and release the stream; more than once is fine."""

    @property
    def dropped(self) -> int:
        """Pictures dropped because the reader, or this machine, was too slow."""

    async def path_delay_s(self) -> float:
        """Seconds from a picture's sending to its handing out here, beyond what the network takes on average,
        as it was of late."""


class PublishedTrack(Protocol):
    """Something of the user's that is published."""

    async def aclose(self) -> None:
        """Unpublish the track; more than once is fine. The track's own source stays as it is."""


class AudioUplink(PublishedTrack, Protocol):
    """A published audio track that takes the user's sound."""

    async def write(self, block: AudioBlock) -> None:
        """Send ``block``; waits (back-pressure) while too much is queued."""

    def clear(self) -> None:
        """Drop what is queued and not yet sent."""

    async def drain(self) -> None:
        """Wait until what is queued has been sent, or the track is closed."""


class ProviderListener(Protocol):
    """What a provider reports. Calls come on the event loop, must not block and must not raise."""

    def on_connection_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        """The connection changed by itself or by ``connect``/``disconnect``; ``reason`` when it went down."""

    def on_motion_packet(self, data: bytes) -> None:
        """A motion packet from the avatar, unparsed."""

    def on_avatar_joined(self, identity: str) -> None:
        """The avatar is in the room (or came back)."""

    def on_avatar_left(self, identity: str) -> None:
        """The avatar has left the room."""

    def on_audio(self, feed: AudioFeed) -> None:
        """The avatar's sound is there; the listener now owns ``feed`` and closes it."""

    def on_audio_ended(self) -> None:
        """The avatar's sound track is gone."""

    def on_token_refreshed(self) -> None:
        """The server has extended the session's token."""

    def on_provider_error(self, error: Exception) -> None:
        """Something failed that no caller is waiting for."""


class FullListener(ProviderListener, Protocol):
    """What a provider reports to a listener that takes it. Each of these may be left out; only where
    ``wants_video`` is true the three about video are called, and then all of them."""

    @property
    def wants_video(self) -> bool:
        """Whether a video avatar's picture is of any use; where not, it is not fetched from the room."""

    def on_video(self, feed: VideoFeed, *, muted: bool) -> None:
        """The avatar has a picture (again); the listener now owns ``feed`` and closes it."""

    def on_video_muted(self, muted: bool) -> None:
        """The avatar sends no pictures for now, or does so again."""

    def on_video_ended(self) -> None:
        """The avatar's picture is gone."""

    def on_audio_stalled(self, seconds: float) -> None:
        """The avatar's sound track has handed out nothing for so long, not even silence. It is fetched anew:
        :meth:`on_audio_ended` has come, and :meth:`on_audio` will."""

    def on_message(self, data: bytes, sender: str) -> None:
        """Data that is no motion, from the avatar or the agent that it speaks for."""

    def on_timed_motion_packet(self, data: bytes, t: float) -> None:
        """As :meth:`on_motion_packet`, from a provider that keeps time itself: it was due at ``t``, monotonic
        seconds, and this program's being late is not to be taken for the network's."""

    def on_interrupted(self) -> None:
        """The avatar was interrupted: drop the motion and sound that were reported and are not shown yet, and
        the rest of this round."""


@runtime_checkable
class Provider(Protocol):
    """Where an avatar comes from."""

    def set_listener(self, listener: ProviderListener | None) -> None:
        """Report to ``listener`` from now on."""

    @property
    def owns_connection(self) -> bool:
        """False for a borrowed connection, which can be neither opened nor rebuilt from here."""

    async def connect(self, config: ConnectionConfig) -> None:
        """Connect. Safe to cancel: a result that comes late is cleaned up.

        Raises:
            ConnectError: it did not work; the message says why.
            ConfigurationError: ``config`` cannot be right.
        """

    async def disconnect(self) -> None:
        """Take everything down. Never raises, may be called at any time and more than once."""

    def get_connection_state(self) -> ConnectionState:
        """The state of the connection now."""

    def get_native_client(self) -> Any:
        """The object of the underlying library (``livekit.rtc.Room``), or None."""

    async def open_uplink(
        self, *, name: str, sample_rate: int, channels: int, live: bool = False
    ) -> AudioUplink:
        """Publish an audio track named ``name`` and return what takes its sound.

        Args:
            live: blocks of 10 ms come from a clock of their own (a microphone), so nothing is queued or
                paced on the way.

        Raises:
            NotConnectedError: not connected.
            PublishError: the room refused the track.
        """

    async def publish_track(self, track: Any) -> PublishedTrack:
        """Publish a ready track of the underlying library (``livekit.rtc.LocalAudioTrack``).

        Raises:
            NotConnectedError: not connected.
            PublishError: this provider has no such tracks, or the room refused it.
        """
