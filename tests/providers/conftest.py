"""A LiveKitProvider that takes notes, and what it needs to join the test's room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from tests.support.livekit import LiveKitServer
from tests.support.room_peer import Notes
from tests.support.visit import Visit


@pytest.fixture
async def provider() -> AsyncIterator[LiveKitProvider]:
    provider = LiveKitProvider()
    yield provider
    await provider.disconnect()


@pytest.fixture
def notes(provider: LiveKitProvider) -> Notes:
    notes = Notes()
    provider.set_listener(notes)
    return notes


@pytest.fixture
def config(livekit_server: LiveKitServer, join_token: Callable[..., str], room_name: str) -> ConnectionConfig:
    return ConnectionConfig(livekit_server.url, join_token("visitor"), room_name)


@pytest.fixture
def visit(
    livekit_server: LiveKitServer,
    room_name: str,
    config: ConnectionConfig,
    provider: LiveKitProvider,
    notes: Notes,
) -> Visit:
    return Visit(livekit_server, room_name, config, provider, notes)
