"""``avatarkit_rtc.providers.livekit_room``, on a real server."""

from __future__ import annotations

import asyncio
import time

import pytest
from livekit import api

from avatarkit_rtc.providers.livekit_room import SETTLED_S, OwnRoom
from tests.support.livekit import LiveKitServer, mint_token


async def present(server: LiveKitServer, room_name: str) -> list[str]:
    async with api.LiveKitAPI(server.http_url, server.api_key, server.api_secret) as client:
        found = await client.room.list_participants(api.ListParticipantsRequest(room=room_name))
    return [participant.identity for participant in found.participants]


async def test_is_left_only_after_a_moment_and_the_server_knows(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    room = OwnRoom()
    await room.connect(livekit_server.url, mint_token(livekit_server, room_name, "me"))
    joined = time.monotonic()
    assert await present(livekit_server, room_name) == ["me"]
    await room.disconnect()
    assert time.monotonic() - joined >= SETTLED_S - 0.01
    gone = [await present(livekit_server, room_name)]
    while gone[-1] and time.monotonic() - joined < 10:
        await asyncio.sleep(0.1)
        gone.append(await present(livekit_server, room_name))
    assert gone[-1] == []


async def test_after_a_longer_stay_nothing_is_waited_for(
    livekit_server: LiveKitServer, room_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = OwnRoom()
    await room.connect(livekit_server.url, mint_token(livekit_server, room_name, "me"))
    await asyncio.sleep(SETTLED_S)
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float, *args: object) -> None:
        slept.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    await room.disconnect()
    assert max(slept, default=0.0) == 0.0


async def test_a_room_never_joined_is_left_at_once() -> None:
    room = OwnRoom()
    start = time.monotonic()
    await room.disconnect()
    assert time.monotonic() - start < SETTLED_S


async def test_left_twice(livekit_server: LiveKitServer, room_name: str) -> None:
    room = OwnRoom()
    await room.connect(livekit_server.url, mint_token(livekit_server, room_name, "me"))
    assert room.isconnected()
    await asyncio.gather(room.disconnect(), room.disconnect())
    assert not room.isconnected()
    await room.disconnect()
