"""``avatarkit-rtc demo --realtime``: microphone to model to speaker and video file, through PulseAudio."""

from __future__ import annotations

import asyncio
import ctypes.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avatarkit_rtc.cli.app import app
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.realtime import Call, Reply, StandInRealtimeServer
from avatarkit_rtc.testing.voice import speak
from tests.support.command import assert_no_loose_ends, clean_environment, run_command, start_command
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
    done = run_command("demo", *arguments, cwd=tmp_path, env=clean_environment())
    assert done.code == 1
    assert "not reached" in done.err_lines[-1]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--realtime", "http://a"], "no address of a realtime server"),
        (["--realtime", "ws://a/", "--livekit=ws://b/"], "two demos"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["demo", *arguments, "--no-window", "--face", "cartoon"])
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)
