"""One connection to the service, from its session token to its close: the vendor's package, with time limits
and this package's errors."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from avatarkit_rtc.errors import (
    AvatarKitError,
    NotConnectedError,
    SpatialRealClosedError,
    SpatialRealConnectionError,
    SpatialRealError,
    SpatialRealReplyError,
)
from avatarkit_rtc.integrations.spatialreal.credentials import SpatialRealCredentials, SpatialRealEndpoints
from avatarkit_rtc.integrations.spatialreal.problems import closed_after, problem_of
from avatarkit_rtc.integrations.spatialreal.vendor import loaded_spatialreal, vendor_session

CLOSE_TIMEOUT_S: Final = 5.0
"""Longest wait for the service's own close; what is left of it goes on behind the scenes for 10 s at most."""
SEND_TIMEOUT_S: Final = 10.0
"""The service takes nothing for so long: the connection counts as lost."""

_SAID_BEFORE_S: Final = 5.0
"""What the service says goes wrong is taken for the reason of a close that follows so soon."""

_log = logging.getLogger("avatarkit_rtc.spatialreal")


class LinkListener(Protocol):
    """Who hears what the service reports. Calls come on the event loop."""

    def on_signal(self, request_id: str, end: bool) -> None:
        """The utterance goes on, or has been said."""

    def on_playback_state(self, request_id: str, state: str, position_s: float, reason: str) -> None:
        """The utterance is ``playing``, ``paused``, ``ended`` or ``interrupted``."""

    def on_service_error(self, error: AvatarKitError, request_id: str | None) -> None:
        """The service could not do something; the connection stays."""


class Link:
    """Opened once, lost or closed once."""

    def __init__(
        self,
        credentials: SpatialRealCredentials,
        endpoints: SpatialRealEndpoints,
        listener: LinkListener,
    ) -> None:
        """Nothing is connected yet."""
        self._credentials = credentials
        self._endpoints = endpoints
        self._listener = listener
        self._vendor: Any = None
        self._socket: Any = None
        self._open = False
        self._said: tuple[float, SpatialRealError | None] = (0.0, None)
        self._closing: asyncio.Future[Any] | None = None
        self._lost: asyncio.Future[AvatarKitError] = asyncio.get_running_loop().create_future()
        self._secrets: tuple[str, ...] = (credentials.api_key,)

    @property
    def connection_id(self) -> str | None:
        """The service's name of the connection, once it is open."""
        return None if self._vendor is None else self._vendor.connection_id

    @property
    def is_open(self) -> bool:
        """Whether it is connected and not lost."""
        return self._open and not self._lost.done()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the service says it can do, once it is open."""
        return () if self._vendor is None else tuple(self._vendor.capabilities)

    async def open(
        self,
        *,
        valid_for_s: float,
        timeout_s: float,
        on_token: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> None:
        """Get a session token, connect and agree on the session. Safe to cancel; then, and after a failure,
        :meth:`aclose` is still to be called.

        Args:
            valid_for_s: so long the session token is to be valid, in seconds.
            timeout_s: longest time for everything.
            on_token: called when the session token is there.
            options: further keywords of ``spatialreal.new_avatar_session``.

        Raises:
            SpatialRealError: see its subclasses.
            ConfigurationError: the service's package does not take the configuration.
            MissingDependencyError: the package is not installed.
        """
        await loaded_spatialreal()
        # The service counts in wall clock time; only the token's end is told so.
        expire_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=valid_for_s)
        vendor = self._vendor = vendor_session(
            self._credentials,
            self._endpoints,
            expire_at=expire_at,
            token_request_timeout=timeout_s,
            on_playback=lambda signal: self._listener.on_signal(signal.req_id, bool(signal.end)),
            on_playback_state=self._on_state,
            on_error=self._on_error,
            on_close=self._on_close,
            **options,
        )
        problem: AvatarKitError | None = None
        try:
            async with asyncio.timeout(timeout_s):
                await vendor.init()
                # Not to be seen anywhere either, and known to nobody but the package.
                self._secrets = (*self._secrets, str(getattr(vendor, "_session_token", "") or ""))
                on_token()
                await vendor.start()
            self._socket = getattr(vendor, "_connection", None)
        except Exception as error:
            problem = problem_of(error, *self._secrets)
        if problem is not None:  # not inside: the original, which may tell secrets, would stay with it
            raise problem
        self._open = not self._lost.done()

    async def wait_lost(self) -> AvatarKitError:
        """Wait until the connection is gone, and why."""
        return await asyncio.shield(self._lost)

    async def send_audio(self, pcm: bytes, *, end: bool = False) -> str:
        """Send mono 16-bit sound of the utterance that is open, or of a new one; returns the request's id.

        Raises:
            SpatialRealError: the connection is gone.
        """
        return str(await self._call(lambda vendor: vendor.send_audio(pcm, end=end)))

    async def interrupt(self) -> None:
        """Cut the last utterance off.

        Raises:
            SpatialRealError: the connection is gone.
        """
        await self._call(lambda vendor: vendor.interrupt())

    async def pause(self) -> None:
        """Hold the last utterance.

        Raises:
            SpatialRealError: the connection is gone.
        """
        await self._call(lambda vendor: vendor.pause())

    async def resume(self) -> None:
        """Let the last utterance go on.

        Raises:
            SpatialRealError: the connection is gone.
        """
        await self._call(lambda vendor: vendor.resume())

    def fail(self, error: AvatarKitError) -> None:
        """The connection is of no use any more."""
        self._open = False
        if not self._lost.done():
            at, said = self._said
            if said is not None and time.monotonic() - at < _SAID_BEFORE_S:
                error = closed_after(said, error)
            self._lost.set_result(error)

    async def aclose(self) -> None:
        """Close it. Never raises; more than once is fine. Takes 5 s at most."""
        self._open = False
        if self._vendor is None:
            return
        if self._closing is None:
            # In a task of its own: whoever is cancelled while waiting leaves it to its end.
            self._closing = asyncio.ensure_future(self._vendor.close())
            self._closing.add_done_callback(_observe)
            _unfinished.add(self._closing)
        _, late = await asyncio.wait([self._closing], timeout=CLOSE_TIMEOUT_S)
        if late:
            _log.warning("SpatialReal did not close the connection within %g s", CLOSE_TIMEOUT_S)

    async def _call(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        vendor = self._vendor
        if not self.is_open or vendor is None:
            if self._lost.done():
                raise self._lost.result()
            raise NotConnectedError("the session is not connected to the service")
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                return await work(vendor)
        except Exception as error:
            problem = problem_of(error, *self._secrets)
        await asyncio.sleep(0)  # who reads may know better why, and hears of it at the same time
        self.fail(problem)
        raise self._lost.result()

    def _on_state(self, event: Any) -> None:
        self._listener.on_playback_state(
            event.req_id, event.state.value, event.played_ms / 1000, event.reason
        )

    def _on_error(self, error: Exception) -> None:
        problem = problem_of(error, *self._secrets)
        from_service = getattr(error, "server_code", None) is not None
        # What the service says with a close code is the session's fate, also before the close itself.
        fatal = getattr(error, "close_code", None) is not None if from_service else True
        if fatal and not isinstance(problem, SpatialRealReplyError):
            self.fail(problem)
            return
        if isinstance(problem, SpatialRealError):
            self._said = (time.monotonic(), problem)
        self._listener.on_service_error(problem, getattr(error, "req_id", None))

    def _on_close(self) -> None:
        # To the package 1000 and 1001 are the same good end.
        if getattr(self._socket, "close_code", None) == _GOING_AWAY:
            going = "SpatialReal's server is going away; connect to another one"
            self.fail(SpatialRealConnectionError(going, close_code=_GOING_AWAY, retryable=True))
        self.fail(SpatialRealClosedError("SpatialReal has ended the session", close_code=1000))


_GOING_AWAY: Final = 1001

_unfinished: set[asyncio.Future[Any]] = set()
"""Closes that go on; the event loop itself keeps only weak references."""


def _observe(work: asyncio.Future[Any]) -> None:
    _unfinished.discard(work)
    if not work.cancelled():
        work.exception()
