"""The player's connection: connect, disconnect, reconnect, and coming back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    AvatarKitError,
    ConnectAbortedError,
    ConnectError,
    NotConnectedError,
)
from avatarkit_rtc.events import (
    ConnectionState,
    Disconnected,
    DisconnectReason,
    ReconnectAttempt,
    ReconnectFailed,
    ReconnectSucceeded,
)
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.base import ConnectionConfig, Provider

_log = logging.getLogger("avatarkit_rtc.connection")

REJOIN_PAUSE_S: Final = 0.5
"""Between leaving and joining again, as the reference client does; rejoining faster piles up native
threads."""

RECENT_ACTIVITY_S: Final = 5.0
"""Packets came so lately before a loss that they are missed after it."""

FINAL_REASONS: Final = frozenset(
    {
        DisconnectReason.CLIENT_INITIATED,
        DisconnectReason.DUPLICATE_IDENTITY,
        DisconnectReason.PARTICIPANT_REMOVED,
        DisconnectReason.ROOM_DELETED,
        DisconnectReason.ROOM_CLOSED,
        DisconnectReason.REJECTED,
    }
)
"""Somebody wanted it so: not a reason to come back."""


class ConnectionHooks(Protocol):
    """What the connection asks of the player."""

    def connection_lost(self, reason: RoundEndReason) -> None:
        """No packets come from now on."""

    async def connection_made(self, *, again: bool, expect_motion: bool) -> None:
        """Packets may come. ``again``: publish anew what was published; ``expect_motion``: silence is a
        stall."""


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """A snapshot of the connection."""

    state: ConnectionState
    connects: int
    """Times the room was joined."""
    interruptions: int
    """Times the connection went down or was rebuilt without being asked to."""
    reconnect_attempts: int
    """Attempts of auto-reconnect."""
    last_disconnect: DisconnectReason | None


class Connection:
    """Drives one provider. All calls on the event loop."""

    def __init__(
        self,
        provider: Provider,
        policy: ReconnectPolicy | None,
        hooks: ConnectionHooks,
        emit: Callable[..., None],
        *,
        motion_timeout_s: float,
    ) -> None:
        """
        Args:
            policy: how to come back; None to stay away.
            motion_timeout_s: how long after a rejoin motion may take to come.
        """
        self._provider = provider
        self._policy = policy
        self._hooks = hooks
        self._emit = emit
        self._motion_timeout = motion_timeout_s
        self._state = ConnectionState.DISCONNECTED
        self._config: ConnectionConfig | None = None
        self._busy: asyncio.Task[None] | None = None  # joining or rejoining
        self._leaving: asyncio.Task[None] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._alive = asyncio.Event()
        self._active_at: float | None = None
        self._closed = asyncio.Event()
        self._closed.set()
        self._random = random.Random()
        self._connects = self._interruptions = self._attempts = 0
        self._last_disconnect: DisconnectReason | None = None

    @property
    def state(self) -> ConnectionState:
        """The state now."""
        return self._state

    async def wait_closed(self) -> None:
        """Wait until disconnected for good."""
        await self._closed.wait()

    def note_activity(self, now: float) -> None:
        """A well-formed packet came."""
        self._active_at = now
        self._alive.set()

    def stats(self) -> ConnectionStats:
        """A snapshot."""
        return ConnectionStats(
            self._state, self._connects, self._interruptions, self._attempts, self._last_disconnect
        )

    # -- what the caller asks --------------------------------------------------------------------------------

    async def connect(self, config: ConnectionConfig) -> None:
        """See :meth:`avatarkit_rtc.AvatarPlayer.connect`."""
        if self._leaving is not None:
            await asyncio.shield(self._leaving)
        if self._state not in (ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            raise AlreadyConnectedError(
                f"already {self._state.value}; call disconnect() first, or reconnect() to join again"
            )
        self._config = config
        self._closed.clear()
        self._set_state(ConnectionState.CONNECTING)
        await self._own(self._first_join(config))

    async def reconnect(self) -> None:
        """See :meth:`avatarkit_rtc.AvatarPlayer.reconnect`."""
        if self._config is None:
            raise NotConnectedError("never connected; call connect() first")
        if self._leaving is not None:
            await asyncio.shield(self._leaving)
        if self._busy is not None:
            await self._join_in(self._busy)
            return
        self._closed.clear()
        await self._own(self._rejoin(give_up=self._recovering is None))

    async def disconnect(self) -> None:
        """See :meth:`avatarkit_rtc.AvatarPlayer.disconnect`."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        await asyncio.shield(self._leaving)

    # -- what the provider and the stall detector report -----------------------------------------------------

    def provider_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        """The provider's connection changed."""
        if self._busy is not None or self._leaving is not None:
            return  # our own doing; its outcome is looked at when it is done
        if state is ConnectionState.RECONNECTING and self._state is ConnectionState.CONNECTED:
            self._interruptions += 1
            self._hooks.connection_lost(RoundEndReason.CONNECTION_LOST)
            self._set_state(state)
        elif state is ConnectionState.CONNECTED and self._state is ConnectionState.RECONNECTING:
            self._set_state(state)
            self._spawn(self._hooks.connection_made(again=False, expect_motion=False))
            if self._policy is not None and self._recovering is None and self._was_active():
                self._recovering = self._spawn(self._watch_resumed())
        elif state in (ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            self._went_down(reason or DisconnectReason.UNKNOWN)

    def stalled(self) -> None:
        """The stream has gone silent."""
        if self._policy is not None and self._recovering is None and self._busy is None:
            self._recovering = self._spawn(self._recover("stalled", expect_motion=True))

    # -- joining and leaving ---------------------------------------------------------------------------------

    async def _own(self, work: Any) -> None:
        """Run ``work`` as the one thing going on; cancelling the caller cancels it, ``disconnect()`` aborts
        it."""
        task = asyncio.create_task(work)
        self._busy = task
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
            if self._leaving is None:
                self._over(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
            raise
        finally:
            self._busy = None
        await self._join_in(task)

    @staticmethod
    async def _join_in(task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])
        if task.cancelled():
            raise ConnectAbortedError(
                "disconnect() was called, or the attempt was cancelled, before it was done"
            )
        task.result()

    async def _first_join(self, config: ConnectionConfig) -> None:
        try:
            await self._join(config)
        except AvatarKitError:
            self._set_state(ConnectionState.FAILED)
            self._closed.set()
            raise
        self._set_state(ConnectionState.CONNECTED)
        await self._hooks.connection_made(again=False, expect_motion=False)

    async def _rejoin(self, *, give_up: bool) -> None:
        assert self._config is not None
        self._hooks.connection_lost(RoundEndReason.DISCONNECTED)
        self._set_state(ConnectionState.RECONNECTING)
        await self._provider.disconnect()
        await asyncio.sleep(REJOIN_PAUSE_S)
        try:
            await self._join(self._config)
        except AvatarKitError:
            if give_up:
                self._over(ConnectionState.FAILED, DisconnectReason.JOIN_FAILURE)
            raise
        self._set_state(ConnectionState.CONNECTED)
        await self._hooks.connection_made(again=True, expect_motion=True)

    async def _join(self, config: ConnectionConfig) -> None:
        self._alive.clear()
        try:
            await self._provider.connect(config)
        except AvatarKitError:
            raise
        except Exception as error:
            raise ConnectError(f"connecting failed: {type(error).__name__}: {error}") from error
        if self._provider.get_connection_state() is not ConnectionState.CONNECTED:
            await self._provider.disconnect()
            raise ConnectError("the connection was lost again at once; look at the server's log")
        self._connects += 1

    async def _leave(self) -> None:
        try:
            for task in (self._recovering, self._busy):
                if task is not None:
                    task.cancel()
                    await asyncio.wait([task])
            self._hooks.connection_lost(RoundEndReason.DISCONNECTED)
            await self._provider.disconnect()
            self._over(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
        finally:
            self._leaving = None

    # -- going down and coming back --------------------------------------------------------------------------

    def _went_down(self, reason: DisconnectReason) -> None:
        if self._state in (ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            return
        _log.warning("the connection went down: %s", reason.value)
        self._last_disconnect = reason
        self._hooks.connection_lost(RoundEndReason.CONNECTION_LOST)
        if self._policy is None or reason in FINAL_REASONS:
            if self._recovering is not None:
                self._recovering.cancel()
            self._spawn(self._provider.disconnect())
            self._over(ConnectionState.DISCONNECTED, reason)
            return
        self._set_state(ConnectionState.RECONNECTING)
        if self._recovering is None:
            self._interruptions += 1
            self._recovering = self._spawn(self._recover(reason.value, expect_motion=self._was_active()))

    async def _watch_resumed(self) -> None:
        """The library has resumed the session by itself: see whether motion comes back as well."""
        self._alive.clear()
        if await self._motion_comes(3 * self._motion_timeout):
            self._recovering = None
        else:
            await self._recover("no-motion", expect_motion=True)

    async def _recover(self, cause: str, *, expect_motion: bool) -> None:
        try:
            await self._attempt_until_done(cause, expect_motion)
        finally:
            self._recovering = None

    async def _attempt_until_done(self, cause: str, expect_motion: bool) -> None:
        policy = self._policy
        assert policy is not None
        for attempt in itertools.count(1):
            if policy.attempts is not None and attempt > policy.attempts:
                self._give_up(attempt - 1, cause)
                return
            delay = policy.delay_s(attempt, self._random)
            self._attempts += 1
            self._emit("reconnect-attempt", ReconnectAttempt(attempt, delay, cause))
            await asyncio.sleep(delay)
            try:
                await self.reconnect()
            except AvatarKitError as error:
                cause = error.code
                if not policy.retries(error):
                    self._give_up(attempt, cause)
                    return
                continue
            if not expect_motion or await self._motion_comes(self._motion_timeout):
                self._emit("reconnect-succeeded", ReconnectSucceeded(attempt))
                return
            cause = "no-motion"

    async def _motion_comes(self, within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._alive.wait(), within_s)
        return self._alive.is_set()

    def _give_up(self, attempts: int, cause: str) -> None:
        _log.error("giving up after %d attempts to reconnect (%s)", attempts, cause)
        self._emit("reconnect-failed", ReconnectFailed(attempts, cause))
        self._hooks.connection_lost(RoundEndReason.CONNECTION_LOST)
        self._spawn(self._provider.disconnect())
        self._over(ConnectionState.FAILED, self._last_disconnect or DisconnectReason.JOIN_FAILURE)

    def _over(self, state: ConnectionState, reason: DisconnectReason) -> None:
        was_up = self._state not in (ConnectionState.DISCONNECTED, ConnectionState.FAILED)
        self._last_disconnect = reason
        self._set_state(state)
        self._closed.set()
        if was_up:
            self._emit("disconnected", Disconnected(reason))

    def _was_active(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._active_at is not None and now - self._active_at <= RECENT_ACTIVITY_S

    def _set_state(self, state: ConnectionState) -> None:
        if state is self._state:
            return
        self._state = state
        self._emit("connection-state-changed", state)
        if state is ConnectionState.CONNECTED:
            self._emit("connected")

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._emit("error", error)
