"""An avatar that comes through a LiveKit room."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from livekit import rtc

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    ConfigurationError,
    ConnectAbortedError,
    ConnectTimeoutError,
    NotConnectedError,
    PublishError,
    RoomMismatchError,
    RoomNotOwned,
)
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.avatar_finder import MOTION_TOPIC
from avatarkit_rtc.providers.base import AudioUplink, ConnectionConfig, ProviderListener, PublishedTrack
from avatarkit_rtc.providers.connect_errors import checked_url, connect_error, is_refusal, shown_url
from avatarkit_rtc.providers.join_token import fresh_token, keep_tokens_out_of_logs, read_join_token, redacted
from avatarkit_rtc.providers.livekit_room import OwnRoom
from avatarkit_rtc.providers.livekit_session import RoomSession
from avatarkit_rtc.providers.livekit_uplink import UPLINK_QUEUE_MS, RoomTrack, SourceUplink, publish

_log = logging.getLogger("avatarkit_rtc")

_PAUSE_S: Final = 0.5
"""Shortest time from leaving a room to joining again: the SDK takes its threads and sockets down in the
background, and without a pause they pile up by the hundred."""
_CLOSE_TIMEOUT_S: Final = 6.0


class LiveKitProvider:
    """A :class:`~avatarkit_rtc.providers.base.Provider` for LiveKit.

    It either owns its room or borrows one:

    * Owned (the default): ``connect()`` makes a ``livekit.rtc.Room`` and joins it. Without ``room_options``
      nothing is subscribed automatically; only the avatar's voice is, and its picture where that is shown.
      With ``auto_subscribe=True`` in them the SDK subscribes to everything, and the avatar's pseudo-video
      track is unsubscribed again.
    * Borrowed (``room=mine``): the room must be connected. ``connect()`` attaches to it, and ``disconnect()``
      only detaches: the room stays connected. Of its subscriptions only the avatar's voice and picture are
      touched, which are subscribed if they are not, and stay so.

    Who the avatar is: see :class:`~avatarkit_rtc.providers.avatar_finder.AvatarFinder`. While the SDK
    rebuilds a lost connection (``reconnecting``), the avatar is not reported to have left; whether it did
    shows afterwards. The SDK gives up after some 25 s: ``disconnected`` with the reason ``signal-closed``.
    """

    def __init__(
        self,
        avatar_identity: str | None = None,
        topic: str = MOTION_TOPIC,
        room_options: rtc.RoomOptions | None = None,
        *,
        room: rtc.Room | None = None,
    ) -> None:
        """
        Args:
            avatar_identity: the participant that is the avatar; None to recognise it.
            topic: topic of the motion packets.
            room_options: for the owned room: end-to-end encryption, ICE servers, subscriptions, ….
            room: a connected room to borrow.

        Raises:
            ConfigurationError: both ``room_options`` and ``room`` are given, or the topic is empty.
        """
        if room is not None and room_options is not None:
            raise ConfigurationError(
                "room_options are for a room of this provider's own; leave them out with room="
            )
        if not topic:
            raise ConfigurationError("topic must not be empty; leave it out for the usual one")
        self._avatar_identity = avatar_identity
        self._topic = topic
        self._room_options = room_options
        self._borrowed = room
        self._listener: ProviderListener | None = None
        self._state = ConnectionState.DISCONNECTED
        self._session: RoomSession | None = None
        self._joining: asyncio.Task[RoomSession] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._left_at: float | None = None

    # ---- what the player sees ---------------------------------------------------------------------------

    def set_listener(self, listener: ProviderListener | None) -> None:
        """Report to ``listener`` from now on."""
        self._listener = listener

    @property
    def owns_connection(self) -> bool:
        """False for a borrowed room."""
        return self._borrowed is None

    @property
    def avatar(self) -> str | None:
        """Identity of the avatar, while one is in the room."""
        return self._session.avatar if self._session is not None else None

    @property
    def foreign_packets(self) -> int:
        """Data packets in this room that were not motion of the avatar: messages, and what is ignored."""
        return self._session.foreign_packets if self._session is not None else 0

    def get_connection_state(self) -> ConnectionState:
        """The state of the connection now."""
        return self._state

    def get_native_client(self) -> rtc.Room | None:
        """The room: the borrowed one, or the owned one while connected, else None."""
        if self._borrowed is not None:
            return self._borrowed
        return self._session.room if self._session is not None else None

    async def connect(self, config: ConnectionConfig) -> None:
        """Join the room, or attach to the borrowed one.

        Safe to cancel: a connection that comes about later is closed in the background.

        Args:
            config: ``url`` and either ``token`` or ``token_provider``; for a borrowed room neither. A plain
                function as ``token_provider`` runs in a thread, since it may well block.

        Raises:
            AlreadyConnectedError: connected, or connecting.
            ConfigurationError: address or token are missing or malformed.
            RoomMismatchError: the token is for another room than ``config.room_name``.
            RoomNotOwned: the room is borrowed, and is not connected or was to be given an address or token.
            ConnectTimeoutError: it took longer than ``config.timeout_s``.
            ConnectAbortedError: ``disconnect()`` was called meanwhile.
            ConnectError: it did not work for another reason.
        """
        if self._session is not None or self._joining is not None:
            raise AlreadyConnectedError(
                "connected or connecting already; disconnect() first, or use reconnect()"
            )
        if self._borrowed is not None:
            self._attach(self._borrowed, config)
            return
        url = checked_url(config.url)
        if config.token is None and config.token_provider is None:
            raise ConfigurationError(
                "no token; pass token=, or token_provider= for a fresh one at each connect"
            )
        keep_tokens_out_of_logs()
        joining = self._joining = asyncio.create_task(self._join(replace(config, url=url)), name="join room")
        try:
            await joining
        except asyncio.CancelledError:
            if not joining.cancelled() and joining.exception() is None and joining.result() is self._session:
                # It came about in the very moment of the cancellation.
                self._end(joining.result(), ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectAbortedError("disconnect() was called before the connection was there") from None
        finally:
            if self._joining is joining:
                self._joining = None

    async def disconnect(self) -> None:
        """Leave the room (or detach from the borrowed one). Never raises, takes at most some seconds, may be
        called at any time and more than once."""
        joining, self._joining = self._joining, None
        if joining is not None:
            joining.cancel()
            await asyncio.wait([joining])
        if self._session is not None:
            self._end(self._session, ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
        else:
            self._set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
        if self._background:
            await asyncio.wait(tuple(self._background), timeout=_CLOSE_TIMEOUT_S)

    async def open_uplink(
        self, *, name: str, sample_rate: int, channels: int, live: bool = False
    ) -> AudioUplink:
        """Publish an audio track named ``name`` as a microphone and return what takes its sound.

        Args:
            live: blocks of exactly 10 ms come from a clock of their own. They go to the encoder at once: a
                queue would be emptied by another clock, and each hiccup would stay as delay.

        Raises:
            NotConnectedError: not connected.
            PublishError: the room refused the track.
            ConfigurationError: rate or channels are out of range.
        """
        if not (8000 <= sample_rate <= 192000 and channels in (1, 2)):
            raise ConfigurationError(
                f"an uplink has 8000 to 192000 samples per second and 1 or 2 channels, "
                f"not {sample_rate} and {channels}"
            )
        session = self._connected()
        source = rtc.AudioSource(sample_rate, channels, 0 if live else UPLINK_QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track(name, source)
        try:
            publication = await self._publish(session, track)
        except BaseException:
            await source.aclose()
            raise
        uplink = SourceUplink(session.room, publication, session.forget_track, source, live=live)
        session.add_track(uplink)
        return uplink

    async def publish_track(self, track: Any) -> PublishedTrack:
        """Publish a ready ``livekit.rtc.LocalAudioTrack`` as a microphone. Closing what is returned
        unpublishes it and leaves the track's source alone.

        Raises:
            NotConnectedError: not connected.
            PublishError: it is something else, or the room refused it.
        """
        if not isinstance(track, rtc.LocalAudioTrack):
            raise PublishError(f"publish a livekit.rtc.LocalAudioTrack, not a {type(track).__name__}")
        session = self._connected()
        published = RoomTrack(session.room, await self._publish(session, track), session.forget_track)
        session.add_track(published)
        return published

    def __repr__(self) -> str:
        return f"<LiveKitProvider {self._state} {'owned' if self.owns_connection else 'borrowed'} room>"

    # ---- joining ----------------------------------------------------------------------------------------

    def _new_session(self, room: rtc.Room) -> RoomSession:
        session = RoomSession(
            room,
            owned=self._borrowed is None,
            avatar_identity=self._avatar_identity,
            topic=self._topic,
            listener=lambda: self._listener,
            on_state=self._on_session_state,
        )
        session.attach()
        return session

    def _attach(self, room: rtc.Room, config: ConnectionConfig) -> None:
        if config.url is not None or config.token is not None or config.token_provider is not None:
            raise RoomNotOwned(
                "this room is borrowed: connect it yourself, and call connect() without url and token"
            )
        if not room.isconnected():
            raise RoomNotOwned("the borrowed room is not connected: connect it yourself, then call connect()")
        if config.room_name is not None and config.room_name != room.name:
            raise RoomMismatchError(f"the borrowed room is {room.name!r}, not {config.room_name!r}")
        self._session = self._new_session(room)
        self._session.start()

    async def _join(self, config: ConnectionConfig) -> RoomSession:
        """Connect, with the states that go with it. Runs in a task of its own, so that it can be aborted."""
        self._set_state(ConnectionState.CONNECTING)
        try:
            if self._left_at is not None:
                await asyncio.sleep(self._left_at + _PAUSE_S - time.monotonic())
            async with asyncio.timeout(config.timeout_s):
                return await self._join_native(config, await fresh_token(config))
        except asyncio.CancelledError:
            self._set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
            raise
        except (TimeoutError, ConnectTimeoutError):
            self._set_state(ConnectionState.FAILED, DisconnectReason.CONNECTION_TIMEOUT)
            raise ConnectTimeoutError(
                f"no connection to {shown_url(config.url)} within {config.timeout_s:g} s; check the address, "
                "the network and any firewall"
            ) from None
        except Exception:
            self._set_state(ConnectionState.FAILED, DisconnectReason.JOIN_FAILURE)
            raise

    async def _join_native(self, config: ConnectionConfig, token: str) -> RoomSession:
        said = read_join_token(token)
        said.check_room(config.room_name)
        session = self._new_session(OwnRoom())
        native = asyncio.create_task(self._enter(session, config.url or "", token), name="Room.connect")
        try:
            # Cancelling Room.connect can bring the SDK, and with it the process, down.
            await asyncio.shield(native)
        except asyncio.CancelledError:
            if self._session is session:
                self._session = None
            session.detach()
            self._keep(self._clean_up(native, session))
            raise
        except Exception as error:
            self._keep(session.aclose())
            problem = redacted(str(getattr(error, "message", "") or error), token)
            # The one use of the wall clock: tokens are dated by it.
            complaint = said.complaint(time.time()) if is_refusal(problem) else None
        else:
            return session
        # Outside the except clause: the SDK's own error quotes the token, and must not come along as context.
        raise connect_error(problem, config.url, complaint) from rtc.ConnectError(problem)

    async def _enter(self, session: RoomSession, url: str, token: str) -> None:
        options = self._room_options or rtc.RoomOptions(auto_subscribe=False)
        await session.room.connect(url, token, options)
        if session.attached:
            # In the same step, so that no event of the room comes before it is reported as connected.
            self._session = session
            session.start()

    async def _clean_up(self, native: asyncio.Task[None], session: RoomSession) -> None:
        """Nobody waits for this connection any more: wait for it, and close it."""
        await asyncio.wait([native])
        if not native.cancelled():
            native.exception()  # taken note of; nobody is left to tell
        await session.aclose()
        self._left_at = time.monotonic()

    # ---- while connected --------------------------------------------------------------------------------

    def _connected(self) -> RoomSession:
        session = self._session
        if session is None or self._state is not ConnectionState.CONNECTED:
            raise NotConnectedError(f"the room is {self._state}; publish once it is connected")
        if session.room.connection_state != rtc.ConnectionState.CONN_CONNECTED:
            # The event that says so is still on its way.
            raise NotConnectedError("the room is reconnecting; publish once it is connected")
        return session

    async def _publish(self, session: RoomSession, track: rtc.LocalAudioTrack) -> rtc.LocalTrackPublication:
        publication = await publish(session.room, track, keep=self._keep)
        if self._session is not session:
            raise NotConnectedError("the connection ended while publishing")
        return publication

    def _on_session_state(
        self, session: RoomSession, state: ConnectionState, reason: DisconnectReason | None
    ) -> None:
        if session is not self._session:
            return
        if state is ConnectionState.DISCONNECTED:
            self._end(session, state, reason)
        else:
            self._set_state(state, reason)

    def _end(self, session: RoomSession, state: ConnectionState, reason: DisconnectReason | None) -> None:
        """The one way out of a room: report it now, take it down in the background."""
        leaving = session.aclose()
        leaving.add_done_callback(self._note_left)
        self._keep(leaving)
        self._session = None
        self._left_at = time.monotonic()
        self._set_state(state, reason)

    def _note_left(self, _: asyncio.Task[None]) -> None:
        self._left_at = time.monotonic()

    def _set_state(self, state: ConnectionState, reason: DisconnectReason | None = None) -> None:
        if state is self._state:
            return
        self._state = state
        if self._listener is not None:
            try:
                self._listener.on_connection_state(state, reason)
            except Exception:
                _log.exception("the listener failed in on_connection_state(%s)", state)

    def _keep(self, work: Coroutine[Any, Any, None] | asyncio.Task[None]) -> None:
        """Keep a reference to ``work`` until it is done; ``disconnect()`` waits for it."""
        task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
