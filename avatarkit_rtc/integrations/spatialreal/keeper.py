"""A session's state, and the one task that owns its connections: makes them, loses them, makes them anew, and
closes the last one."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    AvatarKitError,
    NotConnectedError,
    SpatialRealError,
)
from avatarkit_rtc.integrations.spatialreal.events import RetryAttempt
from avatarkit_rtc.integrations.spatialreal.link import Link
from avatarkit_rtc.integrations.spatialreal.problems import expected
from avatarkit_rtc.integrations.spatialreal.states import (
    OVER,
    TRANSITIONS,
    SessionInput,
    SessionState,
)
from avatarkit_rtc.integrations.waiting import wait_out
from avatarkit_rtc.options import ReconnectPolicy

STABLE_S: Final = 10.0
"""A connection that lasted so long begins the count of attempts anew; a shorter one is a failed attempt."""

_log = logging.getLogger("avatarkit_rtc.spatialreal")


class Connecting(Protocol):
    """What the keeper asks of the session."""

    def new_link(self) -> Link:
        """A link that is not open yet."""

    async def open_link(self, link: Link) -> None:
        """Open it; raises AvatarKitError."""

    def explained(self, error: AvatarKitError) -> AvatarKitError:
        """Called with each failure of a connection; may add to it."""

    def gave_up(self, error: AvatarKitError) -> None:
        """There is no other try, and nobody who waits for ``error``."""

    def worth_a_retry(self, error: SpatialRealError, *, stable: bool) -> bool:
        """Whether another connection may do better; ``stable``: this one had lasted for a while."""

    def link_lost(self, error: AvatarKitError | None) -> None:
        """What was being said is over; None where the session ends."""

    async def closed(self) -> None:
        """The last link is closed."""


class Keeper:
    """From the first connection to the end of the last one."""

    def __init__(
        self, session: Connecting, policy: ReconnectPolicy | None, emit: Callable[..., None]
    ) -> None:
        """
        Args:
            session: whose connections these are.
            policy: how often and when a lost connection is made anew; None for never.
            emit: emits an event of the session's.
        """
        self._session = session
        self._policy = policy
        self._emit = emit
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._random = random.Random()
        self.state = SessionState.NEW
        self.link: Link | None = None
        """The present connection, or the one that is being made."""
        self.error: AvatarKitError | None = None
        """Why the last connection was lost, or did not come about."""
        self.connections = 0
        """Connections that came about."""

    async def start(self) -> None:
        """Begin; returns with the first connection.

        Raises:
            AlreadyConnectedError: it was begun before.
            AvatarKitError: there is none.
        """
        if self._task is not None or self.over:
            raise AlreadyConnectedError("this session has been used already; make another SpatialRealSession")
        self._move(SessionInput.START)
        self._task = asyncio.create_task(self._run(), name="SpatialReal session")
        # Not in the coroutine: one that is cancelled before its first step does nothing at all.
        self._task.add_done_callback(self._over)
        try:
            while not self.over and self.state is not SessionState.RUNNING:
                await self._changed.wait()
        except BaseException:
            self.begin_end()
            await self.wait_out()
            raise
        if self.over:
            raise self.why_over()

    def begin_end(self) -> None:
        """End it; more than once is fine."""
        self._move(SessionInput.END)
        if self._task is not None:
            self._task.cancel()

    @property
    def over(self) -> bool:
        """Nothing more is said."""
        return self.state in OVER

    async def wait_out(self) -> None:
        """Wait until everything is closed, also when the caller is cancelled; that is raised afterwards."""
        if self._task is not None:
            await wait_out(self._task)

    async def wait_ended(self) -> None:
        """Wait until it is over, for whatever reason."""
        while self.state not in (SessionState.ENDED, SessionState.FAILED):
            await self._changed.wait()

    async def connected(self) -> Link:
        """The open link, once there is one.

        Raises:
            AvatarKitError: there will be none.
        """
        while self.state is not SessionState.RUNNING or self.link is None or not self.link.is_open:
            if self.state in OVER or self.state is SessionState.NEW:
                raise self.why_over()
            await self._changed.wait()
        return self.link

    def why_over(self) -> AvatarKitError:
        """Why nothing can be said."""
        if self.state is SessionState.FAILED and self.error is not None:
            return self.error
        if self.state is SessionState.NEW:
            return NotConnectedError(
                "the session has not been started; use `async with SpatialRealSession(…)`"
            )
        return NotConnectedError("the session has ended; make another SpatialRealSession")

    # -- the task --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._keep_connected()
        except Exception as error:
            await self._break_down(error)
        finally:  # all three, whichever fails
            try:
                self._session.link_lost(None)
            finally:
                try:
                    await self._close_link()
                finally:
                    await self._session.closed()

    async def _keep_connected(self) -> None:
        attempts = itertools.count(1)
        while True:
            lasted_s, error = await self._one_connection()
            self.error = error
            await self._close_link()
            stable = lasted_s >= STABLE_S
            if stable:
                attempts = itertools.count(1)
            attempt = next(attempts)
            if not self._worth_it(error, attempt, stable=stable):
                self._give_up(error)
                return
            await self._pause(error, attempt, at_once=stable)

    async def _one_connection(self) -> tuple[float, AvatarKitError]:
        """From its making to its loss: how long it lasted, in seconds, and what went wrong."""
        link = self.link = self._session.new_link()
        try:
            await self._session.open_link(link)
        except AvatarKitError as error:
            return 0.0, self._session.explained(error)
        began = time.monotonic()
        self.connections += 1
        self._move(SessionInput.CONNECTED)
        loss = self._session.explained(await link.wait_lost())
        self._session.link_lost(loss)
        return time.monotonic() - began, loss

    def _worth_it(self, error: AvatarKitError, attempt: int, *, stable: bool) -> bool:
        policy = self._policy
        if policy is None or not isinstance(error, SpatialRealError):
            return False
        if policy.attempts is not None and attempt > policy.attempts:
            return False
        if policy.worth_a_retry is not None:
            return policy.worth_a_retry(error)
        return self._session.worth_a_retry(error, stable=stable)

    async def _pause(self, error: AvatarKitError, attempt: int, *, at_once: bool) -> None:
        assert self._policy is not None
        self._move(SessionInput.LOST)
        # Only after a while of it: a service that ends each connection at once is not asked again at once.
        at_once = at_once and isinstance(error, SpatialRealError) and expected(error)
        delay = 0.0 if at_once else self._policy.delay_s(attempt, self._random)
        _log.info("%s; connecting anew in %.2g s (attempt %d)", error, delay, attempt)
        self._emit("retry", RetryAttempt(attempt, delay, error))
        await asyncio.sleep(delay)

    async def _close_link(self) -> None:
        if self.link is not None:
            await self.link.aclose()  # cancelled, it is waited for again by who ends the session
            self.link = None

    async def _break_down(self, cause: Exception) -> None:
        """The session's own part has failed: an end as by a connection that is lost for good."""
        _log.error("the session broke down", exc_info=cause)
        if self.state not in OVER:
            self.error = error = _broken(cause)
            self._session.link_lost(error)
            await self._close_link()
            self._give_up(error)

    def _give_up(self, error: AvatarKitError) -> None:
        starting = self.state is SessionState.STARTING
        self._move(SessionInput.GIVE_UP)
        if not starting:  # else start() raises it
            self._session.gave_up(error)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("closing the session failed", exc_info=error)
            if self.state not in OVER:
                self.error = _broken(error)
                self._give_up(self.error)
        self._move(SessionInput.CLOSED if self.state in OVER else SessionInput.GIVE_UP)

    def _move(self, happened: SessionInput) -> None:
        before = self.state
        self.state = TRANSITIONS[before, happened]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if self.state is not before:
            self._emit("state-changed", self.state)


def _broken(cause: BaseException) -> SpatialRealError:
    error = SpatialRealError(
        f"the session broke down here ({type(cause).__name__}); what it was given may not be right",
        retryable=False,
    )
    error.__cause__ = cause
    return error
