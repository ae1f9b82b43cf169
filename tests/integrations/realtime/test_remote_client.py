"""The remote client: sessions of a server of the user's, its answers checked, no secret in anything."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from avatarkit_rtc.errors import (
    ConfigurationError,
    RealtimeError,
    RealtimeReplyError,
    RealtimeServerError,
    RealtimeStateError,
    RealtimeTimeoutError,
    RealtimeTransportError,
)
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.events import AssistantDone, ConnectionLost, ToolCalled
from avatarkit_rtc.integrations.realtime.remote_client import (
    DEFAULT_ADAPTER,
    RemoteRealtimeClient,
    SessionWay,
    parse_way,
)
from avatarkit_rtc.integrations.realtime.websocket_client import WebSocketRealtimeClient
from avatarkit_rtc.testing.realtime import (
    Call,
    Fault,
    Moment,
    Reply,
    StandInRealtimeServer,
    StandInSessionServer,
)
from tests.support.livekit import until

CONFIG = RealtimeSessionConfig(provider="openai", model="gpt", instructions="Be brief.", voice="marin")
WAY = {"adapter": DEFAULT_ADAPTER, "transport": "websocket", "url": "ws://a/", "token": "geheim"}


@pytest.fixture
async def realtime() -> AsyncIterator[StandInRealtimeServer]:
    async with StandInRealtimeServer(speed=math.inf, reply=Reply("Hi.", 0.1)) as server:
        yield server


@pytest.fixture
async def sessions(realtime: StandInRealtimeServer) -> AsyncIterator[StandInSessionServer]:
    async with StandInSessionServer(realtime) as server:
        yield server


async def test_a_session_of_the_users_server(
    realtime: StandInRealtimeServer, sessions: StandInSessionServer
) -> None:
    realtime.replies.append(Reply("Hm.", 0.1, calls=(Call("a"),)))
    events: list[Any] = []
    client = RemoteRealtimeClient(sessions.url, headers={"X-User": "u"})
    assert isinstance(client, RealtimeClient)
    client.set_event_handler(events.append)
    await client.connect(CONFIG)
    (request,) = sessions.requests
    session = request.pop("session")
    assert request == {
        "adapter": "openai-websocket",
        "transport": "websocket",
        "provider": "openai",
        "model": "gpt",
    }
    assert session["instructions"] == "Be brief."
    with pytest.raises(RealtimeStateError):
        await client.connect(CONFIG)
    await client.send_text("hi")
    await until(lambda: any(isinstance(each, ToolCalled) for each in events), "the call")
    await client.send_tool_result(next(e for e in events if isinstance(e, ToolCalled)).call_id, {"ok": True})
    await until(lambda: sum(isinstance(each, AssistantDone) for each in events) == 2, "the response")
    await client.update(RealtimeSessionConfig(instructions="Be long."))
    await client.send_audio(b"\0\0")
    await client.commit_audio()
    await client.interrupt()
    await realtime.wait_for("input_audio_buffer.commit")
    await client.disconnect()
    await client.disconnect()
    with pytest.raises(RealtimeStateError):
        await client.send_text("hi")


async def test_after_a_loss_another_session_is_asked_for(
    realtime: StandInRealtimeServer, sessions: StandInSessionServer
) -> None:
    events: list[Any] = []
    client = RemoteRealtimeClient(sessions.url)
    client.set_event_handler(events.append)
    await client.connect(CONFIG)
    realtime.connection.drop()
    await until(lambda: events and isinstance(events[-1], ConnectionLost), "the loss")
    await client.connect(CONFIG)
    assert len(sessions.requests) == len(realtime.connections) == 2
    await client.disconnect()


async def test_the_provider_that_refuses(
    realtime: StandInRealtimeServer, sessions: StandInSessionServer
) -> None:
    client = RemoteRealtimeClient(sessions.url)
    realtime.refuse(429)
    with pytest.raises(RealtimeServerError):
        await client.connect(CONFIG)
    realtime.fail(Moment.PATCH, Fault("error"))
    with pytest.raises(RealtimeServerError):
        await client.connect(CONFIG)
    await client.connect(CONFIG)
    await client.disconnect()


ANSWERS: list[tuple[int, Any, type[RealtimeError], str]] = [
    (500, "boom", RealtimeServerError, "boom"),
    (403, "", RealtimeServerError, "no more is said"),
    (302, "elsewhere", RealtimeServerError, "302"),
    (200, "{", RealtimeReplyError, "no JSON"),
    (200, "[" * 10000, RealtimeReplyError, "no JSON"),
    (200, b"x" * (300 << 10), RealtimeReplyError, "more than"),
    (200, [], RealtimeReplyError, "no adapter and transport"),
    (200, {"adapter": "x"}, RealtimeReplyError, "no adapter and transport"),
    (200, {**WAY, "adapter": "gemini"}, RealtimeReplyError, "'gemini'"),
    (200, {**WAY, "transport": "webrtc"}, RealtimeReplyError, "'webrtc'"),
    (200, {**WAY, "token": None}, RealtimeReplyError, "no url and token"),
    (200, {**WAY, "url": ""}, RealtimeReplyError, "no url and token"),
    (200, {**WAY, "url": "http://a/"}, RealtimeReplyError, "address"),
    (200, {**WAY, "token": "sk geheim"}, RealtimeReplyError, "key"),
]


@pytest.mark.parametrize(("status", "answer", "error", "said"), ANSWERS)
async def test_answers_that_are_none(
    sessions: StandInSessionServer, status: int, answer: Any, error: type[Exception], said: str
) -> None:
    client = RemoteRealtimeClient(sessions.url, headers={"Authorization": "Bearer geheim"})
    sessions.answers.append((status, answer))
    with pytest.raises(error, match=said) as caught:
        await client.connect(CONFIG)
    assert "geheim" not in str(caught.value)
    await client.connect(CONFIG)  # the next answer is good
    await client.disconnect()


async def test_what_a_server_echoes_of_our_headers_is_not_said(sessions: StandInSessionServer) -> None:
    client = RemoteRealtimeClient(sessions.url, headers={"Authorization": "Bearer geheim"})
    sessions.answers.append((401, "who is Bearer geheim?"))
    with pytest.raises(RealtimeServerError) as caught:
        await client.connect(CONFIG)
    assert "geheim" not in str(caught.value)


async def test_nobody_there_and_nobody_who_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = RemoteRealtimeClient("http://127.0.0.1:9/api?token=geheim", headers={"X": "geheim"})
    with pytest.raises(RealtimeTransportError, match="not reached") as caught:
        await client.connect(CONFIG)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "geheim" not in str(caught.value) + repr(client) + caplog.text

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(RealtimeTimeoutError):
        await RemoteRealtimeClient(f"http://127.0.0.1:{port}/", timeout_s=0.2).connect(CONFIG)
    server.close()


async def test_adapters_of_the_users_own(sessions: StandInSessionServer) -> None:
    made: list[SessionWay] = []

    def mine(way: SessionWay) -> RealtimeClient:
        made.append(way)
        return WebSocketRealtimeClient(way.url, key=way.token)

    chosen = "mine"
    client = RemoteRealtimeClient(
        sessions.url, adapters={"mine": mine}, resolve_adapter=lambda config: chosen
    )
    await client.connect(CONFIG)
    assert [each.adapter for each in made] == ["mine"]
    assert made[0].token not in repr(made)
    await client.disconnect()
    chosen = "theirs"
    with pytest.raises(RealtimeStateError, match="mine, openai-websocket"):
        await client.connect(CONFIG)


async def test_connecting_may_be_cancelled(
    realtime: StandInRealtimeServer, sessions: StandInSessionServer
) -> None:
    client = RemoteRealtimeClient(sessions.url)
    realtime.fail(Moment.PATCH, Fault("hang"))
    connecting = asyncio.create_task(client.connect(CONFIG))
    await realtime.wait_for("session.update")
    with pytest.raises(RealtimeStateError):
        await client.connect(CONFIG)
    connecting.cancel()
    await asyncio.wait([connecting])
    await client.connect(CONFIG)
    await client.disconnect()


def test_a_way_is_parsed() -> None:
    assert parse_way(WAY, DEFAULT_ADAPTER) == SessionWay(DEFAULT_ADAPTER, "ws://a/", "geheim")


@pytest.mark.parametrize(
    "url", ["ws://a/", "https://", "/api/realtime", "http://u:geheim@a/", None, "http://a:x"]
)
def test_endpoints_that_cannot_be_right(url: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RemoteRealtimeClient(url)
    assert "geheim" not in str(caught.value)


def test_a_time_that_cannot_be_right() -> None:
    with pytest.raises(ConfigurationError):
        RemoteRealtimeClient("https://a/", timeout_s=0)
