"""A stand-in of Runway's API with real LiveKit rooms, a session in it, and its worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from livekit import rtc

from avatarkit_rtc.integrations.runway import RpcHandler, RunwayClient, Tool, create_rpc_handler
from avatarkit_rtc.testing.runway_api import StandInRunwayApi
from tests.support.livekit import LiveKitServer
from tests.support.runway import KEY, SlowApi, Worker


@pytest.fixture
async def api(livekit_server: LiveKitServer) -> AsyncIterator[StandInRunwayApi]:
    """Sessions get a room on the real server, with a worker in it."""
    async with StandInRunwayApi(livekit_server, key=KEY) as api:
        yield api


@pytest.fixture
async def bare_api() -> AsyncIterator[StandInRunwayApi]:
    """HTTP only."""
    async with StandInRunwayApi(key=KEY) as api:
        yield api


@pytest.fixture
async def slow_api() -> AsyncIterator[SlowApi]:
    """HTTP only; sessions are answered for when the test says so."""
    async with SlowApi() as api:
        yield api


@pytest.fixture
def client(bare_api: StandInRunwayApi) -> RunwayClient:
    return RunwayClient(KEY, base_url=bare_api.url, retry_interval_s=0.05)


Start = Callable[..., Awaitable[tuple[RpcHandler, Worker]]]


@pytest.fixture
async def start(api: StandInRunwayApi) -> AsyncIterator[Start]:
    """``await start({"name": function}, **options)``: a handler in a new session's room, and its worker."""
    handlers: list[RpcHandler] = []

    async def begin(
        tools: Mapping[str, Callable[[Any], Any] | Tool], **options: Any
    ) -> tuple[RpcHandler, Worker]:
        session_id = await RunwayClient(KEY, base_url=api.url).create_session(preset_id="influencer")
        handler = await create_rpc_handler(
            tools=tools, api_key=KEY, session_id=session_id, base_url=api.url, **options
        )
        handlers.append(handler)
        room: rtc.Room | None = api.sessions[session_id].room
        assert room is not None
        return handler, Worker(room, handler)

    yield begin
    for handler in handlers:
        await handler.close()
