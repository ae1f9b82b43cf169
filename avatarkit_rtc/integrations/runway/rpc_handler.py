"""Answers the tool calls of a session's avatar, as a hidden participant in its LiveKit room."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from livekit import rtc

from avatarkit_rtc.connection import Connection
from avatarkit_rtc.emitter import EventHub
from avatarkit_rtc.emitter import Handler as EventHandler
from avatarkit_rtc.errors import ConfigurationError, NotConnectedError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.integrations.runway.answering import Answering, RpcHandlerStats
from avatarkit_rtc.integrations.runway.backend import (
    BackendListener,
    BackendProvider,
    CredentialsSource,
    credentials_source,
    reconnect_policy,
)
from avatarkit_rtc.integrations.runway.ending import LINGER_S
from avatarkit_rtc.integrations.runway.tools import MAX_REPLY_BYTES, Handler, Tool
from avatarkit_rtc.integrations.waiting import wait_out
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.base import ConnectionConfig

_log = logging.getLogger("avatarkit_rtc.runway")

TOOL_TIMEOUT_S: Final = 30.0
CALLS_AT_ONCE: Final = 16
CALLS_WAITING: Final = 256
CLOSE_TIMEOUT_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 20.0

EVENTS: Final = (
    "connected",
    "disconnected",
    "error",
    "connection-state-changed",
    "reconnect-attempt",
    "reconnect-succeeded",
    "reconnect-failed",
)


class RpcHandler:
    """In the room, and answering; made by :func:`create_rpc_handler`. ``async with`` closes it."""

    def __init__(
        self,
        provider: BackendProvider,
        policy: ReconnectPolicy | None,
        tools: Mapping[str, Handler | Tool],
        *,
        tool_timeout_s: float,
        max_calls_at_once: int,
        max_calls_waiting: int,
        max_reply_bytes: int,
        debug: bool,
    ) -> None:
        """Not connected yet; see :func:`create_rpc_handler` for the options."""
        if debug:
            # A player may have set the level of all our loggers higher.
            logging.getLogger("avatarkit_rtc.runway").setLevel(logging.INFO)
        self._hub = EventHub(EVENTS)
        self._answering = Answering(
            tools,
            lambda error: self._hub.emit("error", error),
            tool_timeout_s=tool_timeout_s,
            max_calls_at_once=max_calls_at_once,
            max_calls_waiting=max_calls_waiting,
            max_reply_bytes=max_reply_bytes,
            log_level=logging.INFO if debug else logging.DEBUG,
        )
        self._provider = provider
        provider.expect_calls(self._answering.names)
        self._room: rtc.Room | None = None  # where the methods are registered
        self._closing: asyncio.Task[None] | None = None
        self._connection = Connection(provider, policy, self, self._hub.emit, motion_timeout_s=1.0)
        provider.set_listener(BackendListener(self._on_state, lambda error: self._hub.emit("error", error)))

    @property
    def connected(self) -> bool:
        """In the room, and calls are answered."""
        return self._connection.state is ConnectionState.CONNECTED

    @property
    def connection_state(self) -> ConnectionState:
        """The state now; ``reconnecting`` while it comes back by itself."""
        return self._connection.state

    def on(self, event: str, handler: EventHandler) -> EventHandler:
        """Call ``handler`` (sync or async) at ``event``; payloads are the player's.

        The events are ``connected`` (at each join), ``disconnected`` (once, when it does not come back),
        ``error``, ``connection-state-changed``, ``reconnect-attempt``, ``reconnect-succeeded`` and
        ``reconnect-failed``.

        Raises:
            ConfigurationError: there is no such event.
        """
        return self._hub.on(event, handler)

    def off(self, event: str, handler: EventHandler) -> None:
        """Stop calling ``handler``."""
        self._hub.off(event, handler)

    def stats(self) -> RpcHandlerStats:
        """A snapshot of the counts."""
        return self._answering.stats()

    async def wait_closed(self) -> None:
        """Wait until it is out of the room for good: closed, the session over, or reconnecting given up."""
        await self._connection.wait_closed()

    async def close(self) -> None:
        """Take no further calls, let those in flight end for 2 s, answer the rest with an error, and leave.

        A borrowed room stays. More than once is fine. Never raises but when the caller is cancelled, and then
        only once it is done.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="close tool calls")
        await wait_out(self._closing)

    async def aclose(self) -> None:
        """The same as :meth:`close`."""
        await self.close()

    async def connect(self) -> None:
        """Join; done by :func:`create_rpc_handler`, and once more only after it was disconnected for good.

        Raises:
            AlreadyConnectedError: it is connected or connecting.
            NotConnectedError: it was closed.
            AvatarKitError: see :func:`create_rpc_handler`.
        """
        if self._closing is not None:
            raise NotConnectedError("this handler was closed; make another with create_rpc_handler()")
        await self._connection.connect(ConnectionConfig())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<RpcHandler {self._connection.state} {', '.join(self._answering.names)}>"

    async def _close(self) -> None:
        self._unregister()
        await self._answering.finish(CLOSE_TIMEOUT_S)
        # An answer is on its way for a moment; leaving the room at once would take it along.
        answered = self._answering.last_answer_at
        if answered is not None and self.connected:
            await asyncio.sleep(max(0.0, answered + LINGER_S - time.monotonic()))
        await self._connection.disconnect()

    def _on_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        if state is ConnectionState.CONNECTED:
            # In the very step in which the room is there: the SDK hands calls out in those after it.
            self._register()
        self._connection.provider_state(state, reason)

    def _register(self) -> None:
        room = self._provider.get_native_client()
        if room is None or room is self._room or self._closing is not None:
            return
        self._room = room
        for name in self._answering.names:
            room.local_participant.register_rpc_method(name, self._answering.method(name))

    def _unregister(self) -> None:
        room, self._room = self._room, None
        if room is None:
            return
        for name in self._answering.names:
            try:
                room.local_participant.unregister_rpc_method(name)
            except Exception as error:  # the room has just gone
                _log.debug("unregistering %r: %r", name, error)

    # ---- hooks of the connection ----------------------------------------------------------------------

    def connection_opening(self) -> None:
        """Joining begins."""

    async def connection_made(self, *, again: bool, expect_motion: bool) -> None:
        """In the room; the methods are registered already."""

    def connection_lost(self, reason: RoundEndReason, *, left: bool) -> None:
        """Out of the room; or it is being resumed, and then the SDK keeps the methods."""
        if left:
            self._unregister()

    async def connection_closed(self) -> None:
        """Nothing else to release."""


async def create_rpc_handler(
    *,
    tools: Mapping[str, Handler | Tool],
    api_key: str | None = None,
    session_id: str | None = None,
    credentials: CredentialsSource | None = None,
    room: rtc.Room | None = None,
    base_url: str | None = None,
    on_connected: EventHandler | None = None,
    on_disconnected: EventHandler | None = None,
    on_error: EventHandler | None = None,
    debug: bool = False,
    tool_timeout_s: float = TOOL_TIMEOUT_S,
    max_calls_at_once: int = CALLS_AT_ONCE,
    max_calls_waiting: int = CALLS_WAITING,
    max_reply_bytes: int = MAX_REPLY_BYTES,
    auto_reconnect: bool | ReconnectPolicy = True,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
) -> RpcHandler:
    """Join a session's room and answer the avatar's tool calls until closed.

        async def weather(args):
            return {"celsius": await look_up(args["city"])}

        handler = await create_rpc_handler(tools={"weather": weather}, session_id=session_id)

    The way into the room is one of three: ``session_id`` (with ``api_key``), ``credentials``, or ``room``.

    Args:
        tools: by name; functions, coroutine functions or :class:`Tool`. Each is called with the arguments.
        api_key: Runway's; None for ``RUNWAYML_API_SECRET``.
        session_id: whose room to join.
        credentials: ``{"url", "token", "roomName"}`` or :class:`RunwayCredentials`, or a function that
            returns them and is called again at each reconnect.
        room: a connected room to borrow; it is not left, and not reconnected from here.
        base_url: of Runway's API; None for ``RUNWAYML_BASE_URL``, else ``https://api.dev.runwayml.com``.
        on_connected: called at each join. This and the next two are short for :meth:`RpcHandler.on`.
        on_disconnected: called once, with the reason, when the room is left and not come back to.
        on_error: called with a :class:`~avatarkit_rtc.errors.ToolCallError` for each call whose tool failed
            (its own exception is the ``__cause__``), and with errors of the connection.
        debug: log each call (name, duration and size, nothing of its content) at level info, not debug. It
            is seen where the program configures logging (``logging.basicConfig(level=logging.INFO)``).
        tool_timeout_s: longest time for one call of a tool without a ``timeout_s`` of its own.
        max_calls_at_once: tools that work at the same time.
        max_calls_waiting: calls that wait for that; more are refused.
        max_reply_bytes: longest reply, 1 … 15360; LiveKit carries no more.
        auto_reconnect: come back after a lost connection, with new credentials; or how. An API that answers
            401, 403 or 404 then ends it, as does a room that was closed.
        connect_timeout_s: longest time for one attempt to join.

    Raises:
        ConfigurationError: not one way into the room is given, or an option is out of range.
        RunwayError: Runway's API gave no credentials; see its subclasses.
        ConnectError: the room could not be joined.
        RoomNotOwned: the room to borrow is not connected.
        MissingDependencyError: a package is missing; the message says which.
    """
    if not 0 < tool_timeout_s < math.inf or not 0 < connect_timeout_s < math.inf:
        raise ConfigurationError("tool_timeout_s and connect_timeout_s must be more than 0")
    if max_calls_at_once < 1 or max_calls_waiting < 0 or not 1 <= max_reply_bytes <= MAX_REPLY_BYTES:
        raise ConfigurationError(
            "max_calls_at_once must be 1 or more, max_calls_waiting 0 or more, and max_reply_bytes 1 to "
            f"{MAX_REPLY_BYTES}"
        )
    source = credentials_source(api_key, session_id, credentials, room, base_url)
    handler = RpcHandler(
        BackendProvider(source, room, connect_timeout_s),
        reconnect_policy(auto_reconnect) if room is None else None,
        tools,
        tool_timeout_s=tool_timeout_s,
        max_calls_at_once=max_calls_at_once,
        max_calls_waiting=max_calls_waiting,
        max_reply_bytes=max_reply_bytes,
        debug=debug,
    )
    listeners = {"connected": on_connected, "disconnected": on_disconnected, "error": on_error}
    for event, listener in listeners.items():
        if listener is not None:
            handler.on(event, listener)
    await handler.connect()
    return handler
