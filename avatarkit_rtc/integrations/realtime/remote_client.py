"""A client without a key: a server of the user's own opens the session, and says where it is.

``POST {api_endpoint}`` with ``{"adapter", "transport", "provider", "model", "session"}``, the session as an
OpenAI-style server takes it; the answer is ``{"adapter", "transport": "websocket", "url", "token"}``. The
token, which should be good for one session and soon expire, is then the key of the connection. It is asked
for anew at each connect and reconnect, so it need not be kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from avatarkit_rtc.errors import (
    ConfigurationError,
    RealtimeReplyError,
    RealtimeServerError,
    RealtimeStateError,
    RealtimeTimeoutError,
    RealtimeTransportError,
)
from avatarkit_rtc.integrations.http import load_aiohttp, proxy_for
from avatarkit_rtc.integrations.realtime import wire
from avatarkit_rtc.integrations.realtime.client import EventHandler, RealtimeClient
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.connection import NEEDS
from avatarkit_rtc.integrations.realtime.events import ClientEvent, ConnectionLost
from avatarkit_rtc.integrations.realtime.websocket_client import WebSocketRealtimeClient
from avatarkit_rtc.providers.join_token import redacted

if TYPE_CHECKING:
    import aiohttp

DEFAULT_ADAPTER: Final = "openai-websocket"
"""What this package can speak by itself."""

REQUEST_TIMEOUT_S: Final = 10.0

_LONGEST_ANSWER: Final = 256 << 10
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class SessionWay:
    """Where a session is, as the user's server says."""

    adapter: str
    """Which client speaks with it."""
    url: str
    """``wss://…``"""
    token: str = field(repr=False)
    """Key of this one session."""


Adapter: TypeAlias = Callable[[SessionWay], RealtimeClient]
"""Makes the client of one connection."""


def _openai(way: SessionWay) -> RealtimeClient:
    return WebSocketRealtimeClient(way.url, key=way.token)


def parse_way(answer: object, adapter: str) -> SessionWay:
    """What the user's server answered. Pure.

    Args:
        adapter: that was asked for.

    Raises:
        RealtimeReplyError: it is not of the shape that is told above, or names another adapter. The message
            holds nothing of the answer but that name.
    """
    if not isinstance(answer, dict) or not all(
        isinstance(answer.get(name), str) for name in ("adapter", "transport")
    ):
        raise RealtimeReplyError("the session server's answer has no adapter and transport; is that it?")
    if answer["adapter"] != adapter:
        raise RealtimeReplyError(
            f"the session server answered for the adapter {answer['adapter'][:80]!r}, not {adapter!r}"
        )
    if answer["transport"] != "websocket":
        raise RealtimeReplyError(
            f"the session server offers the transport {answer['transport'][:80]!r}; here is only websocket"
        )
    url, token = answer.get("url"), answer.get("token")
    if not (isinstance(url, str) and isinstance(token, str) and url and token):
        raise RealtimeReplyError("the session server's answer has no url and token")
    return SessionWay(adapter, url, token)


class RemoteRealtimeClient:
    """A :class:`~avatarkit_rtc.integrations.realtime.client.RealtimeClient` whose sessions a server of the
    user's opens."""

    def __init__(
        self,
        api_endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        adapters: Mapping[str, Adapter] | None = None,
        resolve_adapter: Callable[[RealtimeSessionConfig], str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        """
        Args:
            api_endpoint: ``https://…``, of the user's server.
            headers: of the request, to say who asks. Kept out of logs and errors.
            adapters: further clients by name, over ``openai-websocket``.
            resolve_adapter: says which of them a config wants; None: ``openai-websocket``.
            timeout_s: longest time for the request and its answer.

        Raises:
            ConfigurationError: an argument cannot be right.
        """
        self._endpoint = _checked(api_endpoint)
        if not timeout_s > 0:
            raise ConfigurationError("timeout_s must be more than 0")
        self._headers = dict(headers or {})
        self._adapters: dict[str, Adapter] = {DEFAULT_ADAPTER: _openai, **(adapters or {})}
        self._resolve = resolve_adapter or (lambda config: DEFAULT_ADAPTER)
        self._timeout_s = timeout_s
        self._handler: EventHandler | None = None
        self._client: RealtimeClient | None = None
        self._lost: RealtimeClient | None = None
        self._connecting = False

    def __repr__(self) -> str:
        return f"<RemoteRealtimeClient {self._address}>"

    @property
    def _address(self) -> str:
        return urlunsplit(urlsplit(self._endpoint)._replace(query="", fragment=""))

    def set_event_handler(self, handler: EventHandler | None) -> None:
        """See :class:`~.client.RealtimeClient`, as for all of these."""
        self._handler = handler

    async def connect(self, config: RealtimeSessionConfig) -> None:
        """Ask for a session, and connect to it.

        Raises:
            RealtimeStateError: there is a connection, or no such adapter.
            RealtimeReplyError: the answer is not what was to be expected.
            RealtimeServerError: the user's server, or the provider, refused.
            RealtimeTransportError: one of them was not reached, or did not answer in time.
            MissingDependencyError: aiohttp is not installed.
        """
        if self._client is not None or self._connecting:
            raise RealtimeStateError("this client is connected; disconnect() first")
        self._connecting = True
        try:
            adapter = self._resolve(config)
            make = self._adapters.get(adapter)
            if make is None:
                known = ", ".join(sorted(self._adapters))
                raise RealtimeStateError(f"there is no realtime adapter {adapter!r}; there are {known}")
            way = parse_way(await self._ask(config, adapter), adapter)
            try:
                client = make(way)
            except ConfigurationError as error:
                raise RealtimeReplyError(f"the session server's answer is of no use: {error}") from error
            client.set_event_handler(self._happened)
            self._client = client
            try:
                await client.connect(config)
            except BaseException:
                self._client = None
                raise
        finally:
            self._connecting = False

    async def update(self, config: RealtimeSessionConfig) -> None:
        """Give the session ``config``."""
        await self._require().update(config)

    async def disconnect(self) -> None:
        """Close the connection."""
        client, self._client, self._lost = self._client or self._lost, None, None
        if client is not None:
            await client.disconnect()

    async def send_text(self, text: str) -> None:
        """Say ``text`` as the user, in writing."""
        await self._require().send_text(text)

    async def send_audio(self, pcm: bytes) -> None:
        """Append the user's sound."""
        await self._require().send_audio(pcm)

    async def commit_audio(self) -> None:
        """End the user's turn."""
        await self._require().commit_audio()

    async def interrupt(self, *, item_id: str | None = None, played_ms: int | None = None) -> None:
        """End the response under way."""
        await self._require().interrupt(item_id=item_id, played_ms=played_ms)

    async def send_tool_result(self, call_id: str, output: Mapping[str, Any]) -> None:
        """Answer a tool call."""
        await self._require().send_tool_result(call_id, output)

    def _happened(self, event: ClientEvent) -> None:
        if isinstance(event, ConnectionLost):
            # The next connection has a token of its own, and a client.
            self._lost, self._client = self._client, None
        if self._handler is not None:
            self._handler(event)

    def _require(self) -> RealtimeClient:
        if self._client is None:
            raise RealtimeStateError("this client is not connected; connect() first")
        return self._client

    async def _ask(self, config: RealtimeSessionConfig, adapter: str) -> object:
        aiohttp = load_aiohttp(*NEEDS)
        failure: str | None = None
        session = wire.session_update(config, "ga")["session"]
        request = {"adapter": adapter, "transport": config.transport or "websocket"}
        body = {**request, "provider": config.provider, "model": config.model, "session": session}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_s)) as http,
                http.post(
                    self._endpoint,
                    data=wire.encode(body),
                    headers={"Content-Type": "application/json", **self._headers},
                    allow_redirects=False,  # they would take the headers elsewhere
                    proxy=proxy_for(self._endpoint),
                ) as response,
            ):
                content = await _read(response)
                status = response.status
        except TimeoutError:
            text = f"{self._address} did not answer within {self._timeout_s:g} s; try again"
            raise RealtimeTimeoutError(text) from None
        except (aiohttp.ClientError, OSError) as error:
            failure = f"{self._address} was not reached ({type(error).__name__}); check the address"
        if failure is not None:
            # Raised here, where aiohttp's error is not its context: that may hold the headers that were sent.
            raise RealtimeTransportError(failure)
        if not 200 <= status < 300:
            said = " ".join(redacted(content.decode("utf-8", "replace"), *self._headers.values()).split())
            text = f"{self._address} refused ({status}): {said[:_SHOWN] or 'no more is said'}"
            raise RealtimeServerError(text, server_code=str(status))
        try:
            answer: object = json.loads(content)
        except (ValueError, RecursionError):
            raise RealtimeReplyError(f"the answer of {self._address} is no JSON") from None
        return answer


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(64 << 10):
        content += chunk
        if len(content) > _LONGEST_ANSWER:
            raise RealtimeReplyError(f"the session server answered with more than {_LONGEST_ANSWER} bytes")
    return bytes(content)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        fits = fits and parts.username is None
    except (TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise ConfigurationError("api_endpoint is the https:// address of a server of your own")
    return url
