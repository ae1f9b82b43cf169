"""The stand-in service: session tokens over HTTP, sessions over WebSockets."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from avatarkit_rtc.testing.local_site import serve_locally
from avatarkit_rtc.testing.performer import Utterance
from avatarkit_rtc.testing.spatialreal_service.behaviour import Behaviour
from avatarkit_rtc.testing.spatialreal_service.connection import Connection
from avatarkit_rtc.testing.spatialreal_service.faults import AUTH_FAILED, HttpFault, SocketFault, Where
from avatarkit_rtc.testing.spatialreal_service.performance import Performer, performer_of

if TYPE_CHECKING:
    from aiohttp import web

_KEPT: Final = 1000
_KEPT_CONNECTIONS: Final = 100
_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_TOKEN_PATH: Final = "/v1/auth/session-token"
_INGRESS_PATH: Final = "/v2/driveningress"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request that came, the WebSocket's included."""

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: Any
    """The JSON of the body; None where there is none."""
    at: float
    """When it came, in seconds of the event loop's clock."""


class SpatialRealService:
    """An HTTP server on a free port of 127.0.0.1, as an async context manager.

    async with SpatialRealService() as service:
        session = spatialreal.new_avatar_session(
            api_key=service.api_key, app_id=service.app_id, avatar_id=service.avatar_id, …,
            console_endpoint_url=service.console_url, ingress_endpoint_url=service.ingress_url)

    A session with a LiveKit egress gets an avatar into the room it names, with the token it brings, which
    speaks what is sent; the WebSocket carries signals about it. Without one the motion comes back over the
    WebSocket. Paths, messages and codes are those that ``spatialreal`` 0.2.2 and its ``driveningress.proto``
    show; what no published source tells (packets while paused, what an egress that cannot join is answered
    with, code 1000 after ``idle_timeout``) is a guess.
    """

    def __init__(
        self,
        *,
        api_key: str = "stand-in-key",
        app_id: str = "stand-in-app",
        avatar_id: str = "stand-in-avatar",
        performer: Utterance | Performer | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        """
        Args:
            api_key: the key that is let in.
            app_id: the app that is let in.
            avatar_id: the avatar there is.
            performer: what makes the motion: a clip (each turn has its motion), a performer, or by default
                one that opens its mouth as the sound is loud.
            behaviour: how it behaves otherwise.
        """
        self.api_key, self.app_id, self.avatar_id = api_key, app_id, avatar_id
        self.requests: deque[Request] = deque(maxlen=_KEPT)
        """The latest requests, in order."""
        self.connections: deque[Connection] = deque(maxlen=_KEPT_CONNECTIONS)
        """The latest WebSockets that got through the HTTP request, in order; also those that are over."""
        self._performer = performer_of(performer)
        self._behaviour = behaviour if behaviour is not None else Behaviour()
        self._faults: dict[Where, deque[HttpFault | SocketFault]] = {}
        self._tokens: dict[str, float] = {}
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()
        self._port = 0

    @property
    def console_url(self) -> str:
        """For ``console_endpoint_url``."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ingress_url(self) -> str:
        """For ``ingress_endpoint_url``."""
        return f"http://127.0.0.1:{self._port}{_INGRESS_PATH}"

    def fail(self, where: Where, *faults: HttpFault | SocketFault) -> None:
        """The next ones of ``where`` go wrong, by one of ``faults`` each.

        Raises:
            ConfigurationError: a fault is of the wrong sort.
        """
        kind = HttpFault if where in ("token", "connect") else SocketFault
        if not all(isinstance(fault, kind) for fault in faults):
            raise ConfigurationError(f"what goes wrong at {where!r} is a {kind.__name__}")
        self._faults.setdefault(where, deque()).extend(faults)

    def expire_tokens(self) -> None:
        """All session tokens given so far have expired."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def seen(self, where: Literal["token", "connect"]) -> list[Request]:
        """The requests of a kind."""
        return [request for request in self.requests if (request.method == "POST") == (where == "token")]

    async def __aenter__(self) -> Self:
        try:
            from aiohttp import web
        except ImportError as exc:
            raise MissingDependencyError(
                "the stand-in service needs aiohttp: pip install 'avatarkit-rtc[spatialreal]'"
            ) from exc
        app = web.Application()
        app.router.add_post(_TOKEN_PATH, self._give_token)
        app.router.add_get(f"{_INGRESS_PATH}/websocket", self._accept)
        self._runner, self._port = await serve_locally(app)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        connections = [each for each in self.connections if not each.closed.is_set()]
        if connections:
            ends = [asyncio.ensure_future(_end(each)) for each in connections]
            await asyncio.wait(ends, timeout=5.0)
        if self._runner is not None:
            await self._runner.cleanup()

    # ---- requests -----------------------------------------------------------------------------------------

    async def _note(self, request: web.Request) -> Any:
        raw = await request.read() if request.method == "POST" else b""
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        headers = {name.lower(): value for name, value in request.headers.items()}
        at = asyncio.get_running_loop().time()
        self.requests.append(Request(request.method, request.path, dict(request.query), headers, body, at))
        return body

    def _next_fault(self, where: Where) -> HttpFault | SocketFault | None:
        faults = self._faults.get(where)
        return faults.popleft() if faults else None

    def _next_socket_fault(self, where: Literal["handshake", "sentence"]) -> SocketFault | None:
        fault = self._next_fault(where)
        return fault if isinstance(fault, SocketFault) else None

    async def _spoil(self, request: web.Request, where: Literal["token", "connect"]) -> web.Response | None:
        """Let the next fault happen; the answer it makes, if any."""
        from aiohttp import web

        fault = self._next_fault(where)
        if not isinstance(fault, HttpFault):
            return None
        await asyncio.sleep(fault.delay_s)
        if fault.kind == "slow":
            return None
        if fault.kind == "hang":
            await self._closing.wait()
        elif fault.kind == "close":
            _abort(request)
        text = fault.text if fault.text is not None else _error_text(fault.status, "on demand")
        return web.Response(
            status=fault.status, text=text, headers=fault.headers, content_type="application/json"
        )

    async def _give_token(self, request: web.Request) -> web.Response:
        from aiohttp import web

        body = await self._note(request)
        spoilt = await self._spoil(request, "token")
        if spoilt is not None:
            return spoilt

        def refuse(status: int, detail: str) -> web.Response:
            return web.Response(
                status=status, text=_error_text(status, detail), content_type="application/json"
            )

        if request.headers.get("X-Api-Key") != self.api_key:
            return refuse(401, "unknown API key")
        expires = body.get("expireAt") if isinstance(body, dict) else None
        if not isinstance(expires, int) or expires <= _unix_time():
            return refuse(400, "expireAt must be a time to come, in seconds since 1970")
        token = secrets.token_urlsafe(24)
        self._tokens[token] = expires
        if len(self._tokens) > _KEPT:
            del self._tokens[next(iter(self._tokens))]
        return web.json_response({"session_token": token})

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        await self._note(request)
        spoilt = await self._spoil(request, "connect")
        if spoilt is not None:
            return spoilt
        ws = web.WebSocketResponse(timeout=2.0, max_msg_size=_MAX_MESSAGE_BYTES)
        await ws.prepare(request)
        connection = Connection(
            ws,
            lambda: _abort(request),
            connection_id=f"connection-{secrets.token_hex(4)}",
            avatar_id=request.query.get("id", ""),
            performer=self._performer,
            behaviour=self._behaviour,
            faults=self._next_socket_fault,
            refusal=self._refusal(request),
        )
        self.connections.append(connection)
        await connection.run()
        return ws

    def _refusal(self, request: web.Request) -> tuple[int, str] | None:
        key = request.headers.get("X-Session-Key") or request.query.get("sessionKey", "")
        app = request.headers.get("X-App-ID") or request.query.get("appId", "")
        expires = self._tokens.get(key)
        if expires is None:
            return AUTH_FAILED, "unknown session token"
        if expires <= _unix_time():
            return AUTH_FAILED, "the session token has expired"
        if app != self.app_id:
            return AUTH_FAILED, "the session token belongs to another app"
        if request.query.get("id") != self.avatar_id:
            return 4004, "no such avatar"
        return None


def _unix_time() -> float:
    # The one place for a wall clock: the protocol's times of expiry are of that kind.
    return time.time()


def _error_text(status: int, detail: str) -> str:
    return json.dumps({"errors": [{"code": f"http_{status}", "status": str(status), "detail": detail}]})


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _end(connection: Connection) -> None:
    await connection.close(1001, "the service ends")
    await connection.closed.wait()
