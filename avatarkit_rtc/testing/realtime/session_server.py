"""A stand-in of the server of a user's own that opens realtime sessions for clients without a key."""

from __future__ import annotations

import secrets
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from avatarkit_rtc.testing.local_site import serve_locally
from avatarkit_rtc.testing.realtime.server import StandInRealtimeServer

if TYPE_CHECKING:
    from aiohttp import web


class StandInSessionServer:
    """Answers ``POST`` with the way to a :class:`StandInRealtimeServer`, and a token that is good there
    once more for each answer."""

    def __init__(self, realtime: StandInRealtimeServer) -> None:
        """``realtime``: where clients are sent."""
        self._realtime = realtime
        self.requests: list[Any] = []
        """The bodies that came."""
        self.answers: deque[tuple[int, Any]] = deque()
        """Status and body in place of the next answers, one each; bodies that are str or bytes are sent as
        they are."""
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self._port}/api/realtime"

    async def __aenter__(self) -> Self:
        from aiohttp import web

        app = web.Application()
        app.router.add_post("/api/realtime", self._answer)
        self._runner, self._port = await serve_locally(app)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        from aiohttp import web

        body = await request.json()
        self.requests.append(body)
        if self.answers:
            status, answer = self.answers.popleft()
            if isinstance(answer, str | bytes):
                raw = answer.encode() if isinstance(answer, str) else answer
                return web.Response(status=status, body=raw)
            return web.json_response(answer, status=status)
        token = secrets.token_urlsafe(16)
        self._realtime.tokens.add(token)
        way = {"transport": "websocket", "url": self._realtime.url, "token": token}
        return web.json_response({**way, "adapter": body.get("adapter")})
