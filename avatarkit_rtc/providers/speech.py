"""An avatar made of speech alone: whatever voice is given to it comes out of a moving face.

For programs whose voice comes from a model or a synthesizer and that have no avatar service: the provider
performs the speech in this process (:mod:`~avatarkit_rtc.providers.speech_performer`), and the player plays
it like any other avatar. What the player publishes (the microphone after its echo canceller, or other sound)
goes to a function of the caller's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import AlreadyConnectedError, NotConnectedError, PublishError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.base import (
    AudioUplink,
    ConnectionConfig,
    Provider,
    ProviderListener,
    PublishedTrack,
)
from avatarkit_rtc.providers.bounded_feed import BoundedAudioFeed
from avatarkit_rtc.providers.speech_performer import Output, Packet, Sound, SpeechPerformer

_log = logging.getLogger("avatarkit_rtc")

SPEECH_AVATAR: Final = "speech-avatar"
"""Name of the avatar."""

Hear: TypeAlias = Callable[[AudioBlock], Awaitable[None]]
"""Takes 10 ms of what the user says; may wait, which holds the microphone's sound back."""


class _Uplink:
    """The user's sound on its way to whoever listens."""

    def __init__(self, uplinks: set[str], hear: Hear | None, name: str) -> None:
        self.name = name
        self._uplinks = uplinks
        self._hear = hear

    async def write(self, block: AudioBlock) -> None:
        if self._hear is not None:
            await self._hear(block)

    def clear(self) -> None:
        """Nothing is queued."""

    async def drain(self) -> None:
        """Nothing is queued."""

    async def aclose(self) -> None:
        self._uplinks.discard(self.name)


def _open(uplinks: set[str], hear: Hear | None, name: str) -> _Uplink:
    if uplinks:
        raise PublishError(
            f"{', '.join(uplinks)} is published: one sound at a time is heard; stop that first"
        )
    uplinks.add(name)
    return _Uplink(uplinks, hear, name)


class SpeechProvider:
    """A :class:`~avatarkit_rtc.providers.base.Provider` whose avatar says what :meth:`say` is given::

        provider = SpeechProvider()
        async with AvatarPlayer(provider, view) as player:
            await player.connect()
            provider.say(samples, 24000)
            provider.end()

    All calls belong on the player's event loop, and never block.
    """

    def __init__(
        self,
        *,
        hear: Hear | None = None,
        on_output: Callable[[Output], None] | None = None,
        seed: int = 0,
    ) -> None:
        """
        Args:
            hear: gets what the player publishes, block by block.
            on_output: is told of all that goes to the player, right after it.
            seed: of what head, eyes and lids do.
        """
        self.performer = SpeechPerformer(seed=seed)
        """What performs; its counters tell how it went."""
        self.uplinks: set[str] = set()
        """Names of what the player publishes."""
        self._hear = hear
        self._on_output = on_output
        self._listener: ProviderListener | None = None
        self._state = ConnectionState.DISCONNECTED
        self._feed: BoundedAudioFeed | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- speech ----------------------------------------------------------------------------------------------

    def say(self, samples: npt.NDArray[np.int16], sample_rate: int, name: str | None = None) -> None:
        """Say ``samples``, mono of shape (n,), behind what there is. Dropped while not connected.

        Args:
            samples: comes faster than it is played, or as it is made.
            sample_rate: samples per second, a multiple of 100 from 8000 on.
            name: comes back with the sound, at ``on_output``.

        Raises:
            ValueError: the rate is another.
        """
        if self._state is ConnectionState.CONNECTED:
            self.performer.say(samples, sample_rate, name)

    def end(self) -> None:
        """What was said so far is all there is to say for now: the mouth need not wait for more."""
        self.performer.end()

    def cut(self) -> bool:
        """Say nothing more; together with the player's ``flush()`` the avatar is silent at once. To be called
        after that: what is said next is then heard.

        Returns:
            Whether there was anything to cut.
        """
        something = self.performer.cut()
        self._send(self.performer.take())
        return something

    def set_hear(self, hear: Hear | None) -> None:
        """Hand what the player publishes from now on to ``hear``."""
        self._hear = hear

    # -- what a player calls ---------------------------------------------------------------------------------

    @property
    def owns_connection(self) -> bool:
        """True."""
        return True

    def set_listener(self, listener: ProviderListener | None) -> None:
        """Report to ``listener`` from now on."""
        self._listener = listener

    def get_connection_state(self) -> ConnectionState:
        """The state now."""
        return self._state

    def get_native_client(self) -> Any:
        """None: there is no library underneath."""
        return None

    async def connect(self, config: ConnectionConfig | None = None) -> None:
        """Connect; nothing in ``config`` is needed.

        Raises:
            AlreadyConnectedError: it is connected.
        """
        del config
        if self._state is not ConnectionState.DISCONNECTED:
            raise AlreadyConnectedError("the avatar is connected; call disconnect() first")
        self._set_state(ConnectionState.CONNECTING)
        self._set_state(ConnectionState.CONNECTED)
        self._feed = BoundedAudioFeed()
        if self._listener is not None:
            self._listener.on_avatar_joined(SPEECH_AVATAR)
            self._listener.on_audio(self._feed)
        self.performer.restart()
        self._tick()

    async def disconnect(self) -> None:
        """End; more than once is fine."""
        if self._state is ConnectionState.DISCONNECTED:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.uplinks.clear()
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.end()
        if self._listener is not None:
            self._listener.on_audio_ended()
        self._set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
        self.performer.restart()

    async def open_uplink(
        self, *, name: str, sample_rate: int, channels: int, live: bool = False
    ) -> AudioUplink:
        """A track whose sound goes to ``hear``.

        Raises:
            NotConnectedError: not connected.
            PublishError: there is another one.
        """
        del sample_rate, channels, live
        self._require()
        return _open(self.uplinks, self._hear, name)

    async def publish_track(self, track: Any) -> PublishedTrack:
        """Not here.

        Raises:
            NotConnectedError: not connected.
            PublishError: always, otherwise.
        """
        self._require()
        raise PublishError("there is no room for a LiveKit track; publish an audio source instead")

    # -- inside ----------------------------------------------------------------------------------------------

    def _require(self) -> None:
        if self._state is not ConnectionState.CONNECTED:
            raise NotConnectedError("connect() before publishing")

    def _set_state(self, state: ConnectionState, reason: DisconnectReason | None = None) -> None:
        self._state = state
        if self._listener is not None:
            self._listener.on_connection_state(state, reason)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._send(self.performer.tick(loop.time()))
        if self._state is ConnectionState.CONNECTED:  # a listener may have ended it
            deadline = self.performer.next_deadline()
            assert deadline is not None
            self._timer = loop.call_at(deadline, self._tick)

    def _send(self, outputs: list[Output]) -> None:
        for each in outputs:
            listener, feed = self._listener, self._feed
            if isinstance(each, Packet) and listener is not None:
                listener.on_motion_packet(each.data)
            elif isinstance(each, Sound) and feed is not None:
                feed.feed(each.samples.reshape(-1, 1), each.sample_rate, asyncio.get_running_loop().time())
            if self._on_output is not None:
                try:
                    self._on_output(each)
                except Exception:
                    _log.exception("a callback of the speech avatar failed")


class HearingProvider:
    """Another provider; but what the player publishes goes to a function of the caller's.

    Everything but the uplinks is the other provider's.
    """

    def __init__(self, provider: Provider, hear: Hear) -> None:
        """
        Args:
            provider: where the avatar comes from.
            hear: gets what the player publishes, block by block.
        """
        self._provider = provider
        self._hear = hear
        self.uplinks: set[str] = set()
        """Names of what the player publishes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def open_uplink(
        self, *, name: str, sample_rate: int, channels: int, live: bool = False
    ) -> AudioUplink:
        """A track whose sound goes to ``hear``.

        Raises:
            NotConnectedError: not connected.
            PublishError: there is another one.
        """
        del sample_rate, channels, live
        if self._provider.get_connection_state() is not ConnectionState.CONNECTED:
            raise NotConnectedError("connect() before publishing")
        return _open(self.uplinks, self._hear, name)
