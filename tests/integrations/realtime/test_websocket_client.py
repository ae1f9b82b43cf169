"""The WebSocket client against the stand-in server, on a real socket: sessions, turns, faults, secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import (
    ConfigurationError,
    RealtimeError,
    RealtimeServerError,
    RealtimeStateError,
    RealtimeTimeoutError,
    RealtimeTransportError,
)
from avatarkit_rtc.integrations.realtime import connection as realtime_connection
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig, ToolDefinition, TurnDetection
from avatarkit_rtc.integrations.realtime.connection import MAX_MESSAGE_BYTES
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDone,
    AssistantStarted,
    AudioDelta,
    AudioDone,
    ConnectionLost,
    ErrorReported,
    SessionCreated,
    SessionEnded,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    UsageReported,
    UserTranscript,
)
from avatarkit_rtc.integrations.realtime.websocket_client import API_KEY_VARIABLE, WebSocketRealtimeClient
from avatarkit_rtc.testing.realtime import NOISE, Call, Fault, Moment, Reply, StandInRealtimeServer
from avatarkit_rtc.testing.voice import speak
from tests.support.livekit import until

KEY = "sk-secret-of-the-tests"
CONFIG = RealtimeSessionConfig(instructions="Be brief.", voice="marin", tools=(ToolDefinition("wave"),))
SHORT = Reply("Hi.", seconds=0.2)


class Session:
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

    async def says(self, **options: Any) -> None:
        """Until the response to a message is done."""
        count = len(self.of(AssistantDone)) + 1
        await self.client.send_text("hi")
        await self.has(AssistantDone, count)


@pytest.fixture
async def server() -> AsyncIterator[StandInRealtimeServer]:
    async with StandInRealtimeServer(key=KEY, reply=SHORT, speed=math.inf) as server:
        yield server


@pytest.fixture
async def session(server: StandInRealtimeServer) -> AsyncIterator[Session]:
    session = Session(server)
    await session.client.connect(CONFIG)
    yield session
    await session.client.disconnect()


async def test_it_is_a_client(server: StandInRealtimeServer) -> None:
    assert isinstance(Session(server).client, RealtimeClient)


@pytest.mark.parametrize("beta", [False, True])
@pytest.mark.parametrize("dialect", ["auto", "right"])
async def test_a_conversation_in_both_dialects(beta: bool, dialect: str) -> None:
    named = ("beta" if beta else "ga") if dialect == "right" else "auto"
    async with StandInRealtimeServer(key=KEY, beta=beta, reply=SHORT, speed=math.inf) as server:
        session = Session(server, dialect=named)
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


# -- turns ---------------------------------------------------------------------------------------------------


async def test_what_the_user_says_aloud_is_heard_and_responded_to(session: Session) -> None:
    await session.client.update(RealtimeSessionConfig(transcription_model="w"))
    voice = speak(2, 1.0, 24000).pcm
    sound = np.concatenate([voice, np.zeros(24000, np.int16)]).astype("<i2").tobytes()
    await session.client.send_audio(b"")
    for start in range(0, len(sound), 960):
        await session.client.send_audio(sound[start : start + 960])
    await session.has(AssistantDone)
    order = [type(each) for each in session.events if not isinstance(each, AudioDelta)]
    wanted = [SpeechStarted, SpeechStopped, UserTranscript, AssistantStarted]
    assert [each for each in order if each in wanted][:4] == wanted
    assert session.server.connection.session.heard_s == pytest.approx(2.0)
    assert session.sent("response.create") == []  # the server did so by itself


async def test_a_turn_that_the_caller_ends(session: Session) -> None:
    await session.client.update(RealtimeSessionConfig(turn_detection=TurnDetection("none")))
    await session.client.send_audio(b"\0\0" * 2400)
    await session.client.commit_audio()
    await session.has(AssistantDone)
    assert session.of(SpeechStarted) == []


@pytest.mark.parametrize("how", ["committed here", "committed there", "no detection", "no sound"])
async def test_a_message_is_answered_although_the_server_never_says_that_the_user_has_spoken(
    session: Session, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_connection, "SILENT_S", 0.3 if how == "no sound" else 1e6)
    await session.client.send_audio(b"\0\0" * 2400)
    await session.server.speech_started()
    await session.has(SpeechStarted)
    await session.client.send_text("hello?")
    if how == "committed here":
        await session.client.commit_audio()
    elif how == "committed there":
        await session.server.send({"type": "input_audio_buffer.committed", "item_id": "i"})
    elif how == "no detection":
        await session.client.update(RealtimeSessionConfig(turn_detection=TurnDetection("none")))
    await session.has(AssistantDone)


async def test_the_user_speaks_as_long_as_sound_comes(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_connection, "SILENT_S", 0.5)
    await session.server.speech_started()
    await session.has(SpeechStarted)
    loop, sounds = asyncio.get_running_loop(), list[float]()
    await session.client.send_text("hello?")
    for _ in range(50):
        sounds.append(loop.time())
        await session.client.send_audio(b"\0\0" * 240)
        await asyncio.sleep(0.02)
    await session.has(AssistantStarted)
    received = session.server.connection.received
    (asked,) = [each.at for each in received if each.event["type"] == "response.create"]
    assert asked - max(each for each in sounds if each < asked) > 0.45


async def test_messages_during_a_response_get_one_response_afterwards(session: Session) -> None:
    session.server.speed = 4.0
    await session.client.send_text("a")
    await session.has(AudioDelta)
    await session.client.send_text("b")
    await session.client.send_text("c")
    await session.has(AssistantDone, 2)
    assert len(session.sent("conversation.item.create")) == 3
    assert len(session.sent("response.create")) == 2
    assert session.of(ErrorReported) == []


async def test_the_server_that_began_by_itself_meanwhile_is_asked_again(session: Session) -> None:
    session.server.speed = 4.0

    def speak(kind: str) -> None:  # by itself, before it has read the request
        if kind == "conversation.item.done":
            session.server.on_sent = None
            session.server.speak()

    session.server.on_sent = speak
    await session.client.send_text("a")
    await session.has(AssistantDone, 2)
    assert session.of(ErrorReported) == []


async def test_tools_are_answered_and_the_model_goes_on_once(session: Session) -> None:
    session.server.replies.append(Reply("One moment.", 0.1, calls=(Call("a", {"x": 1}), Call("b"))))
    await session.says()
    first, second = session.of(ToolCalled)
    assert (first.name, json.loads(first.arguments), second.name) == ("a", {"x": 1}, "b")
    await session.client.send_tool_result(first.call_id, {"ok": True})
    await session.client.send_tool_result(second.call_id, {"ok": False})
    await session.has(AssistantDone, 2)
    outputs = [each["item"] for each in session.sent("conversation.item.create")[1:]]
    assert [(each["call_id"], each["output"]) for each in outputs] == [
        (first.call_id, '{"ok":true}'),
        (second.call_id, '{"ok":false}'),
    ]
    assert len(session.sent("response.create")) == 2
    with pytest.raises(RealtimeError, match="no JSON"):
        await session.client.send_tool_result(first.call_id, {"a": object()})


# -- interruption --------------------------------------------------------------------------------------------


async def test_interrupt_cancels_and_forgets_what_was_not_heard(session: Session) -> None:
    session.server.speed = 2.0
    session.server.reply = Reply("A long story.", 3.0)
    await session.client.send_text("a")
    await session.has(AudioDelta, 3)
    item_id = session.of(AudioDelta)[-1].item_id
    await session.client.interrupt(item_id=item_id, played_ms=120)
    count = len(session.of(AudioDelta))
    await session.has(AssistantDone)
    (done,) = session.of(AssistantDone)
    assert done.cancelled
    assert len(session.of(AudioDelta)) == count  # nothing of it after that
    await until(lambda: session.server.connection.session.truncations, "the truncation")
    assert session.server.connection.session.truncations == [(item_id, 120)]
    await session.client.interrupt(item_id=item_id, played_ms=10**6)  # nothing to cancel, nothing to cut
    await session.says()
    assert len(session.sent("response.cancel")) == 1
    assert len(session.sent("conversation.item.truncate")) == 1
    assert session.of(ErrorReported) == []


async def test_a_response_that_was_asked_for_and_has_not_begun_can_be_cancelled(session: Session) -> None:
    session.server.latency_s = 0.2
    session.server.speed = 2.0
    session.server.reply = Reply("A long story.", 3.0)
    await session.client.send_text("a")
    await session.server.wait_for("response.create")
    await session.client.interrupt()
    await session.has(AssistantDone)
    assert session.of(AssistantStarted) == session.of(AudioDelta) == []
    session.server.reply = SHORT
    await session.says()
    assert len(session.of(AssistantStarted)) == 1
    assert b"".join(each.pcm for each in session.of(AudioDelta)) == SHORT.pcm()
    assert session.of(ErrorReported) == []


async def test_what_the_server_refuses_of_an_interruption_is_no_error(session: Session) -> None:
    session.server.speed = 2.0
    session.server.reply = Reply("A long story.", 1.0)
    await session.client.send_text("a")
    await session.has(AudioDelta, 2)
    item_id = session.of(AudioDelta)[-1].item_id
    session.server.connection.session.cancel("of the server's own")  # told to nobody
    session.server.connection.session.items[item_id].sound_ms = 0
    await session.client.interrupt(item_id=item_id, played_ms=50)
    await session.server.wait_for("conversation.item.truncate")
    await session.client.update(CONFIG)  # its answer comes behind theirs
    assert session.of(ErrorReported) == []


# -- updates -------------------------------------------------------------------------------------------------


async def test_an_update_that_is_refused_raises_and_the_session_stands(session: Session) -> None:
    with pytest.raises(RealtimeServerError, match="Unknown parameter") as caught:
        await session.client.update(RealtimeSessionConfig(extra={"colour": "red"}))
    assert caught.value.server_code == "unknown_parameter"
    assert session.of(ErrorReported) == []
    await session.client.update(RealtimeSessionConfig(instructions="Be long."))
    assert session.server.connection.session.config["instructions"] == "Be long."


async def test_a_voice_is_said_once(session: Session) -> None:
    await session.client.update(CONFIG)
    first, second = session.sent("session.update")
    assert first["session"]["audio"]["output"]["voice"] == "marin"
    assert "voice" not in second["session"]["audio"]["output"]


async def test_an_update_that_was_given_up_does_not_answer_for_the_next(session: Session) -> None:
    session.server.fail(Moment.PATCH, Fault("error"), Fault("error"))
    first = asyncio.create_task(session.client.update(RealtimeSessionConfig(instructions="1")))
    await session.server.wait_for("session.update", 2)
    first.cancel()
    await asyncio.wait([first])
    with pytest.raises(RealtimeServerError, match="told to fail"):
        await session.client.update(RealtimeSessionConfig(instructions="2"))
    await session.client.update(RealtimeSessionConfig(instructions="3"))
    assert session.server.connection.session.config["instructions"] == "3"


def _swallow_updates(session: Session, *answers: list[dict[str, Any]]) -> None:
    """The server answers the next updates with ``answers``, one each, and carries none of them out."""
    model = session.server.connection.session
    receive, left = model.receive, list(answers)

    def received(event: dict[str, Any]) -> list[dict[str, Any]]:
        return left.pop(0) if event["type"] == "session.update" and left else receive(event)

    model.receive = received  # type: ignore[method-assign]


async def test_an_error_that_does_not_say_of_what_is_of_the_update_that_waits(session: Session) -> None:
    _swallow_updates(session, [session.server.connection.session.error("No.", code="no")])
    with pytest.raises(RealtimeServerError, match=r"No\."):
        await session.client.update(RealtimeSessionConfig(instructions="1"))
    assert session.of(ErrorReported) == []
    await session.client.update(RealtimeSessionConfig(instructions="2"))
    assert session.server.connection.session.config["instructions"] == "2"


async def test_updates_behind_one_that_is_never_answered(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    _swallow_updates(session, [])
    with monkeypatch.context() as impatient:
        impatient.setattr(session.client, "_answer_timeout_s", 0.3)
        with pytest.raises(RealtimeTimeoutError):
            await session.client.update(RealtimeSessionConfig(instructions="1"))
    await session.server.wait_for("session.update", 2)
    for words in ("2", "3"):
        await session.client.update(RealtimeSessionConfig(instructions=words))
        assert session.server.connection.session.config["instructions"] == words


async def test_an_update_without_an_answer(server: StandInRealtimeServer) -> None:
    session = Session(server, answer_timeout_s=0.2)
    await session.client.connect(CONFIG)
    server.fail(Moment.PATCH, Fault("hang"))
    with pytest.raises(RealtimeTimeoutError):
        await session.client.update(CONFIG)
    await session.client.disconnect()


# -- losses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop", "close"])
@pytest.mark.parametrize("moment", [Moment.CREATED, Moment.SPEECH, Moment.CALL, Moment.CALLED, Moment.DONE])
async def test_a_loss_in_a_response_is_the_last_event(session: Session, moment: Moment, kind: Any) -> None:
    session.server.replies.append(Reply("One moment.", 0.3, calls=(Call("a", {"x": 1}),)))
    session.server.fail(moment, Fault(kind))
    await session.client.send_text("a")
    await session.has(ConnectionLost)
    lost = session.events[-1]
    assert isinstance(lost, ConnectionLost)
    assert isinstance(lost.error, RealtimeTransportError)
    assert lost.cause == ("closed" if kind == "close" else "failed")
    with pytest.raises(RealtimeStateError):
        await session.client.send_text("b")
    assert session.client.stats() == {}
    await session.client.connect(CONFIG)  # again
    await session.says()
    assert len(session.of(ConnectionLost)) == 1


async def test_a_loss_in_an_update_raises_and_is_told(session: Session) -> None:
    session.server.fail(Moment.PATCH, Fault("drop"))
    with pytest.raises(RealtimeTransportError):
        await session.client.update(CONFIG)
    await session.has(ConnectionLost)


async def test_after_a_loss_disconnecting_waits_until_nothing_is_open(session: Session) -> None:
    connection = session.client._connection
    assert connection is not None
    session.server.connection.drop()
    await session.has(ConnectionLost)
    await session.client.disconnect()
    assert connection._session.closed
    await session.client.disconnect()


async def test_a_loss_right_behind_the_session(server: StandInRealtimeServer) -> None:
    session = Session(server)

    def drop(kind: str) -> None:
        if kind == "session.updated":
            asyncio.get_running_loop().call_soon(server.connection.drop)

    server.on_sent = drop
    await session.client.connect(CONFIG)
    await session.has(ConnectionLost)


async def test_a_server_that_gives_no_sign_of_life_is_given_up(server: StandInRealtimeServer) -> None:
    session = Session(server, heartbeat_s=1.0)
    await session.client.connect(CONFIG)
    server.connection.request.transport.pause_reading()  # type: ignore[union-attr]
    await session.has(ConnectionLost)
    assert session.events[-1].cause == "timeout"


async def test_a_server_that_takes_nothing_is_not_waited_for(server: StandInRealtimeServer) -> None:
    session = Session(server, answer_timeout_s=0.2)
    await session.client.connect(CONFIG)
    server.connection.request.transport.pause_reading()  # type: ignore[union-attr]

    async def send_on() -> None:
        for _ in range(100):
            await session.client.send_audio(bytes(1 << 20))

    with pytest.raises(RealtimeTimeoutError, match="took nothing"):
        await send_on()
    await session.client.disconnect()


async def test_sending_at_the_moment_of_a_loss(session: Session) -> None:
    connection = session.client._connection
    assert connection is not None
    connection._socket._writer.transport.abort()  # type: ignore[union-attr]
    with pytest.raises(RealtimeTransportError, match="has gone"):
        await session.client.send_audio(b"ab")
    await session.has(ConnectionLost)


async def test_a_message_that_is_too_large_ends_the_connection(session: Session) -> None:
    await session.server.send('{"type": "' + "x" * (MAX_MESSAGE_BYTES + 1) + '"}')
    await session.has(ConnectionLost)
    assert session.events[-1].cause == "too-big"


async def test_noise_changes_nothing(session: Session) -> None:
    session.server.noise = NOISE
    session.server.reply = Reply("A long story of many words for the noise.", 1.0, calls=(Call("a"),))
    await session.says()
    assert b"".join(each.pcm for each in session.of(AudioDelta)) == session.server.reply.pcm()
    assert len(session.of(ToolCalled)) == len(session.of(AssistantStarted)) == 1
    assert 0 < len(session.of(ErrorReported)) <= 10
    assert session.client.stats()["malformed"] >= 10


async def test_errors_that_belong_to_nothing_are_told(session: Session) -> None:
    await session.server.send({"type": "error", "error": {"message": "Odd.", "code": "odd"}})
    await session.has(ErrorReported)
    assert session.events[-1].recoverable
    await session.server.send({"type": "error", "error": {"code": "session_expired"}})
    await session.has(SessionEnded)


async def test_a_response_that_is_refused_is_told(session: Session) -> None:
    session.server.connection.session._create_response = (  # type: ignore[method-assign]
        lambda event: [session.server.connection.session.error("No.", code="no", of=event)]
    )
    await session.client.send_text("a")
    await session.has(ErrorReported)


async def test_a_handler_that_raises_stops_nothing(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: object) -> None:
        session.events.append(event)
        raise RuntimeError("no")

    session.client.set_event_handler(fail)
    await session.says()
    assert "a handler of realtime events failed" in caplog.text
    session.client.set_event_handler(None)
    session.events.clear()
    await session.client.update(CONFIG)
    assert session.events == []


# -- connecting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "key"), (403, "key"), (404, "model"), (429, "later"), (503, "later")]
)
async def test_a_server_that_refuses(server: StandInRealtimeServer, status: int, advice: str) -> None:
    session = Session(server)
    server.refuse(status)
    with pytest.raises(RealtimeServerError, match=advice) as caught:
        await session.client.connect(CONFIG)
    assert caught.value.server_code == str(status)
    assert session.events == []
    await session.client.connect(CONFIG)
    with pytest.raises(RealtimeStateError):
        await session.client.connect(CONFIG)
    await session.client.disconnect()


@pytest.mark.parametrize("kind", ["drop", "close", "hang", "error"])
@pytest.mark.parametrize("moment", [Moment.CONNECTED, Moment.PATCH])
async def test_a_session_that_does_not_come_about(
    server: StandInRealtimeServer, moment: Moment, kind: Any
) -> None:
    session = Session(server, **({"connect_timeout_s": 0.5} if kind == "hang" else {}))
    server.fail(moment, Fault(kind))
    with pytest.raises(RealtimeError) as caught:
        await session.client.connect(CONFIG)
    wanted = {"hang": RealtimeTimeoutError, "error": RealtimeServerError}.get(kind, RealtimeTransportError)
    assert isinstance(caught.value, wanted)
    assert session.of(ConnectionLost) == []
    # A client has nothing left of that; another one where this one would wait too short for a busy machine.
    again = Session(server) if kind == "hang" else session
    server._faults.clear()  # which such a machine may not even have come to
    await again.client.connect(CONFIG)
    await again.client.disconnect()


async def test_nobody_there() -> None:
    client = WebSocketRealtimeClient("ws://127.0.0.1:9/v1/realtime?token=geheim", key=KEY)
    with pytest.raises(RealtimeTransportError, match="not reached") as caught:
        await client.connect(CONFIG)
    assert "geheim" not in str(caught.value) + repr(client)
    await client.disconnect()


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.02])
async def test_connecting_may_be_cancelled(server: StandInRealtimeServer, after_s: float) -> None:
    session = Session(server)
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
    client = Session(server).client
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
