"""The player's connection: connect, disconnect, reconnect, and what the provider reports meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from avatarkit_rtc.auto_reconnect import FINAL_REASONS, AutoReconnect
from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    AvatarKitError,
    ConnectAbortedError,
    ConnectError,
    NotConnectedError,
)
from avatarkit_rtc.events import ConnectionState, Disconnected, DisconnectReason
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.base import ConnectionConfig, Provider

_log = logging.getLogger("avatarkit_rtc.connection")

REJOIN_PAUSE_S: Final = 0.5
"""Between leaving and joining again, as the reference client does; rejoining faster piles up native
threads."""

RECENT_ACTIVITY_S: Final = 5.0
"""Packets came so lately before a loss that they are missed after it."""

_ENDED: Final = (ConnectionState.DISCONNECTED, ConnectionState.FAILED)
_UP: Final = (ConnectionState.CONNECTED, ConnectionState.RECONNECTING)


class ConnectionHooks(Protocol):
    """What the connection asks of the player."""

    def connection_opening(self) -> None:
        """Joining begins."""

    async def connection_made(self, *, again: bool, expect_motion: bool) -> None:
        """Packets may come. ``again``: publish anew what was published; ``expect_motion``: silence is a
        stall."""

    def connection_lost(self, reason: RoundEndReason, *, left: bool) -> None:
        """No packets come from now on. ``left``: the room is left too, it is not only being resumed."""

    async def connection_closed(self) -> None:
        """It was closed by the caller, or never came about: release everything. Must not raise."""


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """A snapshot of the connection."""

    state: ConnectionState
    connects: int
    """Times the room was joined."""
    interruptions: int
    """Times the connection went down without being asked to."""
    reconnect_attempts: int
    """Attempts of auto-reconnect."""
    last_disconnect: DisconnectReason | None


class Connection:
    """Drives one provider. All calls on the event loop.

    At most one of three things goes on: joining or rejoining (``_busy``), leaving at the caller's wish
    (``_leaving``), or taking down what has ended by itself (``_cleaning``).
    """

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
        self._hooks = hooks
        self._emit = emit
        self._auto = AutoReconnect(policy, self, emit, motion_timeout_s=motion_timeout_s)
        self._state = ConnectionState.DISCONNECTED
        self._config: ConnectionConfig | None = None
        self._busy: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._joining = False
        self._announced = False  # `connected` was emitted, and no `disconnected` since
        self._background: set[asyncio.Task[Any]] = set()
        self._active_at: float | None = None
        self._missed = False
        self._lost_by: DisconnectReason | None = None
        self._closed = asyncio.Event()
        self._closed.set()
        self._connects = self._interruptions = 0
        self._last_disconnect: DisconnectReason | None = None

    @property
    def state(self) -> ConnectionState:
        """The state now."""
        return self._state

    @property
    def connects(self) -> int:
        """Times the room was joined."""
        return self._connects

    async def wait_closed(self) -> None:
        """Wait until disconnected for good."""
        await self._closed.wait()

    def note_activity(self, now: float) -> None:
        """A well-formed packet came."""
        self._active_at = now
        self._missed = False
        self._auto.note_activity()

    def stats(self) -> ConnectionStats:
        """A snapshot."""
        return ConnectionStats(
            self._state, self._connects, self._interruptions, self._auto.attempts, self._last_disconnect
        )

    # -- what the caller asks --------------------------------------------------------------------------------

    async def connect(self, config: ConnectionConfig) -> None:
        """See :meth:`avatarkit_rtc.AvatarPlayer.connect`."""
        await self._settled()
        if self._state not in _ENDED:
            raise AlreadyConnectedError(
                f"already {self._state.value}; call disconnect() first, or reconnect() to join again"
            )
        self._config = config
        self._active_at, self._missed = None, False
        self._open(ConnectionState.CONNECTING)
        await self._own(self._first_join(config))

    async def reconnect(self, *, by_itself: bool = False) -> None:
        """See :meth:`avatarkit_rtc.AvatarPlayer.reconnect`. ``by_itself``: auto-reconnect calls."""
        if self._config is None:
            raise NotConnectedError("never connected; call connect() first")
        await self._settled()
        if self._busy is not None:
            await self._join_in(self._busy)
            return
        self._hooks.connection_lost(RoundEndReason.DISCONNECTED, left=True)
        self._open(ConnectionState.RECONNECTING)
        self._auto.stop_watching()
        await self._own(self._rejoin(self._config), leave_if_cancelled=not by_itself)

    async def disconnect(self) -> None:
        """See :meth:`avatarkit_rtc.AvatarPlayer.disconnect`."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(), name="disconnect")
        await asyncio.shield(self._leaving)

    # -- what the provider and the stall detector report -----------------------------------------------------

    def provider_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        """The provider's connection changed."""
        if self._joining:
            # Our own doing. Reported here and not when it is done, so that `connected` comes before what
            # happens in the room; the rest is looked at when it is done.
            if state is ConnectionState.CONNECTED:
                self._came_up()
        elif self._leaving is not None or self._cleaning is not None:
            pass
        elif state is ConnectionState.RECONNECTING and self._state is ConnectionState.CONNECTED:
            self._note_loss()
            self._auto.stop_watching()
            self._hooks.connection_lost(RoundEndReason.CONNECTION_LOST, left=False)
            self._set_state(state)
        elif state is ConnectionState.CONNECTED and self._state is ConnectionState.RECONNECTING:
            self._set_state(state)
            self._spawn(self._hooks.connection_made(again=False, expect_motion=False))
            if self._missed:
                self._auto.watch()
        elif state in _ENDED:
            self._went_down(reason or DisconnectReason.UNKNOWN)

    def stalled(self) -> None:
        """The stream has gone silent."""
        if self._busy is None and self._leaving is None:
            self._auto.start("stalled", expect_motion=True)

    # -- joining and leaving ---------------------------------------------------------------------------------

    async def _settled(self) -> None:
        """Wait until nothing is being taken down."""
        while True:
            ending = self._busy if self._state in _ENDED else None
            task = self._leaving or self._cleaning or ending
            if task is None:
                return
            await asyncio.wait([task])

    def _open(self, state: ConnectionState) -> None:
        self._closed.clear()
        self._hooks.connection_opening()
        self._set_state(state)

    async def _own(self, work: Coroutine[Any, Any, None], *, leave_if_cancelled: bool = True) -> None:
        """Run ``work`` as the one thing going on. Cancelling the caller disconnects; ``disconnect()`` aborts
        it."""
        task = self._busy = asyncio.create_task(work, name="join")
        task.add_done_callback(self._no_longer_busy)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if leave_if_cancelled and self._leaving is None:
                await self.disconnect()
            else:
                task.cancel()
                await asyncio.wait([task])
            raise
        await self._join_in(task)

    def _no_longer_busy(self, task: asyncio.Task[None]) -> None:
        if self._busy is task:
            self._busy = None
        if not task.cancelled():
            task.exception()  # the callers get it, unless all of them were cancelled

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
            if self._state is ConnectionState.CONNECTED:
                await self._hooks.connection_made(again=False, expect_motion=False)
        except Exception:
            await self._hooks.connection_closed()
            self._over(ConnectionState.FAILED, DisconnectReason.JOIN_FAILURE)
            raise

    async def _rejoin(self, config: ConnectionConfig) -> None:
        self._joining = True
        try:
            await self._provider_down()
            await asyncio.sleep(REJOIN_PAUSE_S)
            await self._join(config)
        except Exception:
            if not self._auto.running:
                self._over(ConnectionState.FAILED, DisconnectReason.JOIN_FAILURE)
            else:
                self._set_state(ConnectionState.RECONNECTING)
            raise
        finally:
            self._joining = False
        if self._state is ConnectionState.CONNECTED:
            await self._hooks.connection_made(again=True, expect_motion=True)
        if self._provider.get_connection_state() not in _UP:  # while publishing anew
            raise _lost_again()

    async def _join(self, config: ConnectionConfig) -> None:
        self._auto.expect_activity()
        self._joining = True
        try:
            await self._provider.connect(config)
            state = self._provider.get_connection_state()
            if state not in _UP:
                await self._provider_down()
                raise _lost_again()
        except AvatarKitError:
            raise
        except Exception as error:
            said = str(error)
            if config.token:
                said = said.replace(config.token, "<token>")
            raise ConnectError(f"connecting failed: {type(error).__name__}: {said}") from error
        finally:
            self._joining = False
        self._came_up()
        self._set_state(state)  # a borrowed room may be on its way back just now

    def _came_up(self) -> None:
        if self._state is not ConnectionState.CONNECTED:
            self._connects += 1
            self._lost_by = None
            self._set_state(ConnectionState.CONNECTED)

    async def _leave(self) -> None:
        try:
            ending = [task for task in (self._auto.stop(), self._busy) if task is not None]
            for task in ending:
                task.cancel()
            if self._cleaning is not None:
                ending.append(self._cleaning)
            if ending:
                await asyncio.wait(ending)
            self._hooks.connection_lost(RoundEndReason.DISCONNECTED, left=True)
            await self._provider_down()
            await self._hooks.connection_closed()
            self._over(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
        finally:
            self._leaving = None

    async def _provider_down(self) -> None:
        try:
            await self._provider.disconnect()
        except Exception as error:  # it promised not to; disconnect() never raises all the same
            self._emit("error", error)

    # -- going down ------------------------------------------------------------------------------------------

    def _went_down(self, reason: DisconnectReason) -> None:
        if self._state in _ENDED:
            return
        _log.warning("the connection went down: %s", reason.value)
        self._note_loss()
        self._lost_by = self._last_disconnect = reason
        self._hooks.connection_lost(RoundEndReason.CONNECTION_LOST, left=True)
        if not self._auto.enabled or reason in FINAL_REASONS:
            self._auto.stop()
            self._clean_up()
            self._over(ConnectionState.DISCONNECTED, reason)
        else:
            self._set_state(ConnectionState.RECONNECTING)
            self._auto.start(reason.value, expect_motion=self._missed)

    def give_up(self, attempts: int, cause: str) -> None:
        """Auto-reconnect has given up."""
        _log.error("giving up after %d attempts to reconnect (%s)", attempts, cause)
        self._hooks.connection_lost(RoundEndReason.CONNECTION_LOST, left=True)
        self._clean_up()
        self._over(ConnectionState.FAILED, self._lost_by or DisconnectReason.JOIN_FAILURE)

    def _clean_up(self) -> None:
        """Take down what has ended; joining anew waits for it."""

        def done(_task: asyncio.Task[None]) -> None:
            self._cleaning = None

        self._cleaning = self._spawn(self._provider_down())
        self._cleaning.add_done_callback(done)

    def _over(self, state: ConnectionState, reason: DisconnectReason) -> None:
        announced, self._announced = self._announced, False
        if announced:
            self._last_disconnect = reason
        self._set_state(state)
        self._closed.set()
        if announced:
            self._emit("disconnected", Disconnected(reason))

    def _note_loss(self) -> None:
        if self._state is ConnectionState.CONNECTED:
            self._interruptions += 1
        now = asyncio.get_running_loop().time()
        recently = self._active_at is not None and now - self._active_at <= RECENT_ACTIVITY_S
        self._missed = self._missed or recently

    def _set_state(self, state: ConnectionState) -> None:
        if state is self._state:
            return
        self._state = state
        self._emit("connection-state-changed", state)
        if state is ConnectionState.CONNECTED:
            self._announced = True
            self._emit("connected")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._emit("error", error)


def _lost_again() -> ConnectError:
    return ConnectError("the connection was lost again at once; look at the server's log")
