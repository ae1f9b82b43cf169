"""Coming back by itself after a stall or a lost connection: attempts, backoff, and when it is enough."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.events import (
    ConnectionState,
    DisconnectReason,
    ReconnectAttempt,
    ReconnectFailed,
    ReconnectSucceeded,
)
from avatarkit_rtc.options import ReconnectPolicy

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


class Rejoinable(Protocol):
    """What auto-reconnect asks of the connection."""

    @property
    def state(self) -> ConnectionState:
        """The state now."""

    @property
    def connects(self) -> int:
        """Times the room was joined."""

    async def reconnect(self, *, by_itself: bool) -> None:
        """Join anew; raises AvatarKitError."""

    def give_up(self, attempts: int, cause: str) -> None:
        """No more attempts: it is over."""


class AutoReconnect:
    """One recovery at a time, in a task of its own. Does nothing without a policy."""

    def __init__(
        self,
        policy: ReconnectPolicy | None,
        connection: Rejoinable,
        emit: Callable[..., None],
        *,
        motion_timeout_s: float,
    ) -> None:
        """
        Args:
            motion_timeout_s: how long after a rejoin motion may take to come.
        """
        self._policy = policy
        self._connection = connection
        self._emit = emit
        self._motion_timeout = motion_timeout_s
        self._alive = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._running = False
        self._made = 0
        self._random = random.Random()
        self.attempts = 0
        """Attempts made so far, of all recoveries."""

    @property
    def enabled(self) -> bool:
        """Whether there is a policy."""
        return self._policy is not None

    @property
    def running(self) -> bool:
        """Whether a recovery is going on."""
        return self._running

    def note_activity(self) -> None:
        """A well-formed packet came."""
        self._alive.set()

    def expect_activity(self) -> None:
        """Packets of before do not count any more."""
        self._alive.clear()

    def start(self, cause: str, *, expect_motion: bool) -> None:
        """Begin to recover from ``cause``, unless that is going on. ``expect_motion``: a rejoin counts as
        a success only when motion comes after it."""
        if self._policy is None or self._running:
            return
        self.stop()
        self._running = True
        self._alive.clear()
        self._run(self._attempt_until_done(self._policy, cause, expect_motion))

    def watch(self) -> None:
        """The library has resumed the session by itself: see whether motion comes back as well."""
        if self._policy is None or self._running:
            return
        self.stop()
        self._alive.clear()
        self._run(self._watch(self._policy))

    def stop_watching(self) -> None:
        """End a :meth:`watch`, not a recovery."""
        if not self._running:
            self.stop()

    def stop(self) -> asyncio.Task[None] | None:
        """End it; returns the task that may take a moment to end."""
        task, self._task = self._task, None
        self._running = False
        if task is not None:
            task.cancel()
        return task

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._task = asyncio.create_task(work, name="auto-reconnect")
        # Not in the coroutine: one that is cancelled before its first step never gets to its finally.
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        current = task is self._task
        if current:
            self._task = None
            self._running = False
        error = None if task.cancelled() else task.exception()
        if error is not None:  # worth_a_retry is the caller's and may raise
            self._emit("error", error)
            if current:
                self._give_up(self._made, type(error).__name__)

    async def _watch(self, policy: ReconnectPolicy) -> None:
        # The avatar may need to come back on its own after such a loss, so it gets more time.
        if not await self._motion_comes(3 * self._motion_timeout):
            self._running = True
            await self._attempt_until_done(policy, "no-motion", expect_motion=True)

    async def _attempt_until_done(self, policy: ReconnectPolicy, cause: str, expect_motion: bool) -> None:
        connection = self._connection
        for attempt in itertools.count(1):
            self._made = attempt - 1
            if policy.attempts is not None and attempt > policy.attempts:
                self._give_up(attempt - 1, cause)
                return
            delay, connects = policy.delay_s(attempt, self._random), connection.connects
            self.attempts += 1
            self._emit("reconnect-attempt", ReconnectAttempt(attempt, delay, cause))
            await asyncio.sleep(delay)
            self._made = attempt
            # Motion may have come back meanwhile, and the caller may have rejoined.
            back = self._alive.is_set() or connection.connects != connects
            try:
                if not (back and connection.state is ConnectionState.CONNECTED):
                    await connection.reconnect(by_itself=True)
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
        self._emit("reconnect-failed", ReconnectFailed(attempts, cause))
        self._connection.give_up(attempts, cause)
