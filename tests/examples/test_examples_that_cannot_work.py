"""What an example says where something is missing or wrong: one line and an exit code, no traceback."""

from __future__ import annotations

import argparse
import asyncio
import runpy
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from avatarkit_rtc import AvatarPlayer, LiveKitProvider
from avatarkit_rtc.events import EVENTS
from renderers import HeadlessSink
from tests.support.command import ROOT
from tests.support.livekit import until

EXAMPLES = [path.stem for path in sorted((ROOT / "examples").glob("*.py"))]
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ2aWRlbyI6e319.c2lnbmF0dXJl"


class Ended(NamedTuple):
    code: object
    """What it exits with: a number, or the text that becomes the last line and exit code 1."""
    out: str
    err: str


RunExample = Callable[..., Ended]


@pytest.fixture
def run_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> RunExample:
    """Runs an example in this process, in an empty folder, without server, token or display."""
    for name in ("LIVEKIT_URL", "LIVEKIT_TOKEN", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
        printed = capsys.readouterr()
        return Ended(ended.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def nowhere() -> str:
    """Address of a server that is not there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_arguments_it_says_what_it_needs(run_example: RunExample, name: str) -> None:
    ended = run_example(name)
    assert ended.code == 2
    assert f"usage: {name}.py" in ended.err


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("headless_bot --demo --bots 0", "--room"),
        ("headless_bot --room lobby", "--url"),
        ("headless_bot --room lobby --url ws://host", "LIVEKIT_TOKEN"),
        ("headless_bot --room lobby --url ws://host --key key", "--secret"),
        ("kiosk --url ws://host", "LIVEKIT_TOKEN"),
        ("kiosk --token-command true", "--url"),
        ("kiosk --token-command true --url host:7880", "wss://"),
    ],
)
def test_what_is_missing_is_named(run_example: RunExample, command: str, missing: str) -> None:
    ended = run_example(*command.split())
    assert ended.code == 2
    assert missing in ended.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["arkit_coefficients", "custom_audio", "listen", "stall_recovery"])
def test_a_token_that_is_none(run_example: RunExample, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LIVEKIT_TOKEN", "bad")
    assert "not a LiveKit access token" in str(run_example(name, "--url", "ws://127.0.0.1:9").code)


def test_a_server_that_is_not_there(
    run_example: RunExample, monkeypatch: pytest.MonkeyPatch, nowhere: str
) -> None:
    monkeypatch.setenv("LIVEKIT_TOKEN", TOKEN)
    assert "refused" in str(run_example("borrowed_room", "--url", nowhere).code)


def test_a_model_that_is_not_there(run_example: RunExample, nowhere: str, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the example records where there is no window")
    ended = run_example("realtime", nowhere, "--microphone", "none")
    assert f"{nowhere} was not reached" in str(ended.code)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("custom_audio --demo --sound nofile.wav", "nofile.wav"),
        ("listen --demo --wav nofolder/voice.wav", "nofolder"),
    ],
)
def test_a_file_that_is_not_there(run_example: RunExample, command: str, wrong: str) -> None:
    assert wrong in str(run_example(*command.split()).code)


def test_a_listener_that_cannot_join_leaves_the_old_file(
    run_example: RunExample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIVEKIT_TOKEN", "bad")
    old = tmp_path / "voice.wav"
    old.write_bytes(b"yesterday's")
    run_example("listen", "--url", "ws://127.0.0.1:9", "--wav", "voice.wav")
    assert old.read_bytes() == b"yesterday's"


@pytest.mark.parametrize("token", ["bad", TOKEN])
def test_a_bot_that_cannot_join_fails_and_leaves_the_old_file(
    run_example: RunExample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nowhere: str, token: str
) -> None:
    monkeypatch.setenv("LIVEKIT_TOKEN", token)
    old = tmp_path / "lobby.jsonl"
    old.write_text("yesterday's\n")
    ended = run_example("headless_bot", "--room", "lobby", "--url", nowhere, "--out", ".")
    assert ended.code == 1
    assert ended.err.count("lobby: ") == 1
    assert old.read_text() == "yesterday's\n"


def test_a_bot_with_a_key_but_without_livekit_api(
    run_example: RunExample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "livekit.api", None)
    monkeypatch.delattr("livekit.api", raising=False)
    ended = run_example("headless_bot", "--url", "ws://host", "--room", "r", "--key", "k", "--secret", "s")
    assert "avatarkit-rtc[server]" in str(ended.code)


@pytest.mark.parametrize(
    ("program", "why"), [("/nonexistent/token", "No such file"), (sys.executable, "exit code 2")]
)
async def test_the_kiosk_logs_why_there_is_no_token_but_not_the_command(
    caplog: pytest.LogCaptureFixture, nowhere: str, program: str, why: str
) -> None:
    kiosk = runpy.run_path(str(ROOT / "examples" / "kiosk.py"))
    options = argparse.Namespace(url=nowhere, token_command=f'"{program}" --hush-hush')
    view = HeadlessSink()
    async with AvatarPlayer(LiveKitProvider(), view, play_audio=False) as player:
        staying = asyncio.create_task(kiosk["stay_connected"](player, view, options))
        await until(lambda: "not connected" in caplog.text, "a failed join")
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)
    assert why in caplog.text
    assert "hush" not in caplog.text


def test_the_kiosk_logs_every_trouble_with_sound() -> None:
    events = runpy.run_path(str(ROOT / "examples" / "kiosk.py"))["EVENTS"]
    assert set(events) <= set(EVENTS)
    sound = {name for name in EVENTS if name.startswith(("audio-", "microphone-"))}
    assert sound - set(events) == {"audio-published", "audio-ended", "microphone-level"}
