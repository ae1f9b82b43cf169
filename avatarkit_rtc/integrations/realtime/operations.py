"""The one thing a client is at: connecting, being given a config, or disconnecting; each within its time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from avatarkit_rtc.errors import AvatarKitError, RealtimeTimeoutError, RealtimeTransportError
from avatarkit_rtc.integrations.error_text import text_of
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.core.effects import Connect, Disconnect, Update


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest times, in seconds."""

    connect_s: float = 20.0
    update_s: float = 15.0
    disconnect_s: float = 5.0
    """Also what a cancelled operation has to end."""


class Operations:
    """Runs one at a time; a new one cancels the one before, unless that disconnects, and waits for it."""

    def __init__(
        self,
        client: RealtimeClient,
        timeouts: Timeouts,
        ended: Callable[[Connect | Update | Disconnect, Exception | None], None],
    ) -> None:
        """
        Args:
            ended: is told how each ended that was not cancelled.
        """
        self._client = client
        self._timeouts = timeouts
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """What runs."""
        return tuple(self._tasks)

    async def closed(self) -> None:
        """Wait until what is being disconnected is."""
        if self._closing:
            await asyncio.wait(self._closing)

    def start(self, effect: Connect | Update | Disconnect) -> None:
        """Do ``effect`` once what was before is over."""
        self.cancel()
        task = asyncio.create_task(
            self._run(effect, self.tasks), name=f"realtime {type(effect).__name__.lower()}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if isinstance(effect, Disconnect):
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def cancel(self) -> None:
        """End what runs, without telling how it ended. Disconnecting goes on: half of it would leak."""
        for task in self._tasks - self._closing:
            task.cancel()

    async def _run(
        self, effect: Connect | Update | Disconnect, before: tuple[asyncio.Task[None], ...]
    ) -> None:
        if before:
            # Twice: a disconnect has its own limit, which must not come to its end in the same moment.
            await asyncio.wait(before, timeout=2 * self._timeouts.disconnect_s)
        match effect:
            case Connect():
                if effect.again:
                    with contextlib.suppress(Exception):
                        await self._within(self._client.disconnect(), self._timeouts.disconnect_s, "close")
                error = await self._try(
                    self._client.connect(effect.config), self._timeouts.connect_s, "connect"
                )
            case Update():
                error = await self._try(self._client.update(effect.config), self._timeouts.update_s, "update")
            case Disconnect():
                error = await self._try(self._client.disconnect(), self._timeouts.disconnect_s, "disconnect")
        self._ended(effect, error)

    async def _try(self, work: Coroutine[Any, Any, None], timeout_s: float, what: str) -> Exception | None:
        try:
            await self._within(work, timeout_s, what)
        except Exception as error:
            return as_realtime_error(error, what)
        return None

    async def _within(self, work: Coroutine[Any, Any, None], timeout_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout_s) as limit:
                await work
        except TimeoutError as error:
            if not limit.expired():
                raise  # the client's own
            said = f"the realtime client did not {what} within {timeout_s:g} s; try again"
            raise RealtimeTimeoutError(said) from error


def as_realtime_error(error: Exception, what: str) -> AvatarKitError:
    """``error`` as one of this package: a client may raise anything."""
    if isinstance(error, AvatarKitError):
        return error
    wrapped = RealtimeTransportError(
        f"the realtime client could not {what}: {type(error).__name__}: {text_of(error)}"
    )
    wrapped.__cause__ = error
    return wrapped
