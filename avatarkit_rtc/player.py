"""The player: what a program calls, and when it may."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Self

from avatarkit_rtc.audio.devices import DeviceSpec
from avatarkit_rtc.audio.received import DEFAULT_MAX_BLOCKS, ReceivedAudioStream
from avatarkit_rtc.emitter import Handler
from avatarkit_rtc.errors import AvatarTimeoutError, ConfigurationError, NotConnectedError
from avatarkit_rtc.events import EVENTS, ConnectionState
from avatarkit_rtc.options import LOG_LEVELS, AvatarPlayerOptions
from avatarkit_rtc.player_parts import PlayerParts
from avatarkit_rtc.player_stats import PlayerStats
from avatarkit_rtc.providers.base import ConnectionConfig, Provider, TokenProvider
from avatarkit_rtc.views import View


class AvatarPlayer:
    """Plays one avatar.

    ::

        async with AvatarPlayer(LiveKitProvider(), view) as player:
            await player.connect(url=url, token=token)
            await player.wait_closed()

    All methods belong on the event loop that called :meth:`connect`. Handlers (:meth:`on`) may be sync or
    async.

    What happens when:

    * ``connect`` while connected or connecting: AlreadyConnectedError, and nothing changes.
    * ``disconnect`` during ``connect`` or ``reconnect``: these raise ConnectAbortedError; disconnected.
    * ``connect`` or ``reconnect`` cancelled: as if ``disconnect`` had been called.
    * ``connect`` fails: it raises; the state is ``failed``, and nothing is left over.
    * ``reconnect`` while one runs: one rejoin, and both calls return together.
    * ``reconnect`` before the first ``connect``: NotConnectedError. After ``disconnect``: joins again.
    * ``reconnect`` fails: it raises; ``disconnected``, and the state is ``failed``.
    * ``disconnect`` when disconnected: nothing.
    * publishing before ``connect``: NotConnectedError.
    * ``stop_publishing`` during ``start_publishing``, ``unpublish_audio`` during ``publish_audio``: these
      raise PublishError; once the former has returned, nothing is sent.
    * the server ends the room: ``disconnected`` with the reason; idle face. The speaker and what is published
      wait for ``reconnect`` or ``disconnect``.
    * the avatar leaves: ``avatar-left``; an open round ends; idle face.
    * the avatar comes back: ``avatar-joined``; its next round plays.
    * a second avatar joins: ignored while the first one stays.

    The view gets poses from ``connect`` on until ``disconnect``, which shows the way to idle and then stops.
    """

    def __init__(
        self,
        provider: Provider,
        view: View | None = None,
        *,
        options: AvatarPlayerOptions | None = None,
        **changes: Any,
    ) -> None:
        """
        Args:
            provider: where the avatar comes from. One player per provider.
            view: what shows it; None to only listen. The player does not close it.
            options: all options at once.
            **changes: options by name, over those of ``options``; see :class:`AvatarPlayerOptions`.

        Raises:
            ConfigurationError: an option is unknown or out of range, or the view has no ``show``.
        """
        if view is not None and not callable(getattr(view, "show", None)):
            raise ConfigurationError("a view needs a method show(pose)")
        self.options = (options or AvatarPlayerOptions()).replaced(changes)
        """The options in force."""
        logging.getLogger("avatarkit_rtc").setLevel(LOG_LEVELS[self.options.log_level])
        self._provider = provider
        parts = self._parts = PlayerParts(provider, view, self.options)
        self._hub, self._connection = parts.hub, parts.connection
        self._motion, self._sound = parts.motion, parts.sound
        attached = getattr(view, "attached", None)
        if callable(attached):
            attached(self)

    # -- connection ------------------------------------------------------------------------------------------

    async def connect(
        self,
        config: ConnectionConfig | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
        room_name: str | None = None,
        token_provider: TokenProvider | None = None,
        timeout: float = 20.0,
    ) -> None:
        """Join the room.

        Args:
            config: everything at once, instead of the arguments that follow.
            url: address of the server, ``ws://`` or ``wss://``.
            token: join token.
            room_name: the room the token should admit to; None to take its word.
            token_provider: called for a fresh token now and at each reconnect, instead of ``token``.
            timeout: longest time this may take, in seconds.

        Raises:
            AlreadyConnectedError: connected or connecting.
            ConfigurationError: the arguments cannot be right.
            ConnectError: it did not work; ConnectTimeoutError and ConnectAbortedError are kinds of it.
        """
        arguments = ConnectionConfig(url, token, room_name, token_provider, timeout)
        if config is None:
            config = arguments
        elif not isinstance(config, ConnectionConfig):
            raise ConfigurationError(
                f"connect() takes a LiveKitConnectionConfig, not {type(config).__name__}; "
                "url and token go by name"
            )
        elif arguments != ConnectionConfig(timeout_s=timeout):
            raise ConfigurationError("give connect() a configuration or arguments, not both")
        await self._connection.connect(config)

    async def disconnect(self) -> None:
        """Leave the room and release microphone and speaker. Never raises; at any time, more than once."""
        await self._connection.disconnect()

    async def reconnect(self) -> None:
        """Leave the room and join it again with the last configuration; what was published is published anew.

        Raises:
            NotConnectedError: never connected.
            RoomNotOwned: the room is the caller's, and it is down.
            ConnectError: joining did not work.
        """
        await self._connection.reconnect()

    @property
    def is_connected(self) -> bool:
        """Whether the room is joined now."""
        return self._connection.state is ConnectionState.CONNECTED

    def get_connection_state(self) -> ConnectionState:
        """``disconnected``, ``connecting``, ``connected``, ``reconnecting`` or ``failed`` (compares as
        str)."""
        return self._connection.state

    def get_native_client(self) -> Any:
        """The underlying ``livekit.rtc.Room``, or None."""
        return self._provider.get_native_client()

    async def wait_for_avatar(self, timeout: float | None = None) -> str:
        """Wait until the avatar is in the room; returns its identity.

        Raises:
            AvatarTimeoutError: it did not come within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._parts.wait_for_avatar()
        except TimeoutError as error:
            raise AvatarTimeoutError(
                f"no avatar came within {timeout:g} s; was its session started for this room?"
            ) from error

    async def wait_closed(self) -> None:
        """Wait until disconnected for good, or until the user closes the view."""
        ends = self._connection.wait_closed(), self._parts.view_closed.wait()
        waits = [asyncio.create_task(end) for end in ends]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.disconnect()
        self._motion.stop()

    # -- the avatar's sound ----------------------------------------------------------------------------------

    @property
    def volume(self) -> float:
        """Of the avatar's voice, 0.0 … 1.0, a factor on the samples; may be set at any time, and stays
        through changes of the device and reconnects. :meth:`audio` and views get the sound as it came.

        Raises:
            ConfigurationError: set to anything else.
        """
        return self._sound.voice.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self._sound.voice.volume = volume

    @property
    def muted(self) -> bool:
        """The avatar's voice is not heard, from at once on, while face and sound go on; as :attr:`volume`
        otherwise. With ``half_duplex`` the microphone stays open meanwhile."""
        return self._sound.voice.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._sound.voice.muted = muted

    def audio(self, *, max_blocks: int = DEFAULT_MAX_BLOCKS) -> ReceivedAudioStream:
        """The avatar's sound from now on, in blocks of 10 ms, whether it is played or not::

            async for block in player.audio():
                print(block.presentation_time, block.round, block.media_time, block.samples.shape)

        May be called before :meth:`connect`, and several times at once: each iteration gets all blocks. What
        is muted (the rest of a round after :meth:`flush`) is left out. An iteration goes on through
        reconnects and ends, with what is queued, once the player is disconnected for good: when the room has
        ended and nobody comes back by himself, or after :meth:`disconnect`. Leaving the loop is enough to end
        it before. Where nothing is played and no view takes sound, it is fetched from the room from the first
        call on.

        Args:
            max_blocks: blocks that wait while the loop is busy; beyond that the oldest are dropped, and
                counted in the iterator's ``dropped`` and in ``stats().audio.reader_blocks_dropped``.

        Raises:
            ConfigurationError: ``max_blocks`` is less than 1.
        """
        return self._sound.voice.readers.add(max_blocks)

    # -- the user's sound ------------------------------------------------------------------------------------

    async def start_publishing(self, device: DeviceSpec = None, *, or_silence: bool = False) -> None:
        """Publish the microphone ``device`` (index, name or AudioDevice; None for the default) until stop or
        disconnect. While another one is published, change to this one under the same track.

        Args:
            or_silence: where there is no microphone, publish silence until there is one, and say so by
                ``audio-unavailable``, instead of raising.

        Raises:
            NotConnectedError: not connected.
            AudioDeviceError: the device is missing or busy; what was published before goes on.
            ConfigurationError: ``device`` is no device.
            MissingDependencyError: the sound library is missing; the message says what to install.
            PublishError: this one is published already, the room refused the track, or
                :meth:`stop_publishing` was called meanwhile.
        """
        self._require_connection("start_publishing()")
        await self._sound.start_microphone(device, or_silence=or_silence)

    async def stop_publishing(self) -> None:
        """Stop publishing the microphone, or beginning to, and release it. Nothing is sent from now on."""
        await self._sound.stop_microphone()

    @property
    def microphone_muted(self) -> bool:
        """Send silence for the microphone; may be set at any time, and survives reconnects."""
        return self._sound.microphone.muted

    @microphone_muted.setter
    def microphone_muted(self, muted: bool) -> None:
        self._sound.microphone.muted = bool(muted)

    async def publish_audio(
        self, source: Any, *, sample_rate: int | None = None, channels: int | None = None
    ) -> None:
        """Publish own sound, beside the microphone if that is published too; the two are separate tracks.

        Args:
            source: a path (WAV; other formats with the ``record`` extra); a numpy array, shape (n,) or (n,
                channels), int16 or float; bytes of 16-bit PCM; an async iterator of any of these or of
                AudioBlock; a ``PushSource``; an ``AudioDevice`` of ``list_devices()``, recorded as it is; or
                a ready ``livekit.rtc.LocalAudioTrack``.
            sample_rate: samples per second of arrays and bytes.
            channels: channels of bytes.

        Raises:
            NotConnectedError: not connected.
            ConfigurationError: the source is none of these, or needs a sample rate.
            PublishError: something is published already, the room refused the track, or
                :meth:`unpublish_audio` was called meanwhile.
        """
        self._require_connection("publish_audio()")
        await self._sound.publish(source, sample_rate=sample_rate, channels=channels)

    async def unpublish_audio(self) -> None:
        """Stop publishing own sound, or beginning to. The source is not closed."""
        await self._sound.unpublish()

    def flush(self) -> None:
        """Interruption: drop queued motion and sound, sound that was sent and is not here yet included, and
        mute the rest of this round. The next round plays: its sound is sent after its first frame."""
        self._parts.flush()

    # -- events and figures ----------------------------------------------------------------------------------

    def on(self, event: str, handler: Handler | None = None) -> Any:
        """Call ``handler`` at each ``event``; without a handler, a decorator.

        A handler may be sync or async, and may leave out the payload argument.

        Raises:
            ConfigurationError: there is no such event.
        """
        if handler is None:
            return lambda function: self._hub.on(event, function)
        return self._hub.on(event, handler)

    def off(self, event: str, handler: Handler) -> None:
        """Stop calling ``handler``."""
        self._hub.off(event, handler)

    def report(self, event: str, *payload: Any) -> None:
        """Emit ``event`` in the name of a view, from any thread, soon. Nothing happens before the first
        :meth:`connect` and once the event loop is closed.

        Raises:
            ConfigurationError: there is no such event.
        """
        if event not in EVENTS:
            raise ConfigurationError(f"there is no event {event!r}")
        self._parts.emit_soon(event, *payload)

    def stats(self) -> PlayerStats:
        """One snapshot of everything."""
        return self._parts.stats()

    def _require_connection(self, call: str) -> None:
        if not self.is_connected:
            raise NotConnectedError(f"{call} needs a connection; call connect() first")
