"""Which way the media of a :class:`LocalServer` takes."""

from __future__ import annotations

import asyncio
import re
import time

import psutil
import pytest
from livekit import rtc

from avatarkit_rtc.testing.server import LocalServer
from tests.support.livekit import mint_token


async def media_of_a_client(server: LocalServer) -> str:
    """``udp`` or ``tcp``, as the server's log tells it."""
    room = rtc.Room()
    await room.connect(server.url, mint_token(server, "media", "somebody"))
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert server.log_path is not None
            found = re.search(r'"connectionType": "(udp|tcp)"', server.log_path.read_text(errors="replace"))
            if found:
                return found[1]
            await asyncio.sleep(0.05)
        pytest.fail("the server did not log how its client is connected")
    finally:
        await room.disconnect()


async def test_media_goes_over_udp(own_server: LocalServer) -> None:
    assert await media_of_a_client(own_server) == "udp"


async def test_without_media_over_tcp_nothing_listens_for_it(own_server: LocalServer) -> None:
    own_server.stop()
    async with LocalServer(rtc_tcp=False) as server:
        assert await media_of_a_client(server) == "udp"
        assert server.pid is not None
        connections = psutil.Process(server.pid).net_connections("tcp")
        listening = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
        assert listening == {int(server.url.rsplit(":", 1)[1])}
