"""The LiveKit room of the user's that the service brings the avatar into, and the ways into it."""

from __future__ import annotations

import inspect
import ipaddress
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from avatarkit_rtc.errors import ConfigurationError, SpatialRealEgressError
from avatarkit_rtc.integrations.spatialreal.vendor import loaded
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.join_token import read_join_token, redacted
from avatarkit_rtc.providers.minting import avatar_token, join_token, load_livekit_api

AvatarToken: TypeAlias = "str | Callable[[], str | Awaitable[str]]"
"""A ready join token of the avatar's, or what gives a fresh one for each connection to the service."""


@dataclass(frozen=True, slots=True)
class EgressRoom:
    """A room on a LiveKit server that the service can reach."""

    url: str
    name: str
    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    avatar_token: AvatarToken | None = field(default=None, repr=False)
    """Instead of key and secret, for the avatar."""

    @classmethod
    def of(
        cls,
        url: str | None,
        name: str | None,
        api_key: str | None,
        api_secret: str | None,
        token: AvatarToken | None,
    ) -> Self:
        """From arguments, else from ``LIVEKIT_URL``, ``LIVEKIT_API_KEY`` and ``LIVEKIT_API_SECRET``.

        Raises:
            ConfigurationError: something is missing or contradicts the rest. The message holds no secret.
        """
        url = url or os.environ.get("LIVEKIT_URL")
        if not url:
            raise ConfigurationError("livekit_url is missing; pass it, or set LIVEKIT_URL")
        if urlsplit(url).scheme not in ("ws", "wss", "http", "https"):
            raise ConfigurationError(f"livekit_url is ws://… or wss://…, not {redacted(url)!r}")
        api_key = api_key or os.environ.get("LIVEKIT_API_KEY")
        api_secret = api_secret or os.environ.get("LIVEKIT_API_SECRET")
        if token is None and not (api_key and api_secret):
            raise ConfigurationError(
                "the avatar needs a way into the room: pass livekit_api_key and livekit_api_secret (or set "
                "LIVEKIT_API_KEY and LIVEKIT_API_SECRET), or a ready avatar_token"
            )
        if token is not None and not (isinstance(token, str) or callable(token)):
            raise ConfigurationError("avatar_token is a join token, or a function that returns one")
        if isinstance(token, str):
            read = read_join_token(token)
            read.check_room(name)
            name = name or read.room
        if token is not None and not name:
            raise ConfigurationError("room_name is missing; it is the room that avatar_token admits to")
        return cls(url, name or f"avatarkit-{secrets.token_hex(4)}", api_key, api_secret, token)

    def doubt(self, ingress_url: str) -> str | None:
        """Why the service may not be able to reach the server: its address is of this machine or this
        network, that of the service, ``ingress_url`` (empty for the vendor's own), is not. None for no doubt.
        """
        reach = _reach(self.url)
        if reach is None or (ingress_url and _reach(ingress_url)):
            return None
        return (
            f"livekit_url {redacted(self.url)} can be reached from {reach} alone; SpatialReal's servers need "
            "one that can be reached from the internet, or the avatar does not come"
        )

    @property
    def mints(self) -> bool:
        """Whether each connection gets a fresh avatar's token."""
        return not isinstance(self.avatar_token, str)

    async def token_for_avatar(self, identity: str, on_behalf_of: str, ttl_s: float) -> str:
        """The avatar's join token for one connection to the service.

        Args:
            identity: whom it joins as.
            on_behalf_of: the participant that it speaks for.
            ttl_s: seconds for which a token that is made here admits.

        Raises:
            SpatialRealEgressError: the function that gives one has failed, or gave something else.
            ConfigurationError: it is none, or of another room.
            MissingDependencyError: ``livekit-api`` is not installed.
        """
        given = self.avatar_token
        if given is None:
            assert self.api_key is not None
            assert self.api_secret is not None
            await loaded("livekit.api", load_livekit_api)
            return avatar_token(
                self.api_key,
                self.api_secret,
                self.name,
                identity,
                publish_on_behalf=on_behalf_of,
                ttl_s=ttl_s,
            )
        if callable(given):
            try:
                made = given()
                given = await made if inspect.isawaitable(made) else made
            except Exception as error:
                raise SpatialRealEgressError(
                    f"no join token for the avatar: {type(error).__name__}: {redacted(str(error))}",
                    retryable=True,
                ) from error
        if not isinstance(given, str):
            raise SpatialRealEgressError(
                f"avatar_token gave no join token but {type(given).__name__}; it has to return a str",
                retryable=False,
            )
        read_join_token(given).check_room(self.name)
        return given

    def viewer(self, identity: str | None) -> ConnectionConfig:
        """How a viewer joins: with a fresh token at each (re)connect.

        Raises:
            ConfigurationError: without key and secret none can be made.
        """
        key, secret = self.api_key, self.api_secret
        if not (key and secret):
            raise ConfigurationError(
                "a viewer's token is made from livekit_api_key and livekit_api_secret; without them connect "
                "the player with a token of your own"
            )
        who = identity or f"viewer-{secrets.token_hex(3)}"
        return ConnectionConfig(
            url=self.url,
            room_name=self.name,
            token_provider=lambda: join_token(key, secret, self.name, who),
        )


def _reach(url: str) -> str | None:
    """Who alone reaches ``url``: ``this machine``, ``this network``; None for everybody, as far as that
    says."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return "this machine"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "this network" if host.endswith((".local", ".lan", ".internal")) else None
    if address.is_loopback or address.is_unspecified:
        return "this machine"
    return "this network" if address.is_private or address.is_link_local else None
