"""A client of OpenAI-style realtime servers, on a WebSocket.

What is sent and what comes is translated without any network by :mod:`~.wire`, :mod:`~.decoder` and
:mod:`~.turns`; here are the socket, its time limits and its end. aiohttp does the WebSocket: it is what the
HTTP of :mod:`~.remote_client` needs as well, and most programs have it already.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from avatarkit_rtc.errors import (
    ConfigurationError,
    RealtimeError,
    RealtimeServerError,
    RealtimeStateError,
    RealtimeTimeoutError,
    RealtimeTransportError,
)
from avatarkit_rtc.integrations.http import checked_key, load_aiohttp, proxy_for
from avatarkit_rtc.integrations.realtime import wire
from avatarkit_rtc.integrations.realtime.client import EventHandler
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.connection import MAX_MESSAGE_BYTES, NEEDS, Connection
from avatarkit_rtc.integrations.realtime.events import ClientEvent, ConnectionLost

if TYPE_CHECKING:
    import aiohttp

_log = logging.getLogger("avatarkit_rtc.realtime")

API_KEY_VARIABLE: Final = "REALTIME_API_KEY"
"""The environment's variable that the key is taken from where none is given."""

CONNECT_TIMEOUT_S: Final = 15.0
"""For a connection with a session that has its configuration."""
ANSWER_TIMEOUT_S: Final = 10.0
"""For the answer to an update, and for one message to get into the socket."""
HEARTBEAT_S: Final = 10.0
"""A connection on which nothing comes is asked for a sign of life after so long, and given up half as much
later."""
_CLOSE_S: Final = 2.0


class WebSocketRealtimeClient:
    """A :class:`~avatarkit_rtc.integrations.realtime.client.RealtimeClient` for OpenAI's realtime API and
    servers like it."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        dialect: Literal["auto", "ga", "beta"] = "auto",
        headers: Mapping[str, str] | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """
        Args:
            url: ``wss://…/v1/realtime``. A config's model is added as ``?model=``, where the address does not
                say one.
            key: sent as bearer token; None for the environment's ``REALTIME_API_KEY``, and where that is not
                set either none is sent, as for a server on this machine.
            dialect: ``ga`` for the protocol as it was released, ``beta`` for the preview's; ``auto`` goes by
                what the server says of its session.
            headers: further headers of the connection's request. Kept out of logs and errors like the key.
            connect_timeout_s: longest time for :meth:`connect`.
            answer_timeout_s: longest time for the answer to an update, and for a message to be sent.
            heartbeat_s: see :data:`HEARTBEAT_S`.

        Raises:
            ConfigurationError: an argument cannot be right; the message holds nothing of the key.
        """
        self._url = _checked(url)
        key = key if key is not None else os.environ.get(API_KEY_VARIABLE)
        self._key = checked_key(key, "the key of the realtime server") if key else None
        if dialect not in ("auto", "ga", "beta"):
            raise ConfigurationError(f"dialect is auto, ga or beta, not {dialect!r}")
        if not (connect_timeout_s > 0 and answer_timeout_s > 0 and heartbeat_s > 0):
            raise ConfigurationError("times must be more than 0")
        self._dialect = dialect
        self._headers = dict(headers or {})
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._heartbeat_s = heartbeat_s
        self._handler: EventHandler | None = None
        self._connection: Connection | None = None
        self._lost: Connection | None = None  # the last one, which closes by itself
        self._connecting = False

    @property
    def address(self) -> str:
        """Where it connects to, without query: for logs."""
        return urlunsplit(urlsplit(self._url)._replace(query="", fragment=""))

    def __repr__(self) -> str:
        return f"<WebSocketRealtimeClient {self.address}>"

    def set_event_handler(self, handler: EventHandler | None) -> None:
        """See :class:`~.client.RealtimeClient`, as for all of these."""
        self._handler = handler

    async def connect(self, config: RealtimeSessionConfig) -> None:
        """Open a connection, and a session with ``config``.

        Raises:
            RealtimeStateError: there is a connection.
            RealtimeServerError: the server refused; ``server_code`` is the HTTP status or its own code.
            RealtimeTimeoutError: it did not answer in time.
            RealtimeTransportError: it was not reached, or broke off.
            MissingDependencyError: aiohttp is not installed.
        """
        if self._connection is not None or self._connecting:
            raise RealtimeStateError("this client is connected; disconnect() first")
        self._connecting = True
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._open(config)
                await connection.begin(config)
        except BaseException as error:
            if connection is not None:
                connection.abandoned = True
                await connection.close()
            if isinstance(error, TimeoutError):
                text = f"{self.address} did not answer within {self._connect_timeout_s:g} s; try again"
                raise RealtimeTimeoutError(text) from None
            raise
        else:
            self._connection = connection
            connection.established()
        finally:
            self._connecting = False

    async def _open(self, config: RealtimeSessionConfig) -> Connection:
        aiohttp = load_aiohttp(*NEEDS)
        headers = dict(self._headers)
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        if self._dialect == "beta":
            headers["OpenAI-Beta"] = "realtime=v1"
        # The key is in headers of our own, so no login of ~/.netrc may take its place (trust_env).
        session = aiohttp.ClientSession()
        try:
            socket = await session.ws_connect(
                _with_model(self._url, config.model),
                headers=headers,
                max_msg_size=MAX_MESSAGE_BYTES,
                heartbeat=self._heartbeat_s,
                proxy=proxy_for(self._url),
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
            )
        except aiohttp.WSServerHandshakeError as error:
            failure: RealtimeError = _refused(self.address, error.status)
        except (aiohttp.ClientError, OSError) as error:
            why = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
            text = f"{self.address} was not reached ({why}); check the address and the network"
            failure = RealtimeTransportError(text)
        except BaseException:
            await session.close()
            raise
        else:
            return self._connection_on(session, socket, config)
        await session.close()
        # Raised here, where aiohttp's error is not its context: that holds the headers, so the key as well.
        raise failure

    def _connection_on(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        config: RealtimeSessionConfig,
    ) -> Connection:
        return Connection(
            self,
            session,
            socket,
            dialect=None if self._dialect == "auto" else self._dialect,
            sample_rate=config.output_rate,
            send_timeout_s=self._answer_timeout_s,
        )

    async def update(self, config: RealtimeSessionConfig) -> None:
        """Give the session ``config``.

        Raises:
            RealtimeServerError: the server does not accept it.
            RealtimeTimeoutError: it did not answer in time.
            RealtimeTransportError: the connection broke off.
            RealtimeStateError: not connected.
        """
        connection = self._require()
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await connection.configure(config)
        except TimeoutError:
            text = f"the realtime server did not answer an update within {self._answer_timeout_s:g} s"
            raise RealtimeTimeoutError(text) from None

    async def disconnect(self) -> None:
        """Close the connection; takes 2 s at most where the server does not answer."""
        connection, self._connection = self._connection or self._lost, None
        if connection is not None:
            await connection.close()

    async def send_text(self, text: str) -> None:
        """Say ``text`` as the user, in writing, and have it responded to."""
        connection = self._require()
        await connection.send(wire.user_message(text))
        if connection.turns.asked():
            await connection.ask()

    async def send_audio(self, pcm: bytes) -> None:
        """Append the user's sound."""
        if pcm:
            await self._require().append(pcm)

    async def commit_audio(self) -> None:
        """End the user's turn, and have it responded to."""
        await self._require().commit()

    async def interrupt(self, *, item_id: str | None = None, played_ms: int | None = None) -> None:
        """End the response under way, if there is one, and let the server forget what was not heard."""
        await self._require().interrupt(item_id, played_ms)

    async def send_tool_result(self, call_id: str, output: Mapping[str, Any]) -> None:
        """Answer a tool call.

        Raises:
            RealtimeError: ``output`` is no JSON, or it could not be sent.
        """
        connection = self._require()
        try:
            message = wire.tool_result(call_id, output)
        except (TypeError, ValueError) as error:
            raise RealtimeError(f"the result of a tool is no JSON: {error}") from error
        await connection.send(message)
        if connection.turns.answered(call_id):
            await connection.ask()

    def stats(self) -> Mapping[str, int]:
        """Of the connection there is: messages ``ignored`` (of no use here), ``malformed``, and ``stale`` (of
        responses that are not under way). Empty without one."""
        if self._connection is None:
            return {}
        decoder = self._connection.decoder
        return {"ignored": decoder.ignored, "malformed": decoder.malformed, "stale": decoder.stale}

    # -- for the connection ----------------------------------------------------------------------------------

    def tell(self, event: ClientEvent) -> None:
        """Hand ``event`` to the handler."""
        if self._handler is not None:
            try:
                self._handler(event)
            except Exception:
                _log.exception("a handler of realtime events failed")

    def lost(self, connection: Connection, event: ConnectionLost) -> None:
        """``connection`` broke; it is closed."""
        if self._connection is connection:
            self._connection, self._lost = None, connection
            self.tell(event)

    def _require(self) -> Connection:
        if self._connection is None:
            raise RealtimeStateError("this client is not connected; connect() first")
        return self._connection


def _refused(address: str, status: int) -> RealtimeServerError:
    advice = {
        401: "check the key",
        403: "check what the key may do",
        404: "check the address and the model",
        429: "too many sessions or requests, or no credit left; try later",
    }.get(status, "try later")
    return RealtimeServerError(f"{address} refused ({status}); {advice}", server_code=str(status))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
        fits = fits and parts.username is None
    except (TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise ConfigurationError(
            "that is no address of a realtime server; one looks like wss://api.openai.com/v1/realtime"
        )
    return url


def _with_model(url: str, model: str | None) -> str:
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if model is None or any(name == "model" for name, _ in query):
        return url
    return urlunsplit(parts._replace(query=urlencode([*query, ("model", model)])))
