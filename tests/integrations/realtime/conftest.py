"""A manager, its client and what it tells, on a clock that costs nothing; a client with a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from avatarkit_rtc.integrations.realtime import RealtimeManager
from avatarkit_rtc.testing.realtime import StandInRealtimeServer
from tests.support.realtime import FakeClient, Lines, Trace, virtual_time
from tests.support.realtime_client import CONFIG, ClientSession, stand_in


class Session:
    """A manager with a client that does as it is told."""

    def __init__(self, **options: Any) -> None:
        self.client = FakeClient()
        self.lines = Lines()
        self.manager = RealtimeManager(self.client, logger=self.lines, **options)
        self.trace = Trace(self.manager)

    async def started(self) -> Session:
        """With a session; what was told of it is forgotten."""
        await self.manager.start_session()
        self.trace.clear()
        self.client.calls.clear()
        return self


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """``run(coroutine)`` in virtual time; leaves no task behind."""
    with virtual_time() as runner:
        yield runner


@pytest.fixture
async def server() -> AsyncIterator[StandInRealtimeServer]:
    """For clients on a real socket."""
    async with stand_in() as server:
        yield server


@pytest.fixture
async def session(server: StandInRealtimeServer) -> AsyncIterator[ClientSession]:
    """A client with a session on ``server``."""
    session = ClientSession(server)
    await session.client.connect(CONFIG)
    yield session
    await session.client.disconnect()
