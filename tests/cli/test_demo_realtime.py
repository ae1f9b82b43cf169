"""``avatarkit-rtc demo --realtime``: microphone to model to speaker and video file, through PulseAudio."""

from __future__ import annotations

import asyncio
import ctypes.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from avatarkit_rtc.cli.app import app
from avatarkit_rtc.cli.demo import _realtime
from avatarkit_rtc.cli.realtime import Talk
from avatarkit_rtc.cli.running import Stopped
from avatarkit_rtc.errors import ConfigurationError, RealtimeError, RecordingError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.testing.realtime import Call, Reply, StandInRealtimeServer
from avatarkit_rtc.testing.voice import speak
from tests.support.command import Child, assert_no_loose_ends, clean_environment, run_command, start_command
from tests.support.livekit import until
from tests.support.pulse import PulseServer, rms
from tests.support.system import missing

KEY = "sk-of-the-demo"


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseServer]:
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")
    with PulseServer("speaker", "room") as server:
        yield server


async def test_a_user_who_speaks_is_heard_answered_and_seen(pulse: PulseServer, tmp_path: Path) -> None:
    smile = Call("set_expression", {"expression_id": "happy"})
    replies = [Reply("Welcome, I am listening.", 1.0, calls=(smile,))]
    async with StandInRealtimeServer(key=KEY, replies=replies, reply=Reply("I see.", 1.0)) as server:
        environment = {**pulse.env(sink="speaker", source="room.monitor"), "REALTIME_API_KEY": KEY}
        arguments = ["demo", "--realtime", server.url, "--no-window", "--out", "talk.mp4"]
        arguments += ["--duration", "60", "--size", "128x128", "--ask", "hello"]
        with (
            pulse.recording("speaker") as heard,
            start_command(*arguments, cwd=tmp_path, env=environment) as demo,
        ):
            await until(lambda: "avatar: I see." in demo.err, "the model to go on after its tool", 30)
            await server.wait_for("input_audio_buffer.append", 10)
            voice = speak(5, 2.0, 48000).pcm
            with pulse.playing("room", np.concatenate([voice, np.zeros(96000, np.int16)])):
                await until(lambda: "you speak" in demo.err, "the user to be heard", 30)
                await until(lambda: demo.err.count("avatar: I see.") == 2, "the answer", 30)
            demo.signal(2)
            done = await asyncio.to_thread(demo.finish)
    assert_no_loose_ends(done)
    assert done.code == 0
    assert "the model calls set_expression" in done.err
    assert KEY not in done.out + done.err
    assert rms(heard.samples) > 0.01
    assert (tmp_path / "talk.mp4").stat().st_size > 10_000


def test_a_server_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    arguments = ["--realtime", "ws://127.0.0.1:9/", "--no-microphone", "--no-window", "--mute"]
    (tmp_path / "avatarkit-demo.mp4").write_bytes(b"of yesterday")
    done = run_command("demo", *arguments, cwd=tmp_path, env=clean_environment())
    assert done.code == 1
    assert (tmp_path / "avatarkit-demo.mp4").read_bytes() == b"of yesterday"
    assert "not reached" in done.err_lines[-1]
    assert "Traceback" not in done.err
    assert done.err.count("not reached") == 1


def _demo(tmp_path: Path, server: StandInRealtimeServer, *arguments: str) -> Child:
    environment = clean_environment(REALTIME_API_KEY=KEY)
    always = ["--mute", "--no-microphone", "--no-window", "--out", "talk.mp4", "--size", "64x64"]
    arguments = ("demo", "--realtime", server.url, *always, *arguments)
    return start_command(*arguments, cwd=tmp_path, env=environment)


async def test_a_session_that_the_server_ends_is_said_so(tmp_path: Path) -> None:
    async with StandInRealtimeServer(key=KEY, reply=Reply("I see.", 0.5)) as server:
        with _demo(tmp_path, server, "--ask", "hello") as demo:
            await until(lambda: "avatar: I see." in demo.err, "the answer", 30)
            heard = server.connection.session.config["audio"]["input"]
            assert heard["transcription"] == {"model": "gpt-4o-mini-transcribe"}
            await server.speech_started()
            await server.speech_stopped()
            await until(lambda: "you: what the user said" in demo.err, "the transcript", 30)
            await server.send({"type": "error", "error": {"code": "session_expired"}})
            done = await asyncio.to_thread(demo.finish)
    assert done.code == 1
    assert "has ended the session" in done.err_lines[-1]
    assert "wrote talk.mp4" in done.err


async def test_it_ends_after_its_duration_and_says_so(tmp_path: Path) -> None:
    async with StandInRealtimeServer(key=KEY) as server:
        with _demo(tmp_path, server, "--duration", "1", "--transcription-model", "none") as demo:
            await server.wait_connections(1, 30)
            await server.wait_for("session.update", timeout=30)
            assert server.connection.session.config["audio"]["input"]["transcription"] is None
            done = await asyncio.to_thread(demo.finish)
    assert done.code == 0
    assert "ended after 1 s, as --duration says" in done.err


def test_without_a_window_it_goes_on_until_it_is_ended(tmp_path: Path) -> None:
    """The stand-in's demo ends by itself where there is no window; a conversation does not."""
    asked: list[float | None] = []

    class Asked(Talk):
        async def run(self, stop: Any, view: Any, layer: Any, duration: float | None, **more: Any) -> bool:
            asked.append(duration)
            raise Stopped

    talk, out = Asked("ws://a/"), tmp_path / "talk.mp4"
    out.write_bytes(b"of yesterday")
    _realtime(talk, False, out, "cartoon", {"size": (64, 64)}, None, True)
    assert asked == [None]
    assert out.read_bytes() == b"of yesterday"


def shown_until(ended_by: Exception, broken_by: RecordingError | None = None) -> Talk:
    """A conversation of a second that ends by the one, and its recording by the other."""

    class Shown(Talk):
        async def run(self, stop: Any, view: Any, layer: Any, duration: float | None, **more: Any) -> bool:
            more["begun"]()
            for k in range(26):
                view.show(Pose(k / 25, PoseKind.IDLE, MotionFrame.neutral()))
            await until(lambda: view.pictures, "a picture", 30)
            view.error = broken_by
            raise ended_by

    return Shown("ws://a/")


def test_what_ended_the_conversation_is_told_whatever_became_of_the_recording(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    talk = shown_until(RealtimeError("the model is gone"), RecordingError("no space left"))
    with pytest.raises(RealtimeError, match="the model is gone"):
        _realtime(talk, False, tmp_path / "talk.mp4", "cartoon", {"size": (64, 64)}, None, True)
    assert "broke off: no space left" in capfd.readouterr().err


def test_one_that_was_stopped_before_its_first_word_is_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "talk.mp4"
    _realtime(shown_until(Stopped()), False, out, "cartoon", {"size": (64, 64)}, None, True)
    assert "wrote" in capfd.readouterr().err
    assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--realtime", "http://a"], "no address of a realtime server"),
        (["--realtime", "ws://a/", "--livekit=ws://b/"], "two demos"),
        (["--realtime", "ws://a/", "--key", "k"], "REALTIME_API_KEY"),
        (["--realtime", "ws://a/", "--secret", "k"], "REALTIME_API_KEY"),
        (["--realtime", "ws://a/", "--clip", "c"], "--clip does not go with --realtime"),
        (["--realtime", "ws://a/", "--pcm-rate", "8000"], "--pcm-rate does not go with --realtime"),
        (["--realtime", "ws://a/", "--seed", "1"], "--seed does not go with --realtime"),
        (["--ask", "hello"], "--ask needs --realtime"),
        (["--no-microphone"], "--microphone needs --realtime"),
        (["--transcription-model", "m"], "--transcription-model needs --realtime"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["demo", *arguments, "--no-window", "--face", "cartoon"])
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)
