"""A stand-in of Runway's API on this machine: sessions, faults on demand, and a record of every request.

    async with LocalServer() as server, StandInRunwayApi(server) as api:
        client = RunwayClient("key", base_url=api.url)

A session has a worker in a real LiveKit room (the caller's, or one on ``server``), which takes note of
``END_CALL``. Needs ``pip install 'avatarkit-rtc[runway,server]'``.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing.local_site import serve_locally

if TYPE_CHECKING:
    from aiohttp import web
    from livekit import rtc

WORKER_IDENTITY: Final = "worker:stand-in"
"""Identity of the worker in rooms of the service's own."""
_JOIN_TIMEOUT_S: Final = 10.0


class Server(Protocol):
    """Where rooms of the service's own are: :class:`~avatarkit_rtc.testing.server.LocalServer` will do."""

    @property
    def url(self) -> str: ...
    @property
    def api_key(self) -> str: ...
    @property
    def api_secret(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: Any
    """The JSON of the body; None for an empty one."""
    at: float
    """When it came, in seconds of the event loop's clock."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What one request gets instead of its answer."""

    status: int = 200
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["answer", "hang", "cut-off", "close"] = "answer"
    """``hang``: no answer. ``cut-off``: the connection ends within the body; ``close``: before it."""
    carried_out: bool = False
    """The request has its effect all the same."""


@dataclass(slots=True)
class StandInSession:
    """A session of the stand-in's."""

    id: str
    created_with: Mapping[str, Any]
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    status: str = "NOT_READY"
    polls: int = 0
    ends: list[str] = field(default_factory=list)
    """``END_CALL`` and ``DELETE``, in the order they came."""
    backends: list[str] = field(default_factory=list)
    """Identities that ``connect_backend`` gave out."""
    room_name: str = ""
    room: rtc.Room | None = field(default=None, repr=False)
    """The worker's."""


class StandInRunwayApi:
    """An HTTP server on a free port of 127.0.0.1, as an async context manager."""

    def __init__(
        self,
        server: Server | None = None,
        *,
        key: str = "stand-in-key",
        ready_after_polls: int = 2,
        with_worker: bool = True,
    ) -> None:
        """
        Args:
            server: for rooms of the service's own; None: there are none.
            key: the API key that is let in.
            ready_after_polls: a session is ``READY`` when it was asked for so often.
            with_worker: a worker joins the room of each session.
        """
        self.key = key
        self.requests: list[Request] = []
        """Everything that came, in order."""
        self.sessions: dict[str, StandInSession] = {}
        """By id."""
        self._server = server
        self._ready_after = ready_after_polls
        self._with_worker = with_worker
        self._faults: dict[str, deque[Fault]] = {}
        self._runner: web.AppRunner | None = None
        self._closed = asyncio.Event()
        self._port = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ends(self) -> list[str]:
        """All ends of all sessions."""
        return [end for session in self.sessions.values() for end in session.ends]

    def fail(self, what: str, *faults: Fault) -> None:
        """The next requests of kind ``what`` get ``faults``, one each.

        Args:
            what: method and the last word of the path: ``"POST realtime_sessions"``, ``"POST consume"``,
                ``"POST connect_backend"``, ``"GET"``, ``"DELETE"``.
        """
        self._faults.setdefault(what, deque()).extend(faults)

    def seen(self, what: str) -> list[Request]:
        """The requests of a kind, see :meth:`fail`."""
        return [request for request in self.requests if _kind(request.method, request.path) == what]

    async def __aenter__(self) -> Self:
        from aiohttp import web

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner, self._port = await serve_locally(app)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        if self._runner is not None:
            await self._runner.cleanup()
        for session in self.sessions.values():
            if session.room is not None:
                await session.room.disconnect()

    # ---- requests -----------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = json.loads(raw) if raw else None
        at = asyncio.get_running_loop().time()
        self.requests.append(Request(request.method, request.path, headers, body, at))
        faults = self._faults.get(_kind(request.method, request.path))
        if not faults:
            return await self._answer(request.method, request.path, headers, body)
        fault = faults.popleft()
        answer = web.Response(status=fault.status, text=fault.text, headers=fault.headers)
        if fault.carried_out:
            carried_out = await self._answer(request.method, request.path, headers, body)
            if not fault.text:
                answer = carried_out
        if fault.kind == "hang":
            await self._closed.wait()
        elif fault.kind == "close":
            _drop(request)
        elif fault.kind == "cut-off":
            started = web.StreamResponse(status=fault.status, headers={"Content-Length": "1000"})
            await started.prepare(request)
            await started.write(b'{"id": "')
            _drop(request)
            return started
        return answer

    async def _answer(  # noqa: PLR0911 (one per kind of request)
        self, method: str, path: str, headers: Mapping[str, str], body: Any
    ) -> web.Response:
        from aiohttp import web

        def refuse(status: int, said: str) -> web.Response:
            return web.json_response({"error": said}, status=status)

        parts = path.strip("/").split("/")
        if parts[:2] != ["v1", "realtime_sessions"]:
            return refuse(404, "no such path")
        if headers.get("x-runway-version") != "2024-11-06":
            return refuse(400, "X-Runway-Version")
        bearer = headers.get("authorization", "")
        session = self.sessions.get(parts[2]) if len(parts) > 2 else None
        if parts[3:] == ["consume"]:
            if session is None:
                return refuse(404, "no such session")
            if bearer != f"Bearer {session.key}" or session.status != "READY":
                return refuse(401, "session key")
            session.status = "RUNNING"
            return web.json_response(self._way(session, "user", hidden=False))
        if bearer != f"Bearer {self.key}":
            return refuse(401, "API key")
        if method == "POST" and len(parts) == 2:
            return web.json_response({"id": (await self._create(body)).id})
        if session is None:
            return refuse(404, "no such session")
        if method == "POST" and parts[3:] == ["connect_backend"]:
            session.backends.append(f"backend-{secrets.token_hex(3)}")
            return web.json_response(self._way(session, session.backends[-1], hidden=True))
        if method == "DELETE":
            session.ends.append("DELETE")
            session.status = "CANCELLED"
            return web.Response(status=204)
        return web.json_response(self._state(session))

    def _state(self, session: StandInSession) -> dict[str, Any]:
        session.polls += 1
        if session.status == "NOT_READY" and session.polls >= self._ready_after:
            session.status = "READY"
        state: dict[str, Any] = {"id": session.id, "status": session.status}
        if session.status == "READY":
            state["sessionKey"] = session.key
        if session.status == "FAILED":
            state |= {"failure": "It did not work.", "failureCode": "INTERNAL"}
        return state

    async def _create(self, body: Any) -> StandInSession:
        session = StandInSession(secrets.token_hex(8), body)
        self.sessions[session.id] = session
        way = body.get("livekit") if isinstance(body, dict) else None
        if way is not None:
            session.room_name = way["roomName"]
            if self._with_worker:
                await self._send_worker(session, way["url"], way["token"])
        elif self._server is not None:
            session.room_name = f"session-{session.id}"
            if self._with_worker:
                token = self._token(session.room_name, WORKER_IDENTITY, hidden=False)
                await self._send_worker(session, self._server.url, token)
        return session

    async def _send_worker(self, session: StandInSession, url: str, token: str) -> None:
        from livekit import rtc

        from avatarkit_rtc.providers.livekit_room import OwnRoom

        room = session.room = OwnRoom()

        def on_data(packet: rtc.DataPacket) -> None:
            try:
                said = json.loads(packet.data)
            except ValueError:
                return
            if isinstance(said, dict) and said.get("type") == "END_CALL":
                session.ends.append("END_CALL")
                session.status = "COMPLETED"

        room.on("data_received", on_data)
        await asyncio.wait_for(
            room.connect(url, token, rtc.RoomOptions(auto_subscribe=False)), _JOIN_TIMEOUT_S
        )

    def _way(self, session: StandInSession, identity: str, *, hidden: bool) -> dict[str, str]:
        if self._server is None:
            raise ServerError("this stand-in has no LiveKit server; pass one to it")
        token = self._token(session.room_name, identity, hidden=hidden)
        return {"url": self._server.url, "token": token, "roomName": session.room_name}

    def _token(self, room: str, identity: str, *, hidden: bool) -> str:
        from livekit import api

        assert self._server is not None
        grants = api.VideoGrants(room_join=True, room=room, hidden=hidden, can_publish_data=True)
        token = api.AccessToken(self._server.api_key, self._server.api_secret).with_identity(identity)
        return token.with_grants(grants).with_ttl(datetime.timedelta(hours=1)).to_jwt()


def _kind(method: str, path: str) -> str:
    return f"POST {path.rsplit('/', 1)[-1]}" if method == "POST" else method


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
