"""One connection to the stand-in server, on a real socket: turns, interruption, updates, bad messages."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import RealtimeError, RealtimeServerError, RealtimeTimeoutError
from avatarkit_rtc.integrations.realtime import connection as realtime_connection
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig, TurnDetection
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDone,
    AssistantStarted,
    AudioDelta,
    ErrorReported,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    UserTranscript,
)
from avatarkit_rtc.testing.realtime import NOISE, Call, Fault, Moment, Reply
from avatarkit_rtc.testing.voice import speak
from tests.support.livekit import until
from tests.support.realtime import on_patient_time
from tests.support.realtime_client import CONFIG, SHORT, ClientSession, open_session

# -- turns ---------------------------------------------------------------------------------------------------


async def test_what_the_user_says_aloud_is_heard_and_responded_to(session: ClientSession) -> None:
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


async def test_a_turn_that_the_caller_ends(session: ClientSession) -> None:
    await session.client.update(RealtimeSessionConfig(turn_detection=TurnDetection("none")))
    await session.client.send_audio(b"\0\0" * 2400)
    await session.client.commit_audio()
    await session.has(AssistantDone)
    assert session.of(SpeechStarted) == []


@pytest.mark.parametrize("how", ["committed here", "committed there", "no detection", "no sound"])
async def test_a_message_is_answered_although_the_server_never_says_that_the_user_has_spoken(
    session: ClientSession, how: str, monkeypatch: pytest.MonkeyPatch
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


@on_patient_time
async def test_the_user_speaks_as_long_as_sound_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_session() as session:
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


@on_patient_time
async def test_messages_during_a_response_get_one_response_afterwards() -> None:
    async with open_session() as session:
        session.server.speed = 4.0
        await session.client.send_text("a")
        await session.has(AudioDelta)
        await session.client.send_text("b")
        await session.client.send_text("c")
        await session.has(AssistantDone, 2)
        assert len(session.sent("conversation.item.create")) == 3
        assert len(session.sent("response.create")) == 2
        assert session.of(ErrorReported) == []


@on_patient_time
async def test_the_server_that_began_by_itself_meanwhile_is_asked_again() -> None:
    async with open_session() as session:
        session.server.speed = 4.0

        def speak(kind: str) -> None:  # by itself, before it has read the request
            if kind == "conversation.item.done":
                session.server.on_sent = None
                session.server.speak()

        session.server.on_sent = speak
        await session.client.send_text("a")
        await session.has(AssistantDone, 2)
        assert session.of(ErrorReported) == []


async def test_tools_are_answered_and_the_model_goes_on_once(session: ClientSession) -> None:
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


@on_patient_time
async def test_interrupt_cancels_and_forgets_what_was_not_heard() -> None:
    async with open_session() as session:
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


@on_patient_time
async def test_a_response_that_was_asked_for_and_has_not_begun_can_be_cancelled() -> None:
    async with open_session() as session:
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


@on_patient_time
async def test_what_the_server_refuses_of_an_interruption_is_no_error() -> None:
    async with open_session() as session:
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


async def test_an_update_that_is_refused_raises_and_the_session_stands(session: ClientSession) -> None:
    with pytest.raises(RealtimeServerError, match="Unknown parameter") as caught:
        await session.client.update(RealtimeSessionConfig(extra={"colour": "red"}))
    assert caught.value.server_code == "unknown_parameter"
    assert session.of(ErrorReported) == []
    await session.client.update(RealtimeSessionConfig(instructions="Be long."))
    assert session.server.connection.session.config["instructions"] == "Be long."


async def test_a_voice_is_said_once(session: ClientSession) -> None:
    await session.client.update(CONFIG)
    first, second = session.sent("session.update")
    assert first["session"]["audio"]["output"]["voice"] == "marin"
    assert "voice" not in second["session"]["audio"]["output"]


async def test_an_update_that_was_given_up_does_not_answer_for_the_next(session: ClientSession) -> None:
    session.server.fail(Moment.PATCH, Fault("error"), Fault("error"))
    first = asyncio.create_task(session.client.update(RealtimeSessionConfig(instructions="1")))
    await session.server.wait_for("session.update", 2)
    first.cancel()
    await asyncio.wait([first])
    with pytest.raises(RealtimeServerError, match="told to fail"):
        await session.client.update(RealtimeSessionConfig(instructions="2"))
    await session.client.update(RealtimeSessionConfig(instructions="3"))
    assert session.server.connection.session.config["instructions"] == "3"


def _swallow_updates(session: ClientSession, *answers: list[dict[str, Any]]) -> None:
    """The server answers the next updates with ``answers``, one each, and carries none of them out."""
    model = session.server.connection.session
    receive, left = model.receive, list(answers)

    def received(event: dict[str, Any]) -> list[dict[str, Any]]:
        return left.pop(0) if event["type"] == "session.update" and left else receive(event)

    model.receive = received  # type: ignore[method-assign]


async def test_an_error_that_does_not_say_of_what_is_of_the_update_that_waits(session: ClientSession) -> None:
    _swallow_updates(session, [session.server.connection.session.error("No.", code="no")])
    with pytest.raises(RealtimeServerError, match=r"No\."):
        await session.client.update(RealtimeSessionConfig(instructions="1"))
    assert session.of(ErrorReported) == []
    await session.client.update(RealtimeSessionConfig(instructions="2"))
    assert session.server.connection.session.config["instructions"] == "2"


async def test_an_error_of_anything_else_is_not_of_the_update_that_waits(session: ClientSession) -> None:
    await asyncio.gather(
        session.client.commit_audio(),  # of no sound
        session.client.update(RealtimeSessionConfig(instructions="1")),
    )
    assert session.server.connection.session.config["instructions"] == "1"
    await session.has(ErrorReported)
    assert "empty" in str(session.of(ErrorReported)[0].error)


async def test_every_message_has_an_id_of_its_own(session: ClientSession) -> None:
    await session.client.send_audio(b"\0\0" * 2400)
    await session.client.interrupt()
    await session.says()
    await session.client.send_tool_result("c", {})
    await session.client.commit_audio()
    await session.client.update(CONFIG)
    ids = [each.event.get("event_id") for each in session.server.connection.received]
    assert None not in ids
    assert len(set(ids)) == len(ids) >= 7


@on_patient_time
async def test_updates_behind_one_that_is_never_answered() -> None:
    async with open_session() as session:
        _swallow_updates(session, [])
        with pytest.raises(RealtimeTimeoutError):
            await session.client.update(RealtimeSessionConfig(instructions="1"))
        for words in ("2", "3"):
            await session.client.update(RealtimeSessionConfig(instructions=words))
            assert session.server.connection.session.config["instructions"] == words


@on_patient_time
async def test_an_update_without_an_answer() -> None:
    async with open_session() as session:
        session.server.fail(Moment.PATCH, Fault("hang"))
        with pytest.raises(RealtimeTimeoutError):
            await session.client.update(CONFIG)


# -- noise and errors ----------------------------------------------------------------------------------------


async def test_noise_changes_nothing(session: ClientSession) -> None:
    session.server.noise = NOISE
    session.server.reply = Reply("A long story of many words for the noise.", 1.0, calls=(Call("a"),))
    await session.says()
    assert b"".join(each.pcm for each in session.of(AudioDelta)) == session.server.reply.pcm()
    assert len(session.of(ToolCalled)) == len(session.of(AssistantStarted)) == 1
    assert 0 < len(session.of(ErrorReported)) <= 10
    assert session.client.stats()["malformed"] >= 10


async def test_errors_that_belong_to_nothing_are_told(session: ClientSession) -> None:
    await session.server.send({"type": "error", "error": {"message": "Odd.", "code": "odd"}})
    await session.has(ErrorReported)
    assert session.events[-1].recoverable
    await session.server.send({"type": "error", "error": {"code": "session_expired"}})
    await session.has(SessionEnded)


async def test_a_response_that_is_refused_is_told(session: ClientSession) -> None:
    session.server.connection.session._create_response = (  # type: ignore[method-assign]
        lambda event: [session.server.connection.session.error("No.", code="no", of=event)]
    )
    await session.client.send_text("a")
    await session.has(ErrorReported)


async def test_a_handler_that_raises_stops_nothing(
    session: ClientSession, caplog: pytest.LogCaptureFixture
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
