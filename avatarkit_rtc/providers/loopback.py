"""An avatar in the same process: no server, no network, and a little trouble on the way if wanted."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import AlreadyConnectedError, ConfigurationError, NotConnectedError, PublishError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.avatar_finder import MOTION_TOPIC
from avatarkit_rtc.providers.base import AudioUplink, ConnectionConfig, ProviderListener, PublishedTrack
from avatarkit_rtc.providers.bounded_feed import BoundedAudioFeed

_MAX_IN_FLIGHT: Final = 4096
_UPLINK_QUEUE_S: Final = 0.1
_HEARD_S: Final = 60.0


class Heard:
    """What the avatar has heard of the user: the last minute of it."""

    def __init__(self, seconds: float = _HEARD_S) -> None:
        self._limit = seconds
        self._blocks: deque[AudioBlock] = deque()
        self._seconds = 0.0
        self.dropped_s = 0.0
        """Seconds of sound that are older and no longer kept."""

    @property
    def blocks(self) -> tuple[AudioBlock, ...]:
        """The sound, block by block; ``t`` is when a block was over."""
        now = time.monotonic()
        return tuple(block for block in self._blocks if block.t <= now)

    @property
    def seconds(self) -> float:
        """How much of it there is."""
        return sum(block.duration for block in self.blocks)

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """All of it in one, shape (n, channels); (0, 1) when nothing was heard.

        Raises:
            ValueError: blocks have different numbers of channels.
        """
        blocks = self.blocks
        return np.concatenate([block.samples for block in blocks]) if blocks else np.zeros((0, 1), np.int16)

    def clear(self) -> None:
        """Forget it."""
        self._blocks.clear()
        self._seconds = 0.0

    def append(self, block: AudioBlock) -> None:
        """Add ``block``, which is heard at its ``t``."""
        self._blocks.append(block)
        self._seconds += block.duration
        while self._seconds > self._limit and len(self._blocks) > 1:
            gone = self._blocks.popleft().duration
            self._seconds -= gone
            self.dropped_s += gone

    def take_back(self, after: float) -> None:
        """Remove what would be heard later than ``after``."""
        while self._blocks and self._blocks[-1].t > after:
            self._seconds -= self._blocks.pop().duration


class _Uplink:
    """The user's sound on its way to the avatar's ears, in real time: a queue of 100 ms, then waiting."""

    def __init__(self, provider: LoopbackProvider, heard: Heard, name: str) -> None:
        self.name = name
        self._provider = provider
        self._heard = heard
        self._queued_until = 0.0
        self._closed = False

    async def write(self, block: AudioBlock) -> None:
        if self._closed:
            return
        self._queued_until = max(self._queued_until, time.monotonic()) + block.duration
        self._heard.append(AudioBlock(block.samples.copy(), block.sample_rate, self._queued_until))
        excess = self._queued_until - time.monotonic() - _UPLINK_QUEUE_S
        if excess > 0:
            await asyncio.sleep(excess)

    def clear(self) -> None:
        now = time.monotonic()
        if self._queued_until > now:
            self._heard.take_back(now)
            self._queued_until = now

    async def drain(self) -> None:
        while not self._closed and (queued := self._queued_until - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(queued, 0.02))

    def close(self) -> None:
        self._closed = True

    async def aclose(self) -> None:
        self.close()
        self._provider._forget_uplink(self)


class LoopbackAvatar:
    """The avatar's end of a loopback: give it to a ``StandInAvatar``, or send by hand.

    It is in the "room" from :meth:`open` (or the first thing sent) to :meth:`aclose`, and may come back.
    """

    def __init__(self, provider: LoopbackProvider, identity: str) -> None:
        self._provider = provider
        self.identity = identity
        """Its name in the room."""
        self.heard = Heard()
        """What the user has said."""
        self.present = False
        """It is in the room."""

    @property
    def audio_lead_s(self) -> float:
        """0: sound is delivered at once."""
        return 0.0

    @property
    def audio_queued_s(self) -> float:
        """0: sound is delivered at once."""
        return 0.0

    def open(self) -> None:
        """Come into the room; does nothing when there."""
        if not self.present:
            self.present = True
            self._provider._avatar_joined()

    async def send_packet(self, data: bytes, *, topic: str | None = None) -> None:
        """Send a packet; one on a foreign topic goes nowhere."""
        self.open()
        self._provider._send(data, topic)

    async def send_audio(self, samples: npt.NDArray[np.int16], sample_rate: int) -> None:
        """Send mono sound, shape (n,)."""
        self.open()
        self._provider._send_audio(samples, sample_rate)

    async def aclose(self) -> None:
        """Leave the room; more than once is fine."""
        if self.present:
            self.present = False
            self._provider._avatar_left()


class LoopbackProvider:
    """A :class:`~avatarkit_rtc.providers.base.Provider` whose avatar is :attr:`avatar`, in this process.

    Motion packets may be lost and delayed on the way. Sound arrives at once and complete.
    """

    def __init__(
        self,
        *,
        avatar_identity: str = "spatialreal-avatar",
        loss: float = 0.0,
        delay_s: float = 0.0,
        jitter_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            avatar_identity: the avatar's name in the room.
            loss: share of packets that get lost, 0 … 1.
            delay_s: delay of every packet in seconds.
            jitter_s: most additional delay, evenly distributed; packets may overtake each other.
            seed: decides which packets meet which fate.

        Raises:
            ConfigurationError: a number is out of range.
        """
        if not 0 <= loss <= 1:
            raise ConfigurationError(f"loss is a share between 0 and 1, not {loss}")
        if not (0 <= delay_s < math.inf and 0 <= jitter_s < math.inf):
            raise ConfigurationError("delay_s and jitter_s must be 0 or more")
        self.avatar = LoopbackAvatar(self, avatar_identity)
        """The other end."""
        self._loss, self._delay_s, self._jitter_s = loss, delay_s, jitter_s
        self._random = random.Random(seed)
        self._listener: ProviderListener | None = None
        self._state = ConnectionState.DISCONNECTED
        self._feed: BoundedAudioFeed | None = None
        self._in_flight: set[asyncio.TimerHandle] = set()
        self._uplinks: list[_Uplink] = []
        self.lost = 0
        """Packets lost on purpose."""
        self.dropped = 0
        """Packets dropped because the player was not connected, or far too many were on the way."""

    @property
    def owns_connection(self) -> bool:
        """True."""
        return True

    @property
    def uplinks(self) -> tuple[str, ...]:
        """Names of the user's published tracks."""
        return tuple(uplink.name for uplink in self._uplinks)

    def set_listener(self, listener: ProviderListener | None) -> None:
        """Report to ``listener`` from now on."""
        self._listener = listener

    def get_connection_state(self) -> ConnectionState:
        """The state of the connection now."""
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
            raise AlreadyConnectedError("the loopback is connected; call disconnect() first")
        self._set_state(ConnectionState.CONNECTING)
        self._set_state(ConnectionState.CONNECTED)
        if self.avatar.present:
            self._avatar_joined()

    async def disconnect(self) -> None:
        """Take everything down; more than once is fine."""
        if self._state is ConnectionState.DISCONNECTED:
            return
        for handle in self._in_flight:
            handle.cancel()
        self._in_flight.clear()
        for uplink in self._uplinks:
            uplink.close()
        self._uplinks.clear()
        self._end_audio()
        self._set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)

    async def open_uplink(
        self, *, name: str, sample_rate: int, channels: int, live: bool = False
    ) -> AudioUplink:
        """A track whose sound ends up in ``avatar.heard``, in real time.

        Raises:
            NotConnectedError: not connected.
        """
        del sample_rate, channels
        if self._state is not ConnectionState.CONNECTED:
            raise NotConnectedError("connect() before publishing sound")
        uplink = _Uplink(self, self.avatar.heard, name)
        self._uplinks.append(uplink)
        return uplink

    async def publish_track(self, track: Any) -> PublishedTrack:
        """Not here.

        Raises:
            NotConnectedError: not connected.
            PublishError: always, otherwise.
        """
        if self._state is not ConnectionState.CONNECTED:
            raise NotConnectedError("connect() before publishing a track")
        raise PublishError("a loopback has no LiveKit tracks; publish an audio source instead")

    def _forget_uplink(self, uplink: _Uplink) -> None:
        if uplink in self._uplinks:
            self._uplinks.remove(uplink)

    def _set_state(self, state: ConnectionState, reason: DisconnectReason | None = None) -> None:
        self._state = state
        if self._listener is not None:
            self._listener.on_connection_state(state, reason)

    def _avatar_joined(self) -> None:
        if self._state is ConnectionState.CONNECTED and self._listener is not None:
            self._listener.on_avatar_joined(self.avatar.identity)

    def _avatar_left(self) -> None:
        self._end_audio()
        if self._state is ConnectionState.CONNECTED and self._listener is not None:
            self._listener.on_avatar_left(self.avatar.identity)

    def _end_audio(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.end()
            if self._listener is not None:
                self._listener.on_audio_ended()

    def _send_audio(self, samples: npt.NDArray[np.int16], sample_rate: int) -> None:
        if self._state is not ConnectionState.CONNECTED or self._listener is None:
            return
        if self._feed is None:
            self._feed = BoundedAudioFeed()
            self._listener.on_audio(self._feed)
        self._feed.feed(samples.reshape(-1, 1), sample_rate, time.monotonic())

    def _send(self, data: bytes, topic: str | None) -> None:
        if topic not in (None, MOTION_TOPIC):
            return
        if self._state is not ConnectionState.CONNECTED or len(self._in_flight) >= _MAX_IN_FLIGHT:
            self.dropped += 1
            return
        if self._loss and self._random.random() < self._loss:
            self.lost += 1
            return
        delay = self._delay_s + self._jitter_s * self._random.random()
        if delay <= 0:
            self._deliver(data)
            return

        def arrive() -> None:
            self._in_flight.discard(handle)
            self._deliver(data)

        handle = asyncio.get_running_loop().call_later(delay, arrive)
        self._in_flight.add(handle)

    def _deliver(self, data: bytes) -> None:
        if self._listener is not None:
            self._listener.on_motion_packet(data)
