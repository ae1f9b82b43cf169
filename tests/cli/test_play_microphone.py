"""``avatarkit-rtc play --microphone``: another device, without processing, and where there is none."""

from __future__ import annotations

import ctypes.util
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Child, Done, assert_no_loose_ends, run_command
from tests.support.pulse import PulseServer
from tests.support.system import missing


@pytest.fixture(autouse=True)
def portaudio() -> None:
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")


PLAY = """
from avatarkit_rtc.cli import main, running
import avatarkit_rtc.cli.play as play

def blocks(player, fps):
    audio = player.stats().audio
    device = audio.microphone.device
    blocks = audio.microphone_blocks_sent if device is None else audio.microphone.blocks_recorded
    return "more than 20 blocks" if blocks > 20 else "fewer"

play.player_line, running.PLAIN_LINE_EVERY_S = blocks, 0.05
main()
"""
"""Says in its live line whether the microphone, or the silence in its place, is at work."""


def played(room_name: str, *arguments: str | Path, env: dict[str, str], stats: Path) -> tuple[Done, Any]:
    """``play`` until the microphone has been at work for a while, and its figures of the sound."""
    command = ["play", "--room", room_name, "--headless", "--stats", stats, *arguments]
    with Child([sys.executable, "-c", PLAY, *command], env=env) as child:
        child.wait_for("more than 20 blocks")
        child.signal(signal.SIGINT)
        done = child.finish()
    assert_no_loose_ends(done)
    return done, json.loads(stats.read_text())["audio"]


def test_where_there_is_none_it_goes_on_and_says_so_in_one_line(
    server_env: dict[str, str], room_name: str, tmp_path: Path
) -> None:
    nothing = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PULSE_SERVER": f"unix:{tmp_path}/none",
    }
    done, audio = played(room_name, "--microphone", env=server_env | nothing, stats=tmp_path / "stats.json")
    lines = [line for line in done.err_lines if "microphone" in line]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("no microphone: no sound input device")
    assert lines[0].endswith("; silence is published meanwhile")
    assert audio["microphone"]["device"] is None
    assert audio["microphone_blocks_sent"] > 20


def test_another_device_by_name_as_it_is(server_env: dict[str, str], room_name: str, tmp_path: Path) -> None:
    with PulseServer("voice") as pulse:
        done, audio = played(
            room_name,
            *("--microphone-device", "pulse", "--no-processing", "--half-duplex"),
            env=server_env | pulse.env(source="voice.monitor"),
            stats=tmp_path / "stats.json",
        )
    assert "no microphone" not in done.err
    assert audio["microphone"]["device"] == "pulse"
    assert audio["microphone"]["blocks_recorded"] > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["play", "--headless", "--half-duplex"], "--half-duplex and --no-processing need --microphone"),
        (["devices", "--output", "trumpet"], "--output and --input choose the devices of --test"),
    ],
)
def test_options_without_effect_are_refused(
    arguments: list[str], message: str, server_env: dict[str, str]
) -> None:
    room = ["--room", "any"] if arguments[0] == "play" else []
    done = run_command(*arguments, *room, env=server_env)
    assert (done.code, done.out, len(done.err_lines)) == (1, "", 1)
    assert message in done.err
