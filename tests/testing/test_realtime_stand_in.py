"""The stand-in realtime model: its protocol by itself, its ear, and what it does on demand on a socket."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from typing import Any

import aiohttp
import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError, ServerError
from avatarkit_rtc.testing.realtime import (
    Call,
    EnergyDetector,
    Fault,
    Moment,
    Reply,
    StandInRealtimeServer,
    StandInSessionServer,
)
from avatarkit_rtc.testing.realtime.replies import chunks, words
from avatarkit_rtc.testing.realtime.session import BETA_NAMES, ModelSession
from avatarkit_rtc.testing.voice import speak

VOICE = speak(1, 1.0, 24000).pcm
SILENCE = np.zeros(24000, np.int16)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in events]


def append(samples: np.ndarray[Any, np.dtype[np.int16]]) -> dict[str, Any]:
    audio = base64.b64encode(samples.astype("<i2").tobytes()).decode()
    return {"type": "input_audio_buffer.append", "audio": audio}


def errors(events: list[dict[str, Any]]) -> list[str | None]:
    return [each["error"]["code"] for each in events if each["type"] == "error"]


def run(session: ModelSession, reply: Reply) -> list[dict[str, Any]]:
    return [step.event for step in session.respond(reply)]


@pytest.mark.parametrize("beta", [False, True])
def test_another_voice_is_refused_once_it_has_spoken(beta: bool) -> None:
    session = ModelSession(beta=beta)

    def voice(name: str) -> list[str | None]:
        said: dict[str, Any] = (
            {"voice": name} if beta else {"type": "realtime", "audio": {"output": {"voice": name}}}
        )
        return errors(session.receive({"type": "session.update", "session": said}))

    assert voice("sage") == []
    run(session, Reply("Hi.", seconds=0.1))
    assert voice("sage") == []
    assert voice("cedar") == ["cannot_update_voice"]
    update = {"instructions": "Be brief."} | ({} if beta else {"type": "realtime"})
    assert errors(session.receive({"type": "session.update", "session": update})) == []


# -- what it hears -------------------------------------------------------------------------------------------


def test_speech_is_told_from_silence() -> None:
    ear = EnergyDetector()
    heard = [change for part in (SILENCE, VOICE, SILENCE) for change in ear.hear(part)]
    assert [each.started for each in heard] == [True, False]
    assert 800 <= heard[0].at_ms <= 1100
    assert 2000 <= heard[1].at_ms <= 2600
    assert ear.heard_ms == 3000


def test_a_click_is_no_speech_and_pieces_of_any_length_are_one_sound() -> None:
    click = SILENCE.copy()
    click[5000:5200] = 20000
    assert EnergyDetector().hear(click) == []
    whole, pieces = EnergyDetector(), EnergyDetector()
    sound = np.concatenate([SILENCE, VOICE, SILENCE])
    cut = [change for at in range(0, len(sound), 777) for change in pieces.hear(sound[at : at + 777])]
    assert cut == whole.hear(sound)
    pieces.forget()
    assert not pieces.speaking


def test_replies() -> None:
    assert "".join(words("one two  three")) == "one two  three"
    assert words("") == []
    assert b"".join(chunks(VOICE.tobytes())) == VOICE.tobytes()
    assert Reply(seconds=0).pcm() == b""
    assert Reply(speech=b"ab").pcm() == b"ab"
    assert Call("a", "{").text == "{"
    with pytest.raises(ConfigurationError):
        Reply(seconds=-1)


# -- the protocol --------------------------------------------------------------------------------------------


def test_the_order_of_a_response() -> None:
    session = ModelSession()
    events = run(session, Reply("Hi you", 0.2, calls=(Call("t"),)))
    assert kinds(events)[:4] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
    ]
    assert kinds(events)[-7:] == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "rate_limits.updated",
        "response.done",
    ]
    assert kinds(events).count("response.output_audio.delta") == 2
    assert len({each["event_id"] for each in events}) == len(events)
    done = events[-1]["response"]
    assert done["status"] == "completed"
    assert [each["type"] for each in done["output"]] == ["message", "function_call"]
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]
    assert not session.responding


def test_the_preview_has_other_names() -> None:
    events = run(ModelSession(beta=True), Reply("Hi", 0.2))
    assert not set(kinds(events)) & set(BETA_NAMES)
    assert "response.audio.delta" in kinds(events)
    session = ModelSession(beta=True)
    assert session.receive({"type": "session.update", "session": {"modalities": ["text"]}})
    assert "response.text.delta" in kinds(run(session, Reply("Hi")))


def test_a_cancelled_response_ends_at_once() -> None:
    session = ModelSession()
    steps = session.respond(Reply("a b c d", 1.0))
    for _ in range(6):
        next(steps)
    (done,) = session.receive({"type": "response.cancel"})
    assert done["response"]["status"] == "cancelled"
    assert list(steps) == []
    assert errors(session.receive({"type": "response.cancel"})) == ["response_cancel_not_active"]


@pytest.mark.parametrize("beta", [False, True])
def test_speech_interrupts_is_committed_and_wants_a_response(beta: bool) -> None:
    session = ModelSession(beta=beta)
    transcription = {"model": "w"}
    change: dict[str, Any] = {"type": "realtime", "audio": {"input": {"transcription": transcription}}}
    if beta:
        change = {"input_audio_transcription": transcription}
    assert kinds(session.receive({"type": "session.update", "session": change})) == ["session.updated"]
    steps = session.respond(Reply("a", 1.0))
    next(steps)
    heard = session.receive(append(VOICE))
    assert kinds(heard) == ["input_audio_buffer.speech_started", "response.done"]
    stopped = session.receive(append(SILENCE))
    assert kinds(stopped)[:2] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert kinds(stopped)[-1] == "conversation.item.input_audio_transcription.completed"
    assert session.wants_response
    assert heard[0]["item_id"] == stopped[1]["item_id"]


def test_without_detection_the_client_commits() -> None:
    session = ModelSession()
    off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    session.receive({"type": "session.update", "session": off})
    assert session.receive(append(VOICE)) == []
    assert "input_audio_buffer.committed" in kinds(session.receive({"type": "input_audio_buffer.commit"}))
    assert errors(session.receive({"type": "input_audio_buffer.commit"})) == [
        "input_audio_buffer_commit_empty"
    ]
    session.receive(append(VOICE))
    assert kinds(session.receive({"type": "input_audio_buffer.clear"})) == ["input_audio_buffer.cleared"]
    assert errors(session.receive({"type": "input_audio_buffer.commit"})) != []


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "nonsense"}, "invalid_value"),
        ({}, "invalid_value"),
        ({"type": "session.update"}, "missing_required_parameter"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter"),
        ({"type": "session.update", "session": {"type": "realtime", "colour": 1}}, "unknown_parameter"),
        ({"type": "input_audio_buffer.append", "audio": "&"}, "invalid_value"),
        ({"type": "input_audio_buffer.append", "audio": "YQ=="}, "invalid_value"),
        ({"type": "conversation.item.create"}, "invalid_value"),
        ({"type": "conversation.item.truncate", "item_id": "x"}, None),
    ],
)
def test_what_is_wrong_is_said_with_the_events_id(event: dict[str, Any], code: str | None) -> None:
    (answer,) = ModelSession().receive({**event, "event_id": "mine"})
    assert answer["error"]["code"] == code
    assert answer["error"]["event_id"] == "mine"


def test_truncation_is_checked() -> None:
    session = ModelSession()
    events = run(session, Reply("a", 0.5))
    item = next(each["item_id"] for each in events if each["type"] == "response.output_audio.delta")
    cut = {"type": "conversation.item.truncate", "item_id": item, "content_index": 0}
    assert errors(session.receive({**cut, "audio_end_ms": 600})) == ["invalid_value"]
    assert kinds(session.receive({**cut, "audio_end_ms": 200})) == ["conversation.item.truncated"]
    assert errors(session.receive({**cut, "audio_end_ms": 300})) == ["invalid_value"]
    assert session.truncations == [(item, 200)]


def test_one_response_at_a_time() -> None:
    session = ModelSession()
    next(session.respond(Reply("a")))
    code = "conversation_already_has_active_response"
    assert errors(session.receive({"type": "response.create"})) == [code]


# -- on a socket ---------------------------------------------------------------------------------------------


async def test_only_with_the_key() -> None:
    async with StandInRealtimeServer() as server, aiohttp.ClientSession() as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(server.url, headers=headers)
            assert caught.value.status == 401
        assert server.refused == 2
        with pytest.raises(ServerError):
            _ = server.connection
        with pytest.raises(ServerError, match="1 connections"):
            await server.wait_connections(1, 0.05)
        server.refuse(429, times=2, retry_after="3")
        for _ in range(2):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(server.url, headers={"Authorization": f"Bearer {server.key}"})
            assert caught.value.status == 429
        async with http.ws_connect(server.url, headers={"Authorization": f"Bearer {server.key}"}) as socket:
            assert (await socket.receive_json())["type"] == "session.created"
            await server.wait_connections(1)


async def test_sound_comes_at_the_speed_that_was_ordered() -> None:
    took = {}
    for speed in (math.inf, 4.0):
        async with StandInRealtimeServer(reply=Reply("a", 1.0), speed=speed) as server:
            took[speed] = await _seconds_of_a_response(server)
    assert took[math.inf] < took[4.0]
    assert took[4.0] >= 0.2


async def _seconds_of_a_response(server: StandInRealtimeServer) -> float:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {server.key}"}
        async with http.ws_connect(server.url, headers=headers) as socket:
            await socket.send_str(json.dumps({"type": "response.create"}))
            began = loop.time()
            while (await socket.receive_json())["type"] != "response.done":
                pass
            return loop.time() - began


async def test_faults_happen_once_at_their_moment() -> None:
    async with StandInRealtimeServer(reply=Reply("a", 0.5), speed=math.inf) as server:
        server.fail(Moment.SPEECH, Fault("drop", after=3))
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {server.key}"}
            for dropped in (True, False):
                seen: list[str] = []
                async with http.ws_connect(server.url, headers=headers) as socket:
                    await socket.send_str(json.dumps({"type": "response.create"}))
                    async for message in socket:
                        seen.append(json.loads(message.data)["type"])
                        if seen[-1] == "response.done":
                            break
                assert (seen[-1] != "response.done") is dropped
                assert not dropped or seen.count("response.output_audio.delta") <= 3


async def test_the_session_server_hands_out_tokens() -> None:
    async with StandInRealtimeServer() as realtime, StandInSessionServer(realtime) as sessions:
        async with aiohttp.ClientSession() as http:
            answer = await (await http.post(sessions.url, json={"adapter": "x"})).json()
            assert answer["adapter"] == "x"
            assert answer["transport"] == "websocket"
            headers = {"Authorization": f"Bearer {answer['token']}"}
            async with http.ws_connect(answer["url"], headers=headers) as socket:
                assert (await socket.receive_json())["type"] == "session.created"
        assert sessions.requests == [{"adapter": "x"}]


def test_a_speed_that_is_none() -> None:
    with pytest.raises(ConfigurationError):
        StandInRealtimeServer(speed=0)
