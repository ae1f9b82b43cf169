"""A WebSocket client of realtime servers beside the stand-in server, on a real socket."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig, ToolDefinition
from avatarkit_rtc.integrations.realtime.events import AssistantDone
from avatarkit_rtc.integrations.realtime.websocket_client import WebSocketRealtimeClient
from avatarkit_rtc.testing.realtime import Reply, StandInRealtimeServer
from tests.support.livekit import until

KEY = "sk-secret-of-the-tests"
CONFIG = RealtimeSessionConfig(instructions="Be brief.", voice="marin", tools=(ToolDefinition("wave"),))
SHORT = Reply("Hi.", seconds=0.2)


class ClientSession:
    """A client, its events, and the server it speaks with."""

    def __init__(self, server: StandInRealtimeServer, **options: Any) -> None:
        self.server = server
        self.events: list[Any] = []
        self.client = WebSocketRealtimeClient(server.url, key=KEY, **options)
        self.client.set_event_handler(self.events.append)

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]

    async def has(self, kind: type, count: int = 1) -> None:
        await until(lambda: len(self.of(kind)) >= count, f"{count} {kind.__name__}")

    def sent(self, kind: str) -> list[dict[str, Any]]:
        return self.server.connection.events(kind)

    async def says(self) -> None:
        """Until the response to a message is done."""
        count = len(self.of(AssistantDone)) + 1
        await self.client.send_text("hi")
        await self.has(AssistantDone, count)


def stand_in() -> StandInRealtimeServer:
    """A server that says :data:`SHORT`, all of it at once."""
    return StandInRealtimeServer(key=KEY, reply=SHORT, speed=math.inf)


@asynccontextmanager
async def open_session(**options: Any) -> AsyncIterator[ClientSession]:
    """A client with a session on a server of its own; ``options`` are the client's."""
    async with stand_in() as server:
        session = ClientSession(server, **options)
        await session.client.connect(CONFIG)
        try:
            yield session
        finally:
            await session.client.disconnect()
