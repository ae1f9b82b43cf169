"""``avatarkit-rtc record`` and ``avatarkit-rtc replay``: real processes and a real server."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.cli import record as command
from avatarkit_rtc.cli.options import parse_size
from avatarkit_rtc.cli.record import Silence
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.views import View
from renderers.recording.sidecar import read_sidecar
from tests.support.command import assert_no_loose_ends, run_command, start_command
from tests.support.display import start_display
from tests.support.video import block, plays, probe

signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to end a child with")


@pytest.mark.timeout(240)  # five programs one after the other, each with a bound of its own
def test_until_silent_is_one_command_and_its_sidecar_plays_again(
    server_env: dict[str, str], room_name: str, tmp_path: Path
) -> None:
    out, room = tmp_path / "talk.mp4", ("--room", room_name)
    options = ("--until-silent", "1.5", "--size", "128x96", "--reconnect")
    with start_command("record", *room, "--out", out, *options, env=server_env) as record:
        record.wait_for("connected")
        with start_command("publish", *room, "--rounds", "1", env=server_env) as publish:
            assert_no_loose_ends(publish.finish(40))
        done = record.finish(40)
    assert_no_loose_ends(done)
    assert f"wrote {out}" in done.err
    assert "pictures |" in done.err, "a line of progress"
    streams = probe(out)
    assert (streams["video"]["width"], streams["video"]["height"]) == (128, 96)
    assert plays(out) == ""
    lines = list(read_sidecar(out.with_suffix(".jsonl")))
    frames = [line.content["position"] for line in lines if "position" in line.content]
    assert frames == sorted(frames)
    # The utterance has 100; a busy machine may hold some up for too long.
    assert len(set(frames)) > 50
    # Offline, with another face and size.
    again = tmp_path / "again.webm"
    done = run_command("replay", out, "--out", again, "--face", "cartoon", "--size", "64")
    assert_no_loose_ends(done)
    assert "times real time" in done.err
    assert probe(again)["video"]["width"] == 64
    assert abs(probe(again)["audio"]["times"][-1] - streams["audio"]["times"][-1]) < 0.2
    # And in a window.
    with start_display() as display:
        done = run_command("replay", out.with_suffix(".jsonl"), "--speed", "20", env=display.environment)
    assert_no_loose_ends(done)


@signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_file_properly(
    server_env: dict[str, str], room_name: str, tmp_path: Path, number: int
) -> None:
    out, room = tmp_path / "talk.webm", ("--room", room_name)
    for _ in range(3):  # while the machine stands still nothing comes
        with (
            start_command("publish", *room, env=server_env) as publish,
            start_command(
                "record", *room, "--out", out, "--size", "64", "--no-sidecar", env=server_env
            ) as record,
        ):
            record.wait_for("is here")
            time.sleep(2.5)
            record.signal(number)
            done = record.finish(20)
            publish.signal(signal.SIGTERM)
            publish.finish(20)
        assert_no_loose_ends(done)
        assert "dropped 0 poses, 0 blocks" in done.err
        assert plays(out) == ""
        assert sorted(each.name for each in tmp_path.iterdir()) == ["talk.webm"]
        if probe(out)["video"]["times"][-1] > 1.5:
            return
    pytest.fail(f"too short: {done.err}")


def test_a_room_that_cannot_be_joined_leaves_no_file(tmp_path: Path) -> None:
    arguments = ("--url", "ws://127.0.0.1:9", "--key", "k", "--secret", "s" * 32, "--room", "r")
    done = run_command("record", *arguments, "--out", tmp_path / "talk.mp4")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sidecar", ["--sidecar", "--no-sidecar"])
def test_a_room_that_cannot_be_joined_costs_no_file_that_was_there(tmp_path: Path, sidecar: str) -> None:
    before = {"data.mp4": "yesterday's", "data.jsonl": '{"type":"recording","version":1,"file":"data.mp4"}\n'}
    for name, text in before.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    arguments = ("--url", "ws://127.0.0.1:9", "--key", "k", "--secret", "s" * 32, "--room", "r")
    done = run_command("record", *arguments, "--out", tmp_path / "data.mp4", sidecar)
    assert done.code == 1
    assert {each.name: each.read_text(encoding="utf-8") for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["record", "--out", "talk.avi"], "name it"),
        (["record", "--size", "huge"], "--size is given as 640x480"),
        (["record", "--out", "no/such/talk.mp4"], "cannot be written"),
        (["replay", "none.jsonl", "--out", "a.mp4"], "cannot read"),
        (["replay", "none.mp4", "--out", "a.mp4"], "there is no file none.mp4; a recording is"),
        (["replay", __file__, "--out", "a.mp4"], "test_record_and_replay.py has no sidecar"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    way = ["--url", "ws://127.0.0.1:9", "--token", "t"] if arguments[0] == "record" else []
    done = run_command(*arguments, *way, cwd=tmp_path)
    assert done.code == 1
    assert says in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


@signals
def test_a_replay_in_long_silence_ends_on_a_signal_and_leaves_what_was_there(tmp_path: Path) -> None:
    sidecar, out = tmp_path / "talk.jsonl", tmp_path / "again.mp4"
    poses = [f'{{"type":"pose","t":{3500 * k},"kind":"idle","pose":{{}}}}\n' for k in range(40)]
    sidecar.write_text('{"type":"recording","version":1}\n' + "".join(poses), encoding="utf-8")
    out.write_bytes(b"of yesterday")
    with start_command("replay", sidecar, "--out", out, "--face", "cartoon", "--size", "64") as replay:
        deadline = time.monotonic() + 40
        while not any(each.stat().st_size for each in tmp_path.glob("again.mp4.*.part")):
            assert time.monotonic() < deadline, "it writes nothing"
            time.sleep(0.05)
        replay.signal(signal.SIGTERM)
        done = replay.finish(20)
    assert_no_loose_ends(done)
    assert f"{out} was not written" in done.err
    assert out.read_bytes() == b"of yesterday"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again.mp4", "talk.jsonl"]


def test_a_window_needs_a_display(tmp_path: Path) -> None:
    sidecar = tmp_path / "talk.jsonl"
    sidecar.write_text('{"type":"recording","version":1}\n', encoding="utf-8")
    done = run_command("replay", sidecar)
    assert done.code == 1
    assert "give --out a video file" in done.err


def test_lengths_are_told_whole() -> None:
    told = {0.0: "0.0 s", 0.84: "0.8 s", 59.94: "59.9 s", 59.96: "0:01:00", 3.02: "3.0 s", 3725.6: "1:02:06"}
    assert {seconds: command.clock(seconds) for seconds in told} == told


def test_sizes_on_the_command_line() -> None:
    assert (parse_size("640x480"), parse_size("256"), parse_size("1X2")) == ((640, 480), (256, 256), (1, 2))
    for wrong in ("", "x", "1x2x3", "1.5"):
        with pytest.raises(ConfigurationError):
            parse_size(wrong)


def test_noise_is_silence_and_quiet_speech_is_none() -> None:
    random = np.random.default_rng(1)

    def noise(t: float, loudest: int) -> AudioBlock:
        return AudioBlock(random.integers(-loudest, loudest, (240, 1), np.int16, endpoint=True), 24000, t)

    for loudest, over in ((180, True), (500, True), (1500, False)):  # -50, -41 and -32 dB
        silence = Silence(2.0)
        silence.sound(block(0.0, True))
        for k in range(300):
            silence.sound(noise(k / 100, loudest))
        assert silence.over.is_set() == over, loudest
    silence = Silence(2.0)
    silence.sound(block(0.0, True))
    silence.sound(AudioBlock(np.full((240, 1), -32768, np.int16), 24000, 1.0))
    silence.sound(AudioBlock(np.zeros((0, 1), np.int16), 24000, 2.5))
    assert not silence.over.is_set(), "the loudest there is"


def test_silence_counts_from_the_last_of_motion_and_voice() -> None:
    def pose(t: float, number: int | None) -> Pose:
        return Pose(t, PoseKind.IDLE, MotionFrame.neutral(), number)

    silence = Silence(2.0)
    silence.show(pose(10.0, None))
    silence.sound(block(20.0, False))
    assert not silence.over.is_set(), "it has not spoken yet"
    silence.show(pose(21.0, 1))
    silence.sound(block(22.0, True))
    silence.show(pose(23.9, None))
    silence.sound(block(23.9, False))
    assert not silence.over.is_set()
    silence.show(pose(24.0, None))
    assert silence.over.is_set()


@pytest.mark.parametrize(("fps", "rate"), [(60.0, 60.0), (25.0, None), (10.0, None)])
def test_more_pictures_than_frames_are_made_between_them(
    fps: float, rate: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Made(Exception):  # noqa: N818 (not an error)
        pass

    def player(provider: object, view: View, **options: Any) -> AvatarPlayer:
        made = AvatarPlayer(provider, view, **options)  # type: ignore[arg-type]
        assert made.options.render_rate_hz == rate
        raise Made

    monkeypatch.setattr(command, "AvatarPlayer", player)
    with pytest.raises(Made):
        command.record("ws://host", "token", out=tmp_path / "talk.mp4", fps=fps)
