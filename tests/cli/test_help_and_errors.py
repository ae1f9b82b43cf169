"""Help texts; what a command says when something is wrong: one line, exit code 1, no secret in it."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from avatarkit_rtc import __version__
from tests.support.command import clean_environment, run_command
from tests.support.livekit import LiveKitServer, mint_token

SECRET = secrets.token_urlsafe(36)


def assert_one_line(done: object, *wanted: str) -> None:
    code, out, err = done.code, done.out, done.err  # type: ignore[attr-defined]
    assert (code, out) == (1, ""), f"{code}\n{out}\n{err}"
    assert len(err.splitlines()) == 1, err
    assert err.startswith("avatarkit-rtc: ")
    for text in wanted:
        assert text in err


def test_the_version() -> None:
    assert run_command("--version").out.strip() == __version__


def test_the_commands_are_listed() -> None:
    done = run_command("--help")
    assert done.code == 0
    for name in ("demo", "play", "publish", "token", "devices", "doctor", "face", "session"):
        assert f"\n  {name} " in done.out


def test_without_a_command_the_help_is_shown() -> None:
    done = run_command()
    assert "Commands:" in done.out + done.err


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("demo", ["--livekit", "--duration", "--out", "--no-window", "--clip"]),
        (
            "play",
            ["--url", "--token", "--key", "--secret", "--room", "--headless", "--duration", "--stats"],
        ),
        ("play", ["--motion-log", "LIVEKIT_URL", "LIVEKIT_TOKEN"]),
        ("publish", ["--url", "--clip", "--pcm", "--rounds", "--withhold-every", "--noise", "--send-end"]),
        ("token", ["--url", "--key", "--secret", "--room", "--identity"]),
        ("devices", []),
        ("doctor", []),
        ("face", ["fit"]),
        ("runway-tools", ["--session", "--base-url", "--token", "--timeout", "--at-once", "--debug"]),
        ("runway-tools", ["RUNWAYML_API_SECRET", "LIVEKIT_URL"]),
        ("session", ["--app-id", "--avatar-id", "--say", "--mic", "--check", "--direct", "--livekit-url"]),
        ("session", ["--window", "--headless", "--record", "--stats", "--motion-log", "--console-url"]),
        ("session", ["--ingress-url", "SPATIALREAL_API_KEY", "SPATIALREAL_APP_ID", "LIVEKIT_API_SECRET"]),
    ],
)
def test_help_names_every_option(command: str, options: list[str]) -> None:
    done = run_command(command, "--help", env=clean_environment(COLUMNS="120"))
    assert done.code == 0
    for option in options:
        assert option in done.out


def test_an_unknown_option_is_a_usage_error() -> None:
    done = run_command("play", "--bogus")
    assert done.code == 2
    assert "No such option: --bogus" in done.err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--headless"], "--url"),
        (["--headless", "--url", "ws://host"], "--token"),
        (["--headless", "--url", "ws://host", "--key", "k", "--secret", SECRET], "--room"),
        (["--headless", "--url", "nonsense", "--token", SECRET], "ws://"),
        (["--headless", "--url", "ws://127.0.0.1:9", "--token", SECRET], "token"),
        (["--url", "ws://host", "--token", SECRET], "--headless"),
        (["--headless", "--url", "ws://host", "--token", SECRET, "--stats", "no/folder/s.json"], "--stats"),
        (["--headless", "--url", "ws://host", "--token", SECRET, "--motion-log", "no/folder/l"], "no/folder"),
        (["--headless", "--url", "ws://host", "--token", SECRET, "--max-delay", "-1"], "max_buffer_delay"),
    ],
)
def test_play_says_what_is_wrong_with_its_options(arguments: list[str], wanted: str, tmp_path: Path) -> None:
    done = run_command("play", *arguments, cwd=tmp_path)
    assert_one_line(done, wanted)
    assert SECRET not in done.err


@pytest.mark.parametrize("command", [["play", "--headless"], ["publish"]])
def test_nobody_answers_at_the_address(command: list[str]) -> None:
    arguments = ["--url", "ws://127.0.0.1:9", "--key", "k", "--secret", SECRET, "--room", "r"]
    done = run_command(*command, *arguments)
    assert_one_line(done, "127.0.0.1:9")
    assert SECRET not in done.err


def test_the_token_is_for_another_room(livekit_server: LiveKitServer) -> None:
    token = mint_token(livekit_server, "its-room", "ann")
    env = clean_environment(LIVEKIT_URL=livekit_server.url, LIVEKIT_TOKEN=token)
    done = run_command("play", "--headless", "--room", "other-room", env=env)
    assert_one_line(done, "its-room", "other-room")
    assert token not in done.err


@pytest.mark.parametrize("command", [["play", "--headless"], ["publish"]])
def test_the_server_refuses_a_wrong_secret(livekit_server: LiveKitServer, command: list[str]) -> None:
    arguments = ["--url", livekit_server.url, "--key", livekit_server.api_key, "--secret", SECRET]
    done = run_command(*command, *arguments, "--room", "r")
    assert_one_line(done, livekit_server.url)
    assert SECRET not in done.err


def test_a_clip_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "clip.json").write_text('{"keyframes": []}')
    assert_one_line(run_command("demo", "--clip", tmp_path / "clip.json"), "clip.json", "keyframes")
    assert_one_line(run_command("demo", "--clip", "absent.json", cwd=tmp_path), "absent.json")
    assert_one_line(run_command("demo", "--pcm", "sound.pcm", cwd=tmp_path), "--clip")


def test_a_recording_that_cannot_be(tmp_path: Path) -> None:
    assert_one_line(run_command("demo", "--no-window", "--out", "film.avi", cwd=tmp_path), ".mp4")
    assert_one_line(run_command("demo", "--no-window", "--out", "no/film.mp4", cwd=tmp_path), "no/film.mp4")


def test_demo_through_a_given_server_needs_its_keys(tmp_path: Path) -> None:
    done = run_command("demo", "--no-window", "--livekit", "ws://host", cwd=tmp_path)
    assert_one_line(done, "--key", "--secret")
    keys = ("--key", "k", "--secret", SECRET)
    done = run_command("demo", "--no-window", "--livekit", "bogus", *keys, cwd=tmp_path)
    assert_one_line(done, "'bogus' is no server address")
    assert not list(tmp_path.iterdir())
