"""``avatarkit-rtc play --microphone``: another device, without processing, and where there is none."""

from __future__ import annotations

import ctypes.util
import json
from pathlib import Path

import pytest

from tests.support.command import assert_no_loose_ends, run_command
from tests.support.pulse import PulseServer
from tests.support.system import missing


@pytest.fixture(autouse=True)
def portaudio() -> None:
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")


def test_where_there_is_none_it_goes_on_and_says_so_in_one_line(
    server_env: dict[str, str], room_name: str, tmp_path: Path
) -> None:
    nothing = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PULSE_SERVER": f"unix:{tmp_path}/none",
    }
    done = run_command(
        *("play", "--room", room_name, "--headless", "--microphone", "--duration", "1.5"),
        *("--stats", tmp_path / "stats.json"),
        env=server_env | nothing,
    )
    assert_no_loose_ends(done)
    lines = [line for line in done.err_lines if "microphone" in line]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("no microphone: no sound input device")
    assert lines[0].endswith("; silence is published meanwhile")
    audio = json.loads((tmp_path / "stats.json").read_text())["audio"]
    assert audio["microphone"]["device"] is None
    assert audio["microphone_blocks_sent"] > 20


def test_another_device_by_name_as_it_is(server_env: dict[str, str], room_name: str, tmp_path: Path) -> None:
    with PulseServer("voice") as pulse:
        done = run_command(
            *("play", "--room", room_name, "--headless", "--duration", "1.5"),
            *("--microphone-device", "pulse", "--no-processing", "--half-duplex"),
            *("--stats", tmp_path / "stats.json"),
            env=server_env | pulse.env(source="voice.monitor"),
        )
    assert_no_loose_ends(done)
    assert "no microphone" not in done.err
    audio = json.loads((tmp_path / "stats.json").read_text())["audio"]
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
