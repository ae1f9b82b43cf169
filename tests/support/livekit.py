"""What tests with a real LiveKit server share: the server's address and keys, join tokens, waiting."""

from __future__ import annotations

import asyncio
import datetime
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from livekit import api


class LiveKitServer(Protocol):
    """A running server: one of our own, or the one the environment names."""

    @property
    def url(self) -> str: ...

    @property
    def http_url(self) -> str: ...

    @property
    def api_key(self) -> str: ...

    @property
    def api_secret(self) -> str: ...


@dataclass(frozen=True)
class ExternalServer:
    """The server that LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET name."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)

    @property
    def http_url(self) -> str:
        return self.url.replace("ws", "http", 1)


def external_server() -> ExternalServer | None:
    """The server of the environment, if all three variables are set."""
    values = [os.environ.get(name) for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")]
    url, key, secret = values
    return ExternalServer(url, key, secret) if url and key and secret else None


def mint_token(
    server: LiveKitServer,
    room: str,
    identity: str,
    *,
    attributes: Mapping[str, str] | None = None,
    kind: str | None = None,
    ttl_s: float = 3600.0,
    can_publish: bool = True,
    can_subscribe: bool = True,
) -> str:
    """A join token for ``room``."""
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=can_publish,
        can_publish_data=True,
        can_subscribe=can_subscribe,
        can_update_own_metadata=True,
    )
    token = api.AccessToken(server.api_key, server.api_secret).with_identity(identity).with_grants(grants)
    token = token.with_ttl(datetime.timedelta(seconds=ttl_s))
    if attributes:
        token = token.with_attributes(dict(attributes))
    if kind:
        token = token.with_kind(kind)  # type: ignore[arg-type]
    return token.to_jwt()


async def until(condition: Callable[[], object], what: str, timeout_s: float = 15.0) -> None:
    """Wait until ``condition()`` is true; fail the test with ``what`` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        await asyncio.sleep(0.02)
