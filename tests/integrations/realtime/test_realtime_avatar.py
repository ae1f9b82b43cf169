"""The whole conversation, without a sound card: model to face and back, interruption, tools, losses, ends."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import RealtimeServerError, RealtimeStateError
from avatarkit_rtc.face import FaceLayer, LayeredDriver
from avatarkit_rtc.integrations.realtime import (
    Character,
    RealtimeAvatar,
    RealtimeSessionConfig,
    ToolDefinition,
    ToolRegistration,
    WebSocketRealtimeClient,
)
from avatarkit_rtc.integrations.realtime.core import recovery
from avatarkit_rtc.integrations.realtime.events import ErrorReported, SessionEnded
from avatarkit_rtc.integrations.realtime.performed_output import PerformedOutput, SpeakerQueue
from avatarkit_rtc.integrations.realtime.types import ResponseStatus, SessionStatus
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.testing.realtime import Call, Fault, Moment, Reply, StandInRealtimeServer
from avatarkit_rtc.testing.voice import speak
from renderers import HeadlessSink
from renderers.headless import Shot
from tests.support.livekit import until
from tests.support.realtime import FakeClient, settle

LONG = Reply("A long story.", 4.0)


class Whole:
    """A conversation, what its view was shown, and what happened."""

    def __init__(self, server: StandInRealtimeServer, **options: Any) -> None:
        self.server = server
        self.layer = FaceLayer()
        self.shots: list[Shot] = []
        self.view = HeadlessSink(self.shots.append, driver=LayeredDriver(layer=self.layer))
        self.client = WebSocketRealtimeClient(server.url, key=server.key)
        options = {"layer": self.layer, "play_audio": False, **options}
        self.avatar = RealtimeAvatar(self.client, self.view, **options)
        self.happened: list[tuple[str, Any]] = []
        for event in ("realtime:assistant:done", "realtime:tool:result", "tts:audio:start", "tts:audio:end"):
            self.note(event)

    def note(self, event: str) -> None:
        def noted(payload: Any = None) -> None:
            self.happened.append((event, payload))

        self.avatar.manager.on(event, noted)

    def count(self, event: str) -> int:
        return sum(name == event for name, _ in self.happened)

    def coefficient(self, name: str) -> float:
        face = self.shots[-1].face if self.shots else None
        return 0.0 if face is None else float(face.coefficients[ARKIT_INDEX[name]])

    async def talks(self) -> None:
        await until(lambda: self.coefficient("jawOpen") > 0.1, "an open mouth")

    async def start(self, config: RealtimeSessionConfig | None = None) -> None:
        await self.avatar.start(config, microphone=False)


@pytest.fixture
async def server() -> AsyncIterator[StandInRealtimeServer]:
    async with StandInRealtimeServer(reply=Reply("Hi.", 0.5), speed=20.0) as server:
        yield server


@pytest.fixture
async def whole(server: StandInRealtimeServer) -> AsyncIterator[Whole]:
    whole = Whole(server)
    async with whole.avatar:
        yield whole


async def test_what_the_model_says_is_said_by_the_face(whole: Whole) -> None:
    await whole.start()
    assert whole.avatar.player.is_connected
    await whole.avatar.say_to_model("hello")
    await whole.talks()
    await until(lambda: whole.count("tts:audio:end") == 1, "the end of the voice")
    assert whole.count("tts:audio:start") == whole.count("realtime:assistant:done") == 1
    assert whole.avatar.stats().turns == 1
    assert whole.avatar.stats().speech_dropped_s == 0
    await until(lambda: whole.coefficient("jawOpen") < 0.05, "a shut mouth")


async def test_the_character_and_the_tools_reach_the_model(server: StandInRealtimeServer) -> None:
    whole = Whole(server, character=Character("ada", "Ada", "A receptionist.", voice="cedar"))
    async with whole.avatar:
        await whole.start(RealtimeSessionConfig(max_tokens=100))
        session = server.connection.session.config
        assert session["instructions"].startswith("You are Ada.\nA receptionist.")
        assert session["audio"]["output"]["voice"] == "cedar"
        assert {each["name"] for each in session["tools"]} == {"set_expression", "play_motion", "look_at"}
        (expressions,) = [each for each in session["tools"] if each["name"] == "set_expression"]
        assert "happy" in expressions["parameters"]["properties"]["expression_id"]["enum"]


async def test_the_user_who_speaks_silences_voice_and_mouth_and_the_model_is_told(whole: Whole) -> None:
    whole.server.reply = LONG
    await whole.start()
    await whole.avatar.say_to_model("hello")
    await whole.talks()
    loop = asyncio.get_running_loop()
    silent = list[float]()
    whole.avatar.manager.on("tts:audio:end", lambda: silent.append(loop.time()))
    await whole.server.speech_started()
    await until(lambda: silent, "the end of the voice")
    assert whole.avatar.stats().speech_queued_s == 0
    await until(lambda: whole.shots[-1].pose.t > silent[0] + 0.6, "poses")
    still = [each for each in whole.shots if each.pose.t > silent[0] + 0.4]
    assert max(float(each.face.coefficients[ARKIT_INDEX["jawOpen"]]) for each in still if each.face) < 0.03
    ((_, kept_ms),) = await _truncations(whole.server)
    assert 0 < kept_ms < 2500
    assert whole.avatar.manager.get_state().response.status is ResponseStatus.INTERRUPTED
    whole.server.reply = Reply("Yes?", 0.5)
    await whole.server.speech_stopped()
    await whole.talks()


async def _truncations(server: StandInRealtimeServer) -> list[tuple[str, int]]:
    await until(lambda: server.connection.session.truncations, "the truncation")
    return server.connection.session.truncations


async def test_messages_that_wait_to_be_said_are_forgotten_too(whole: Whole) -> None:
    whole.server.replies.extend([LONG, Reply("And another.", 1.0)])
    await whole.start()
    for _ in range(2):
        await whole.avatar.say_to_model("hello")
    await until(lambda: whole.count("realtime:assistant:done") == 2, "both responses")
    await whole.talks()
    await whole.server.speech_started()
    await until(lambda: len(whole.server.connection.session.truncations) == 2, "both truncations")
    (_, first_ms), (_, second_ms) = whole.server.connection.session.truncations
    assert first_ms < 4000
    assert second_ms == 0


async def test_an_answer_that_is_complete_and_not_heard_yet_can_be_interrupted(whole: Whole) -> None:
    whole.server.reply = LONG
    whole.server.speed = math.inf
    assert isinstance(whole.avatar.output, PerformedOutput)
    whole.avatar.output._queue = lambda: SpeakerQueue(5.0, 5.0)  # a sound card that is very late
    await whole.start()
    await whole.avatar.say_to_model("hello")
    await until(lambda: whole.count("realtime:assistant:done") == 1, "the whole answer")
    assert whole.count("tts:audio:start") == 0
    assert whole.avatar.stats().speech_queued_s > 0
    await whole.server.speech_started()
    await until(lambda: whole.avatar.stats().speech_queued_s == 0, "silence")
    await until(lambda: whole.coefficient("jawOpen") < 0.03, "a shut mouth")
    ((_, kept_ms),) = await _truncations(whole.server)
    assert kept_ms < 4000


async def test_the_program_may_interrupt_too(whole: Whole) -> None:
    whole.server.reply = LONG
    whole.server.speed = 2.0
    await whole.start()
    await whole.avatar.say_to_model("hello")
    await whole.talks()
    await whole.avatar.interrupt()
    assert whole.avatar.stats().speech_queued_s == 0
    await whole.server.wait_for("response.cancel")
    await until(lambda: whole.coefficient("jawOpen") < 0.03, "a shut mouth")


async def test_the_models_tools_move_the_face(whole: Whole) -> None:
    calls = (
        Call("set_expression", {"expression_id": "happy"}),
        Call("look_at", {"x": -1.0, "y": 0.0}),
        Call("play_motion", {"group": "nod", "index": 0}),
        Call("set_expression", {"expression_id": "green"}),
    )
    whole.server.replies.append(Reply("", 0.0, calls=calls))
    whole.note("realtime:tool:error")
    await whole.start()
    await whole.avatar.say_to_model("smile")
    await until(lambda: whole.coefficient("mouthSmileLeft") > 0.5, "a smile")
    assert whole.layer.expression == "happy"
    face = whole.shots[-1].face
    assert face is not None
    assert face.gaze[0][1] < -0.1  # the viewer's left is the subject's right
    assert whole.count("realtime:tool:result") == 3
    assert whole.count("realtime:tool:error") == 1
    await until(lambda: whole.count("realtime:assistant:done") == 2, "the model to go on")


async def test_a_projector_of_the_callers_own_may_say_what_there_is_not(
    whole: Whole, caplog: pytest.LogCaptureFixture
) -> None:
    from avatarkit_rtc.integrations.realtime.payloads import Expression

    whole.avatar.manager.add_result_projector(
        lambda outcome: outcome.emit("realtime:expression", Expression("green"))
    )

    async def nothing(args: Any) -> dict[str, Any]:
        return {"success": True}

    whole.avatar.manager.register_tool(ToolRegistration(ToolDefinition("other"), nothing))
    whole.server.replies.append(Reply("", 0.0, calls=(Call("other"),)))
    await whole.start()
    await whole.avatar.say_to_model("go")
    await until(lambda: "the face was not changed" in caplog.text, "the warning")


async def test_sound_of_the_users_reaches_the_model_at_its_rate(whole: Whole) -> None:
    await whole.start()
    voice = speak(3, 1.0, 48000).pcm
    silence = np.zeros(48000, np.int16)
    await whole.avatar.player.publish_audio(np.concatenate([voice, silence]), sample_rate=48000)
    await whole.talks()  # the server heard, and responded
    session = whole.server.connection.session
    await until(lambda: session.heard_s > 1.8, "the rest")
    assert session.heard_s == pytest.approx(whole.avatar.stats().microphone_s, abs=0.1)
    assert whole.avatar.stats().microphone_dropped_s == 0
    appended = whole.server.connection.events("input_audio_buffer.append")
    assert len(appended) <= 1.1 * session.heard_s / 0.02


async def test_after_a_loss_in_the_middle_of_a_response_it_goes_on(whole: Whole) -> None:
    whole.server.reply = LONG
    whole.server.fail(Moment.SPEECH, Fault("drop", after=8))
    whole.note("realtime:reconnect:success")
    await whole.start()
    sound = np.zeros(48000 * 30, np.int16)
    await whole.avatar.player.publish_audio(sound, sample_rate=48000)
    await whole.avatar.say_to_model("hello")
    await until(lambda: whole.count("realtime:reconnect:success") == 1, "the connection")
    assert whole.avatar.stats().speech_queued_s == 0
    assert whole.avatar.stats().microphone_dropped_s > 0
    assert whole.avatar.player.is_connected
    whole.server.reply = Reply("Hi.", 0.5)
    await whole.avatar.say_to_model("hello")
    await whole.talks()


async def test_a_session_that_cannot_be_had_leaves_nothing(server: StandInRealtimeServer) -> None:
    whole = Whole(server)
    server.refuse(401)
    async with whole.avatar:
        with pytest.raises(RealtimeServerError):
            await whole.start()
        assert not whole.avatar.player.is_connected
        await whole.start()
        assert whole.avatar.player.is_connected


async def test_it_ends_when_the_server_ends_the_session(whole: Whole) -> None:
    await whole.start()
    waiting = asyncio.create_task(whole.avatar.wait_closed())
    await whole.server.send({"type": "error", "error": {"code": "session_expired"}})
    await asyncio.wait_for(waiting, 10)
    assert whole.avatar.manager.get_state().session.status is not SessionStatus.ACTIVE


@pytest.mark.parametrize("how", ["fatal", "not closed"])
async def test_a_session_that_fails_is_an_error(how: str) -> None:
    gone, client = RealtimeServerError("gone"), FakeClient()
    async with RealtimeAvatar(client, play_audio=False) as avatar:
        await avatar.start(microphone=False)
        waiting = asyncio.create_task(avatar.wait_closed())
        await settle()
        if how == "fatal":
            client.tell(ErrorReported(gone, recoverable=False))
        else:
            client.plan("disconnect", error=gone)
            client.tell(SessionEnded("expired"))
        with pytest.raises(RealtimeServerError, match="gone"):
            await asyncio.wait_for(waiting, 10)
        await avatar.start(microphone=False)  # again, with nothing left of that
        client.tell(SessionEnded("expired"))
        await asyncio.wait_for(avatar.wait_closed(), 10)


async def test_a_connection_that_is_lost_for_good_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "RECONNECT_DELAYS_MS", (1, 1))
    client = FakeClient()
    async with RealtimeAvatar(client, play_audio=False) as avatar:
        await avatar.start(microphone=False)
        for _ in range(2):
            client.plan("connect", error=RealtimeServerError("gone"))
        client.lose()
        with pytest.raises(RealtimeServerError, match="gone"):
            await asyncio.wait_for(avatar.wait_closed(), 10)


async def test_an_error_that_is_told_once_more_while_the_next_conversation_starts_is_not_its_own() -> None:
    client = FakeClient()
    async with RealtimeAvatar(client, play_audio=False) as avatar:
        await avatar.start(microphone=False)
        client.tell(ErrorReported(RealtimeServerError("gone"), recoverable=False))
        await avatar.stop()
        starting = asyncio.create_task(avatar.start(microphone=False))
        await settle(1)
        assert not avatar.player.is_connected
        avatar.manager.set_character(Character("bo", "Bo"))  # which tells the state, the last session's
        await starting
        waiting = asyncio.create_task(avatar.wait_closed())
        await settle()
        assert not waiting.done()
        client.tell(SessionEnded("expired"))
        await asyncio.wait_for(waiting, 10)


async def test_without_a_microphone_that_of_the_last_conversation_is_not_heard_either() -> None:
    client = FakeClient()
    async with RealtimeAvatar(client, play_audio=False) as avatar:
        await avatar.start()  # the default microphone, or silence in its place
        await until(lambda: client.named("send_audio"), "its sound")
        client.tell(SessionEnded("expired"))
        await asyncio.wait_for(avatar.wait_closed(), 10)
        client.calls.clear()
        await avatar.start(microphone=False)
        tone = np.full(24000, 10000, np.int16)
        await avatar.player.publish_audio(tone, sample_rate=48000)
        await until(lambda: sum(map(len, client.named("send_audio"))) >= 20000, "the caller's own sound")
        heard = np.frombuffer(b"".join(client.named("send_audio")), "<i2")
        assert np.mean(np.abs(heard - 10000.0) < 500) > 0.9  # all but the resampler's edges


async def test_a_second_start_leaves_the_running_conversation_alone() -> None:
    client = FakeClient()
    async with RealtimeAvatar(client, play_audio=False) as avatar:
        client.plan("connect", 0.1)
        first = asyncio.create_task(avatar.start(microphone=False))
        await settle(1)
        for _ in range(2):  # while it is being started, and when it has been
            with pytest.raises(RealtimeStateError, match="already active"):
                await avatar.start(microphone=False)
            await first
        assert avatar.manager.get_state().session.status is SessionStatus.ACTIVE
        assert avatar.player.is_connected
        assert client.methods == ["connect"]


async def test_a_start_that_fails_ends_only_what_it_began() -> None:
    client = FakeClient()
    async with RealtimeAvatar(client, play_audio=False) as avatar:
        await avatar.player.connect()
        client.plan("connect", error=RealtimeServerError("no"))
        with pytest.raises(RealtimeServerError):
            await avatar.start(microphone=False)
        assert avatar.player.is_connected
        await avatar.start()
        client.tell(SessionEnded("expired"))
        await asyncio.wait_for(avatar.wait_closed(), 10)
        await avatar.start()  # with the same microphone, or silence in its place
        assert avatar.manager.get_state().session.status is SessionStatus.ACTIVE


async def test_another_character_reaches_the_model_and_so_does_another_rate() -> None:
    client = FakeClient()
    ada, bo = Character("ada", "Ada", voice="marin"), Character("bo", "Bo", voice="cedar")
    async with RealtimeAvatar(client, play_audio=False, character=ada) as avatar:
        await avatar.start(RealtimeSessionConfig(input_rate=16000), microphone=False)
        (config,) = client.named("connect")
        assert (config.instructions[:12], config.voice) == ("You are Ada.", "marin")
        await avatar.player.publish_audio(np.zeros(48000 * 30, np.int16), sample_rate=48000)

        async def samples_a_second() -> float:
            client.calls.clear()
            before_s = avatar.stats().microphone_s
            await until(lambda: len(client.named("send_audio")) > 5, "sound")
            samples = sum(len(each) for each in client.named("send_audio")) / 2
            return samples / (avatar.stats().microphone_s - before_s)

        assert await samples_a_second() == pytest.approx(16000)
        avatar.manager.set_character(bo)
        await avatar.manager.update_session(RealtimeSessionConfig(input_rate=8000))
        (config,) = client.named("update")
        assert (config.instructions[:11], config.voice) == ("You are Bo.", "cedar")
        assert await samples_a_second() == pytest.approx(8000)


async def test_it_can_be_stopped_and_started_again(whole: Whole) -> None:
    for _ in range(2):
        await whole.start()
        await whole.avatar.say_to_model("hello")
        await whole.talks()
        await whole.avatar.stop()
        await whole.avatar.stop()
        assert not whole.avatar.player.is_connected
        await until(lambda: whole.server.connection.closed, "the server to see the end")


async def test_nothing_is_left_over(server: StandInRealtimeServer) -> None:
    before = {each for each in asyncio.all_tasks() if "stand-in" not in each.get_name()}
    whole = Whole(server)
    async with whole.avatar:
        await whole.start()
        server.reply = LONG
        await whole.avatar.say_to_model("hello")
        await whole.talks()
    await whole.avatar.aclose()
    await until(lambda: server.connection.closed, "the server to see the end")

    def ours() -> set[asyncio.Task[Any]]:
        names = ("realtime", "sound", "publish", "ask", "close")
        return {each for each in asyncio.all_tasks() - before if each.get_name().startswith(names)}

    await until(lambda: not ours(), "our tasks to end")


async def test_sound_of_an_odd_rate_and_of_no_item(server: StandInRealtimeServer) -> None:
    from avatarkit_rtc.integrations.realtime.events import AudioDelta
    from avatarkit_rtc.integrations.realtime.output import (
        Heard,
        OutputEnded,
        OutputLevel,
        OutputStarted,
    )

    whole = Whole(server)
    output = whole.avatar.output
    told: list[Any] = []
    output.set_listener(told.append)
    async with whole.avatar:
        await whole.avatar.player.connect()
        assert output.flush() is None
        output.play(AudioDelta(speak(1, 1.0, 22050).pcm.astype("<i2").tobytes(), 22050))
        output.end()
        await until(lambda: any(isinstance(each, OutputEnded) for each in told), "the end")
        assert isinstance(told[0], OutputStarted)
        levels = [each.rms for each in told if isinstance(each, OutputLevel)]
        assert 40 <= len(levels) <= 51
        assert 0.05 < max(levels) < 1
        output.play(AudioDelta(bytes(48000), 24000, item_id="i"))
        heard = output.flush()
        assert heard == Heard("i", 0)
        assert output.flush() is None


def test_stats_are_a_snapshot(server: StandInRealtimeServer) -> None:
    stats = Whole(server).avatar.stats()
    assert dataclasses.asdict(stats) == {
        "microphone_s": 0.0,
        "microphone_dropped_s": 0.0,
        "speech_queued_s": 0.0,
        "speech_dropped_s": 0.0,
        "turns": 0,
    }
