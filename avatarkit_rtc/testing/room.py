"""The stand-in avatar's way into a real LiveKit room: what an avatar service's worker does there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from livekit import rtc

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    ConfigurationError,
    ConnectAbortedError,
    ConnectTimeoutError,
)
from avatarkit_rtc.providers.avatar_finder import MOTION_TOPIC
from avatarkit_rtc.providers.connect_errors import checked_url, connect_error, shown_url
from avatarkit_rtc.providers.join_token import redacted
from avatarkit_rtc.providers.livekit_room import OwnRoom
from avatarkit_rtc.providers.minting import AVATAR_IDENTITY, avatar_token

__all__ = [
    "AUDIO_TRACK",
    "AVATAR_IDENTITY",
    "PSEUDO_VIDEO_TRACK",
    "RoomTransport",
    "TokenSource",
    "avatar_token",
]

AUDIO_TRACK: Final = "egress-audio"
"""Name of the track with the avatar's voice."""
PSEUDO_VIDEO_TRACK: Final = "egress-animation"
"""Name of the video track that is no picture."""

_AUDIO_LEAD_S: Final = -0.010
"""A block of 20 ms, one Opus packet, leaves 10 ms after its first sample is due, as from LiveKit's own
queue, which hands on 10 ms at a time. That queue is not used: the clock that empties it loses time at each
hiccup, so that the sound would come later and later after its motion."""
_MAX_PACKET_BYTES: Final = 60_000
"""LiveKit's limit is 64 000 with its own envelope, and it logs each that is over."""
_SEND_TIMEOUT_S: Final = 1.0
_TEARDOWN_TIMEOUT_S: Final = 5.0
_RECONNECT_DELAYS_S: Final = (0.5, 1.0, 2.0)
_VIDEO_SIZE: Final = 64
_VIDEO_INTERVAL_S: Final = 0.5

_log = logging.getLogger("avatarkit_rtc")

TokenSource: TypeAlias = "str | Callable[[], str]"


class RoomTransport:
    """A :class:`~avatarkit_rtc.testing.stand_in.Transport` into a LiveKit room.

        async with RoomTransport(url, avatar_token(key, secret, "my-room")) as transport:
            await StandInAvatar(transport, [perform(1, 5.0)]).run()

    It publishes the voice, the video track that is no picture, and motion as data packets: lossy ones, unless
    told otherwise. While the connection is down, packets and sound are dropped and counted, and their timing
    goes on.
    """

    def __init__(
        self,
        url: str,
        token: TokenSource,
        *,
        sample_rate: int = 24000,
        topic: str = MOTION_TOPIC,
        pseudo_video: bool = True,
        reliable: bool = False,
        reconnect: bool = False,
        connect_timeout_s: float = 20.0,
    ) -> None:
        """
        Args:
            url: WebSocket address of the server.
            token: join token, or what makes one for each join.
            sample_rate: of the sound that will be sent.
            topic: topic of the motion packets.
            pseudo_video: publish the video track that is no picture.
            reliable: send motion so that nothing is lost, and late where something was.
            reconnect: when the session is over and :meth:`aclose` was not called (server gone for long,
                room deleted, removed from it), join again, and keep trying.
            connect_timeout_s: longest time one join may take.
        """
        self._url, self._token, self._topic = url, token, topic
        self._sample_rate, self._pseudo_video = sample_rate, pseudo_video
        self._reliable = reliable
        self._reconnect, self._connect_timeout_s = reconnect, connect_timeout_s
        self._session: _Session | None = None
        self._joining: asyncio.Task[_Session] | None = None
        self._rejoining: asyncio.Task[None] | None = None
        self._teardowns: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self.dropped_packets = 0
        """Packets dropped because the room was not connected."""
        self.dropped_audio_s = 0.0
        """Seconds of sound dropped because the room was not connected."""
        self.failed_packets = 0
        """Packets that LiveKit refused, or that are too large for it."""
        self.joins = 0
        """How often the room was joined."""

    async def __aenter__(self) -> RoomTransport:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    @property
    def connected(self) -> bool:
        """What is sent now is sent."""
        return self._session is not None and self._session.connected

    @property
    def room(self) -> rtc.Room | None:
        """The LiveKit room, if it was joined."""
        return self._session.room if self._session is not None else None

    @property
    def audio_lead_s(self) -> float:
        """Less than nothing: a block is handed over 10 ms after its first sample is due."""
        return _AUDIO_LEAD_S

    @property
    def audio_queued_s(self) -> float:
        """Nothing: what is handed over is sent."""
        return 0.0

    async def connect(self) -> None:
        """Join and publish both tracks. Safe to cancel. Not possible after :meth:`aclose`.

        Raises:
            AlreadyConnectedError: it was called before.
            ConfigurationError: the server's address is none.
            ConnectAbortedError: :meth:`aclose` was called.
            ConnectTimeoutError: it took longer than ``connect_timeout_s``.
            ConnectError: it did not work; the message says why.
        """
        if self._closed.is_set():
            raise ConnectAbortedError("this RoomTransport is closed; make a new one")
        if self._joining is not None or self._rejoining is not None or self._session is not None:
            raise AlreadyConnectedError("this RoomTransport is in its room, or on the way there")
        checked_url(self._url)
        await self._join()

    async def wait_closed(self) -> None:
        """Wait until it is over for good: :meth:`aclose`, or the room ended it and ``reconnect`` is off."""
        await self._closed.wait()

    async def send_packet(self, data: bytes, *, topic: str | None = None) -> None:
        """Send one packet, lossy unless ``reliable`` was asked for. Dropped and counted while the room is not
        connected."""
        session = self._session
        if session is None or not session.connected:
            self.dropped_packets += 1
            return
        if len(data) > _MAX_PACKET_BYTES:
            self.failed_packets += 1
            return
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await session.room.local_participant.publish_data(
                    data, reliable=self._reliable, topic=self._topic if topic is None else topic
                )
        except Exception as exc:  # livekit does not export what it raises here
            self.failed_packets += 1
            _log.debug("stand-in avatar: a packet of %d bytes was not sent: %s", len(data), exc)

    async def send_audio(self, samples: npt.NDArray[np.int16], sample_rate: int) -> None:
        """Send mono sound at once, shape (n,): 10 ms or a multiple of it.

        Raises:
            ConfigurationError: ``sample_rate`` is not the transport's.
        """
        if sample_rate != self._sample_rate:
            raise ConfigurationError(
                f"the sound has {sample_rate} samples per second: make the RoomTransport with "
                f"sample_rate={sample_rate} instead of {self._sample_rate}"
            )
        duration, size = len(samples) / sample_rate, sample_rate // 100  # without a queue it takes 10 ms each
        session = self._session
        if session is None or not session.connected:
            self.dropped_audio_s += duration
            return
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S + duration):
                for start in range(0, len(samples), size):
                    piece = samples[start : start + size]
                    await session.audio.capture_frame(
                        rtc.AudioFrame(piece.tobytes(), sample_rate, 1, len(piece))
                    )
        except Exception as exc:  # a bare Exception is what livekit raises here
            self.dropped_audio_s += duration
            _log.debug("stand-in avatar: sound was not sent: %s", exc)

    async def aclose(self) -> None:
        """Unpublish, leave and free everything. More than once is fine; never raises."""
        self._closed.set()
        for task in (self._rejoining, self._joining):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        session, self._session = self._session, None
        if session is not None:
            self._tear_down(session.close())
        if self._teardowns:
            await asyncio.wait(self._teardowns, timeout=_TEARDOWN_TIMEOUT_S)

    async def _join(self) -> None:
        joining = self._joining = asyncio.create_task(self._open(), name="stand-in join")
        try:
            session = await joining
        except asyncio.CancelledError:
            # Whoever cancels us cancels the task too, unless it is done: then there is a room to leave.
            if joining.done() and not joining.cancelled() and joining.exception() is None:
                self._tear_down(joining.result().close())
            if self._closed.is_set():
                raise ConnectAbortedError("aclose() was called while connecting") from None
            raise
        finally:
            self._joining = None
        if self._closed.is_set():
            self._tear_down(session.close())
            raise ConnectAbortedError("aclose() was called while connecting")
        self._session = session
        self.joins += 1
        session.room.on("disconnected", lambda *_: self._over(session))
        if session.room.connection_state == rtc.ConnectionState.CONN_DISCONNECTED:
            self._over(session)

    async def _open(self) -> _Session:
        token = self._token() if callable(self._token) else self._token
        session = _Session(self._sample_rate, self._pseudo_video)
        join = asyncio.ensure_future(session.join(self._url, token))
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                # A join cut off in the middle can bring the native library down, so it runs on to its end.
                await asyncio.shield(join)
                await session.publish()
        except BaseException as exc:
            self._tear_down(session.close(after=join))
            if not isinstance(exc, Exception):
                raise
            if isinstance(exc, TimeoutError):
                raise ConnectTimeoutError(
                    f"{shown_url(self._url)} did not admit the stand-in avatar within "
                    f"{self._connect_timeout_s:g} s; is a LiveKit server there?"
                ) from None
            # The library's text may quote the address with the token in it, and so may what caused it.
            problem = redacted(str(getattr(exc, "message", exc)), token)
            raise connect_error(problem, self._url) from None
        return session

    def _tear_down(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do ``work`` in a task of its own, which no cancellation reaches."""
        task = asyncio.get_running_loop().create_task(work, name="stand-in teardown")
        self._teardowns.add(task)
        task.add_done_callback(self._teardowns.discard)
        return task

    def _over(self, session: _Session) -> None:
        if self._session is not session or self._closed.is_set():
            return
        self._session = None
        self._rejoining = asyncio.create_task(self._rejoin(session), name="stand-in rejoin")

    async def _rejoin(self, ended: _Session) -> None:
        try:
            await asyncio.shield(self._tear_down(ended.close()))
            attempt = 0
            while self._reconnect:
                # Paced: torn down rooms keep threads and descriptors for a while.
                await asyncio.sleep(_RECONNECT_DELAYS_S[min(attempt, len(_RECONNECT_DELAYS_S) - 1)])
                attempt += 1
                try:
                    await self._join()
                except ConnectAbortedError:
                    return
                except Exception as exc:  # a token source may raise anything
                    _log.debug("stand-in avatar: %s", exc)
                else:
                    return
            self._closed.set()
        finally:
            # A room that was lost again at once has its own task by now.
            if self._rejoining is asyncio.current_task():
                self._rejoining = None


class _Session:
    """One stay in a room: the room, both tracks and their sources."""

    def __init__(self, sample_rate: int, pseudo_video: bool) -> None:
        self.room = OwnRoom()
        self.audio = rtc.AudioSource(sample_rate, 1, queue_size_ms=0)
        self._video = rtc.VideoSource(_VIDEO_SIZE, _VIDEO_SIZE) if pseudo_video else None
        self._video_task: asyncio.Task[None] | None = None
        self._tracks: list[str] = []
        self._published = False

    @property
    def connected(self) -> bool:
        return self._published and self.room.connection_state == rtc.ConnectionState.CONN_CONNECTED

    async def join(self, url: str, token: str) -> None:
        await self.room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))

    async def publish(self) -> None:
        participant = self.room.local_participant
        audio = rtc.LocalAudioTrack.create_audio_track(AUDIO_TRACK, self.audio)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._tracks.append((await participant.publish_track(audio, options)).sid)
        if self._video is not None:
            video = rtc.LocalVideoTrack.create_video_track(PSEUDO_VIDEO_TRACK, self._video)
            options = rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA,
                video_codec=rtc.VideoCodec.VP8,
                simulcast=False,
                video_encoding=rtc.VideoEncoding(max_bitrate=30_000, max_framerate=5),
            )
            self._tracks.append((await participant.publish_track(video, options)).sid)
            self._video_task = asyncio.create_task(_send_black(self._video), name="stand-in pseudo-video")
        self._published = True

    async def close(self, after: asyncio.Future[None] | None = None) -> None:
        """Take everything down, once the join ``after`` is over."""
        self._published = False
        if after is not None:
            await asyncio.wait([after])
            if not after.cancelled():
                after.exception()
        if self._video_task is not None:
            self._video_task.cancel()
        if self.room.connection_state == rtc.ConnectionState.CONN_CONNECTED:
            for sid in self._tracks:
                await _quietly(self.room.local_participant.unpublish_track(sid))
        await _quietly(self.room.disconnect())
        await _quietly(self.audio.aclose())
        if self._video is not None:
            await _quietly(self._video.aclose())


async def _send_black(source: rtc.VideoSource) -> None:
    luma = np.full(_VIDEO_SIZE * _VIDEO_SIZE, 16, np.uint8)
    chroma = np.full(_VIDEO_SIZE * _VIDEO_SIZE // 2, 128, np.uint8)
    black = bytearray(luma.tobytes() + chroma.tobytes())
    frame = rtc.VideoFrame(_VIDEO_SIZE, _VIDEO_SIZE, rtc.VideoBufferType.I420, black)
    while True:
        source.capture_frame(frame)
        await asyncio.sleep(_VIDEO_INTERVAL_S)


async def _quietly(work: Coroutine[Any, Any, Any]) -> None:
    """One step of a teardown: it may fail or hang (no server), the next step comes all the same."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_TEARDOWN_TIMEOUT_S):
            await work
