"""What the examples meet in a room: a stand-in avatar, and an environment that names server and token."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from avatarkit_rtc.testing import RoomTransport, StandInAvatar, StandInOptions, avatar_token, perform
from tests.support.command import clean_environment
from tests.support.livekit import LiveKitServer, mint_token

AvatarIn = Callable[..., AbstractAsyncContextManager[StandInAvatar]]


@pytest.fixture
def avatar_in(livekit_server: LiveKitServer) -> AvatarIn:
    """``async with avatar_in(room, seconds=1.2)``: an avatar speaks in the room, again and again."""

    @contextlib.asynccontextmanager
    async def enter(room: str, seconds: float = 1.2) -> AsyncIterator[StandInAvatar]:
        token = avatar_token(livekit_server.api_key, livekit_server.api_secret, room)
        async with RoomTransport(livekit_server.url, token) as transport:
            avatar = StandInAvatar(transport, [perform(3, seconds)], StandInOptions(pause_s=1.0))
            speaking = asyncio.create_task(avatar.run())
            try:
                yield avatar
            finally:
                await avatar.stop()
                await asyncio.wait([speaking])

    return enter


@pytest.fixture
def viewer_env(livekit_server: LiveKitServer, room_name: str) -> dict[str, str]:
    """A child's environment: the server and a token for ``room_name``."""
    token = mint_token(livekit_server, room_name, "viewer")
    return clean_environment(LIVEKIT_URL=livekit_server.url, LIVEKIT_TOKEN=token)
