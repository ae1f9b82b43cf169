"""For tests of Runway: tools, a worker that calls them, an API that takes its time, a key to look for."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from livekit import rtc

from avatarkit_rtc.integrations.runway import RpcHandler
from avatarkit_rtc.testing.runway_api import StandInRunwayApi

KEY = "key_c0ffee-that-nobody-may-see"

APPLICATION_ERROR = 1500
"""LiveKit's code of an error that the method itself answers with."""


async def echo(args: Any) -> Any:
    return {"got": args}


def plain(args: Any) -> Any:
    return {"thread": threading.current_thread() is not threading.main_thread(), "got": args}


class EndlessTool:
    """Never ends by itself."""

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()

    async def __call__(self, args: Any) -> Any:
        self.begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Worker:
    """Calls a handler's tools by real RPC."""

    def __init__(self, room: rtc.Room, handler: RpcHandler) -> None:
        self.room = room
        self._handler = handler

    @property
    def destination(self) -> str:
        room = self._handler._provider.get_native_client()
        assert room is not None
        return str(room.local_participant.identity)

    async def call(
        self, tool: str, args: Any = None, *, payload: str | None = None, timeout_s: float = 10.0
    ) -> Any:
        """The tool's result, from JSON."""
        return json.loads(await self.call_text(tool, args, payload=payload, timeout_s=timeout_s))

    async def call_text(
        self, tool: str, args: Any = None, *, payload: str | None = None, timeout_s: float = 10.0
    ) -> str:
        """The reply as it came."""
        return await self.room.local_participant.perform_rpc(
            destination_identity=self.destination,
            method=tool,
            payload=json.dumps({"args": args}) if payload is None else payload,
            response_timeout=timeout_s,
        )

    async def refusal(self, tool: str, args: Any = None, **options: Any) -> tuple[int, str]:
        """Code and message of the error that the call must end with."""
        try:
            reply = await self.call_text(tool, args, **options)
        except rtc.RpcError as error:
            return int(error.code), error.message
        raise AssertionError(f"answered with {reply[:200]}")


class SlowApi(StandInRunwayApi):
    """Creates a session at once, and answers when ``go`` is set."""

    def __init__(self) -> None:
        super().__init__(key=KEY)
        self.creating = asyncio.Event()
        self.go = asyncio.Event()

    async def _create(self, body: Any) -> Any:
        session = await super()._create(body)
        self.creating.set()
        await self.go.wait()
        return session
