"""The WebSocket client against the stand-in server, on a real socket: sessions, arguments, secrets."""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.errors import (
    ConfigurationError,
    RealtimeError,
    RealtimeServerError,
    RealtimeStateError,
    RealtimeTimeoutError,
    RealtimeTransportError,
)
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDone,
    AudioDelta,
    AudioDone,
    ConnectionLost,
    SessionCreated,
    SessionUpdated,
    UsageReported,
)
from avatarkit_rtc.integrations.realtime.websocket_client import API_KEY_VARIABLE, WebSocketRealtimeClient
from avatarkit_rtc.testing.realtime import Fault, Moment, StandInRealtimeServer
from tests.support.livekit import until
from tests.support.realtime import on_patient_time
from tests.support.realtime_client import CONFIG, KEY, SHORT, ClientSession, stand_in


async def test_it_is_a_client(server: StandInRealtimeServer) -> None:
    assert isinstance(ClientSession(server).client, RealtimeClient)


@pytest.mark.parametrize("beta", [False, True])
@pytest.mark.parametrize("dialect", ["auto", "right"])
async def test_a_conversation_in_both_dialects(beta: bool, dialect: str) -> None:
    named = ("beta" if beta else "ga") if dialect == "right" else "auto"
    async with StandInRealtimeServer(key=KEY, beta=beta, reply=SHORT, speed=math.inf) as server:
        session = ClientSession(server, dialect=named)
        await session.client.connect(CONFIG)
        assert [type(each) for each in session.events] == [SessionCreated, SessionUpdated]
        assert server.connection.session.config["instructions"] == "Be brief."
        assert server.connection.session.config["tools"][0]["name"] == "wave"
        assert server.connection.request.headers.get("OpenAI-Beta") == (
            "realtime=v1" if named == "beta" else None
        )
        await session.says()
        assert b"".join(each.pcm for each in session.of(AudioDelta)) == SHORT.pcm()
        (usage,) = session.of(UsageReported)
        assert usage.usage["total_tokens"] == 110
        assert session.of(AssistantDone) == [AssistantDone("Hi.", "resp_1_1")]
        assert len(session.of(AudioDone)) == 1
        session.events.clear()
        await session.client.disconnect()
        await session.client.disconnect()
        assert session.events == []
        await until(lambda: server.connection.closed, "the server to see the end")


async def test_the_model_is_part_of_the_address(server: StandInRealtimeServer) -> None:
    server_url = server.url.split("?")[0]
    for url, wanted in ((server_url, "gpt x"), (f"{server_url}?a=b", "gpt x"), (server.url, "stand-in")):
        client = WebSocketRealtimeClient(url, key=KEY)
        await client.connect(RealtimeSessionConfig(model="gpt x"))
        assert server.connection.request.query["model"] == wanted
        await client.disconnect()
    assert server.connection.request.query.get("a") is None


# -- connecting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "key"), (403, "key"), (404, "model"), (429, "later"), (503, "later")]
)
async def test_a_server_that_refuses(server: StandInRealtimeServer, status: int, advice: str) -> None:
    session = ClientSession(server)
    server.refuse(status)
    with pytest.raises(RealtimeServerError, match=advice) as caught:
        await session.client.connect(CONFIG)
    assert caught.value.server_code == str(status)
    assert session.events == []
    await session.client.connect(CONFIG)
    with pytest.raises(RealtimeStateError):
        await session.client.connect(CONFIG)
    await session.client.disconnect()


@on_patient_time
@pytest.mark.parametrize("kind", ["drop", "close", "hang", "error"])
@pytest.mark.parametrize("moment", [Moment.CONNECTED, Moment.PATCH])
async def test_a_session_that_does_not_come_about(moment: Moment, kind: Any) -> None:
    async with stand_in() as server:
        session = ClientSession(server)
        server.fail(moment, Fault(kind))
        with pytest.raises(RealtimeError) as caught:
            await session.client.connect(CONFIG)
        wanted = {"hang": RealtimeTimeoutError, "error": RealtimeServerError}
        assert isinstance(caught.value, wanted.get(kind, RealtimeTransportError))
        assert session.of(ConnectionLost) == []
        await session.client.connect(CONFIG)
        await session.client.disconnect()


async def test_nobody_there() -> None:
    client = WebSocketRealtimeClient("ws://127.0.0.1:9/v1/realtime?token=geheim", key=KEY)
    with pytest.raises(RealtimeTransportError, match="not reached") as caught:
        await client.connect(CONFIG)
    assert "geheim" not in str(caught.value) + repr(client)
    await client.disconnect()


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.02])
async def test_connecting_may_be_cancelled(server: StandInRealtimeServer, after_s: float) -> None:
    session = ClientSession(server)
    server.fail(Moment.PATCH, Fault("hang"))
    before = asyncio.all_tasks()
    connecting = asyncio.create_task(session.client.connect(CONFIG))
    await asyncio.sleep(after_s)
    connecting.cancel()
    await asyncio.wait([connecting])
    session.events.clear()
    await until(lambda: all(each.closed for each in server.connections), "the server to see the end")
    ours = {each for each in asyncio.all_tasks() - before if "realtime events" in each.get_name()}
    assert not ours
    assert session.events == []


async def test_without_a_connection(server: StandInRealtimeServer) -> None:
    client = ClientSession(server).client
    calls: list[Callable[[], Any]] = [
        lambda: client.update(CONFIG),
        lambda: client.send_text("a"),
        lambda: client.send_audio(b"ab"),
        client.commit_audio,
        client.interrupt,
        lambda: client.send_tool_result("c", {}),
    ]
    for call in calls:
        with pytest.raises(RealtimeStateError):
            await call()


# -- secrets and arguments -----------------------------------------------------------------------------------


async def test_the_key_is_in_nothing_that_anybody_reads(
    server: StandInRealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.key = "another"
    client = WebSocketRealtimeClient(
        server.url.replace("?", "?token=geheim&"), key=KEY, headers={"X-Key": "sk-header"}
    )
    with pytest.raises(RealtimeServerError) as caught:
        await client.connect(CONFIG)
    said = "".join(traceback.format_exception(caught.value)) + repr(client) + repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None  # aiohttp's errors hold the headers
    for secret in (KEY, "geheim", "sk-header"):
        assert secret not in said + caplog.text


async def test_the_key_may_come_from_the_environment(
    server: StandInRealtimeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, KEY)
    client = WebSocketRealtimeClient(server.url)
    await client.connect(CONFIG)
    await client.disconnect()
    monkeypatch.delenv(API_KEY_VARIABLE)
    with pytest.raises(RealtimeServerError):
        await WebSocketRealtimeClient(server.url).connect(CONFIG)
    assert server.refused == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "http://a"},
        {"url": "ws://"},
        {"url": "wss://user:geheim@a/"},
        {"url": None},
        {"url": "ws://a:x/"},
        {"key": "sk geheim"},
        {"key": "geheimé"},
        {"dialect": "new"},
        {"connect_timeout_s": 0},
        {"answer_timeout_s": -1},
        {"heartbeat_s": 0},
    ],
)
def test_arguments_that_cannot_be_right(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WebSocketRealtimeClient(**{"url": "ws://a/", **arguments})
    assert "geheim" not in str(caught.value)
