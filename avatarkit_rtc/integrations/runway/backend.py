"""The way into a session's room for a backend: credentials, joining with them, coming back."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from livekit import rtc

from avatarkit_rtc.errors import ConfigurationError, RunwayStatusError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.integrations.runway.client import RunwayClient, RunwayCredentials
from avatarkit_rtc.integrations.runway.first_call import registered_on_joining
from avatarkit_rtc.integrations.runway.http import REFUSED_FOR_NOW
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.providers.livekit_session import RoomSession

CredentialsSource: TypeAlias = "RunwayCredentials | Mapping[str, Any] | Callable[[], Any]"
"""Credentials, or a function (or coroutine function) that returns fresh ones at each join."""

FreshCredentials: TypeAlias = Callable[[], Awaitable[RunwayCredentials]]


class BackendProvider(LiveKitProvider):
    """Joins with credentials that are asked for at each join, and subscribes to nothing."""

    def __init__(
        self, credentials: FreshCredentials | None, room: rtc.Room | None, connect_timeout_s: float
    ) -> None:
        """
        Args:
            credentials: asked at each join; None for a borrowed room.
            room: the room to borrow.
        """
        # No participant has an empty identity, so no avatar is found and nothing of one is subscribed.
        super().__init__("", room=room)
        self._credentials = credentials
        self._connect_timeout_s = connect_timeout_s
        self._methods: Sequence[str] = ()

    def expect_calls(self, methods: Sequence[str]) -> None:
        """Join rooms with these RPC methods; their handlers are to be registered when it is connected."""
        self._methods = methods

    async def connect(self, config: ConnectionConfig) -> None:
        """See :meth:`LiveKitProvider.connect`; what ``config`` says is replaced by the credentials."""
        if self._credentials is not None:
            way = await self._credentials()
            config = ConnectionConfig(way.url, way.token, way.room_name, timeout_s=self._connect_timeout_s)
        await super().connect(config)

    async def _enter(self, session: RoomSession, url: str, token: str) -> None:
        with registered_on_joining(self._methods, token):
            await super()._enter(session, url, token)


class BackendListener:
    """A :class:`~avatarkit_rtc.providers.base.ProviderListener` that passes states and errors on. With no
    avatar looked for, nothing else comes."""

    def __init__(
        self,
        on_state: Callable[[ConnectionState, DisconnectReason | None], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._on_state = on_state
        self._on_error = on_error

    @property
    def wants_video(self) -> bool:
        """No."""
        return False

    def on_connection_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        """Pass it on."""
        self._on_state(state, reason)

    def on_provider_error(self, error: Exception) -> None:
        """Pass it on."""
        self._on_error(error)

    def on_motion_packet(self, data: bytes) -> None:
        """Never comes."""

    def on_avatar_joined(self, identity: str) -> None:
        """Never comes."""

    def on_avatar_left(self, identity: str) -> None:
        """Never comes."""

    def on_audio(self, feed: Any) -> None:
        """Never comes."""

    def on_audio_ended(self) -> None:
        """Never comes."""

    def on_video(self, feed: Any, *, muted: bool) -> None:
        """Never comes."""

    def on_video_muted(self, muted: bool) -> None:
        """Never comes."""

    def on_video_ended(self) -> None:
        """Never comes."""

    def on_message(self, data: bytes, sender: str) -> None:
        """Of no interest."""

    def on_token_refreshed(self) -> None:
        """Of no interest."""


def credentials_source(
    api_key: str | None,
    session_id: str | None,
    credentials: CredentialsSource | None,
    room: rtc.Room | None,
    base_url: str | None,
) -> FreshCredentials | None:
    """What returns credentials at each join; None for a borrowed room.

    Raises:
        ConfigurationError: not exactly one way into the room is given, or it is malformed.
    """
    ways = [way for way in (session_id, credentials, room) if way is not None]
    if len(ways) != 1:
        given = "none of them" if not ways else "more than one"
        raise ConfigurationError(
            f"give either session_id (with api_key), or credentials, or room; {given} was given"
        )
    if room is not None:
        return None
    if session_id is not None:
        client, wanted = RunwayClient(api_key, base_url=base_url), session_id

        async def ask() -> RunwayCredentials:
            return await client.connect_backend(wanted)

        return ask
    if not callable(credentials):
        fixed = RunwayCredentials.of(credentials)

        async def same() -> RunwayCredentials:
            return fixed

        return same
    fresh = credentials

    async def call() -> RunwayCredentials:
        said = await fresh() if inspect.iscoroutinefunction(fresh) else await asyncio.to_thread(fresh)
        return RunwayCredentials.of(await said if inspect.isawaitable(said) else said)

    return call


def reconnect_policy(auto_reconnect: bool | ReconnectPolicy) -> ReconnectPolicy | None:
    """The policy; where it says nothing else, an API that refuses (401, 403, 404, …) ends the attempts."""
    if not auto_reconnect:
        return None
    policy = auto_reconnect if isinstance(auto_reconnect, ReconnectPolicy) else ReconnectPolicy()
    if policy.worth_a_retry is not None:
        return policy
    usual = policy

    def worth_it(error: Exception) -> bool:
        if isinstance(error, RunwayStatusError):
            return error.status >= 500 or error.status in REFUSED_FOR_NOW
        return usual.retries(error)

    return replace(policy, worth_a_retry=worth_it)
