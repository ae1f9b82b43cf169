"""Who asks SpatialReal, for which avatar, and where."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.providers.join_token import redacted

API_KEY_VARIABLE: Final = "SPATIALREAL_API_KEY"
APP_ID_VARIABLE: Final = "SPATIALREAL_APP_ID"
AVATAR_ID_VARIABLE: Final = "SPATIALREAL_AVATAR_ID"
ENVIRONMENT_VARIABLE: Final = "SPATIALREAL_ENVIRONMENT"
CONSOLE_VARIABLE: Final = "SPATIALREAL_CONSOLE_ENDPOINT"
INGRESS_VARIABLE: Final = "SPATIALREAL_INGRESS_ENDPOINT"
"""The names that livekit-plugins-spatialreal reads, so that one environment does for both."""


@dataclass(frozen=True, slots=True)
class SpatialRealCredentials:
    """An API key, an app and an avatar."""

    api_key: str = field(repr=False)
    """Secret. Kept out of every repr, log line and exception."""
    app_id: str
    avatar_id: str

    @classmethod
    def of(cls, api_key: str | None = None, app_id: str | None = None, avatar_id: str | None = None) -> Self:
        """From arguments, else from ``SPATIALREAL_API_KEY``, ``SPATIALREAL_APP_ID`` and
        ``SPATIALREAL_AVATAR_ID``.

        Raises:
            ConfigurationError: something is missing, or cannot be sent. The message holds none of the values.
        """
        return cls(
            _value("api_key", api_key, API_KEY_VARIABLE),
            _value("app_id", app_id, APP_ID_VARIABLE),
            _value("avatar_id", avatar_id, AVATAR_ID_VARIABLE),
        )


@dataclass(frozen=True, slots=True)
class SpatialRealEndpoints:
    """Where the service is. Everything empty: what the vendor's package takes by itself."""

    environment: str = ""
    """Name of a deployment (``us-west``); the vendor's package asks its config service for the addresses."""
    console_url: str = ""
    """HTTP address that session tokens come from; wins over the environment's."""
    ingress_url: str = ""
    """Address of the WebSocket, ``https://`` or ``wss://``; wins over the environment's."""

    @classmethod
    def of(
        cls,
        environment: str | None = None,
        console_url: str | None = None,
        ingress_url: str | None = None,
    ) -> Self:
        """From arguments, else from ``SPATIALREAL_ENVIRONMENT``, ``SPATIALREAL_CONSOLE_ENDPOINT`` and
        ``SPATIALREAL_INGRESS_ENDPOINT``.

        Raises:
            ConfigurationError: an address is none.
        """
        return cls(
            environment or os.environ.get(ENVIRONMENT_VARIABLE, ""),
            _address("console_url", console_url, CONSOLE_VARIABLE, ("http", "https")),
            _address("ingress_url", ingress_url, INGRESS_VARIABLE, ("http", "https", "ws", "wss")),
        )


def _value(name: str, given: str | None, variable: str) -> str:
    value = given if given is not None else os.environ.get(variable, "")
    value = value.strip() if isinstance(value, str) else ""
    if not value:
        raise ConfigurationError(f"{name} is missing; pass it, or set {variable}")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigurationError(f"{name} cannot be right: it has characters that none has")
    return value


def _address(name: str, given: str | None, variable: str, schemes: tuple[str, ...]) -> str:
    value = given if given is not None else os.environ.get(variable, "")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(f"{name} {redacted(value)!r} is no address; one begins with {schemes[1]}://")
    return value.rstrip("/")
