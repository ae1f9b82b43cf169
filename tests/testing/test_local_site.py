from __future__ import annotations

import asyncio
import socket

import pytest

aiohttp = pytest.importorskip("aiohttp")
web = pytest.importorskip("aiohttp.web")

from avatarkit_rtc.testing.local_site import serve_locally  # noqa: E402


async def test_an_application_answers_until_it_is_cleaned_up() -> None:
    async def answer(_: object) -> object:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    runner, port = await serve_locally(app)
    async with aiohttp.ClientSession() as client:
        async with client.get(f"http://127.0.0.1:{port}/") as reply:
            assert await reply.text() == "here"
        await runner.cleanup()
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(f"http://127.0.0.1:{port}/")


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = asyncio.all_tasks()
        with pytest.raises(OSError, match="address"):
            await serve_locally(web.Application(), taken.getsockname()[1])
        assert asyncio.all_tasks() == before
