"""``avatarkit-rtc play`` and ``avatarkit-rtc publish``: two processes and a real server between them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from livekit import api

from avatarkit_rtc.testing.clip import JSON_KEYS
from avatarkit_rtc.testing.performer import perform
from tests.support.command import assert_no_loose_ends, run_command, start_command
from tests.support.livekit import LiveKitServer, mint_token
from tests.support.motion_log import assert_in_order, read_motion_log

signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to end a child with")


def read_stats(path: Path) -> dict[str, Any]:
    stats = json.loads(path.read_text(encoding="utf-8"))
    assert {"connection", "motion", "playout", "audio", "ended"} <= set(stats)
    return dict(stats)


def write_clip(path: Path, seconds: float) -> None:
    frames = perform(1, seconds).frames
    keyframes = [{JSON_KEYS[name]: values for name, values in f.to_fields().items()} for f in frames]
    path.write_text(json.dumps({"keyframes": keyframes}), encoding="utf-8")


def wait_for_frames(motion_log: Path, count: int, timeout_s: float = 30.0) -> None:
    """Until ``play`` has shown so many frames."""
    deadline = time.monotonic() + timeout_s
    while not motion_log.exists() or motion_log.read_text(encoding="utf-8").count('"received"') < count:
        assert time.monotonic() < deadline, f"no {count} frames within {timeout_s} s"
        time.sleep(0.1)


@signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_cleanly_and_the_files_are_written(
    server_env: dict[str, str], room_name: str, number: int, tmp_path: Path
) -> None:
    log, clip = tmp_path / "log.jsonl", tmp_path / "clip.json"
    files = ("--stats", tmp_path / "stats.json", "--motion-log", log)
    sending = ("--clip", clip, "--sent-log", tmp_path / "sent.jsonl")
    write_clip(clip, seconds=20.0)
    room = ("--room", room_name)
    with start_command("play", *room, "--headless", *files, env=server_env) as play:
        play.wait_for("connected")
        with start_command("publish", *room, *sending, env=server_env) as publish:
            publish.wait_for("publishing")
            play.wait_for("is here")
            wait_for_frames(log, 40)
            play.signal(number)
            assert_no_loose_ends(play.finish(20))
            publish.signal(number)
            assert_no_loose_ends(publish.finish(20))
    stats = read_stats(tmp_path / "stats.json")
    assert stats["connection"]["state"] == "connected", "the figures are those of the session, not of its end"
    assert stats["ended"] == "client-initiated"
    assert stats["playout"]["counters"]["received"] > 10
    assert stats["audio"]["blocks_received"] > 50
    # The round was cut off, and its figures tell.
    assert stats["playout"]["rounds_ended"] == {"disconnected": 1}
    assert stats["playout"]["rounds"][-1]["reason"] == "disconnected"
    lines = read_motion_log(log)
    assert_in_order(lines)
    assert len(lines) > 25
    sent = [json.loads(line) for line in (tmp_path / "sent.jsonl").read_text().splitlines()]
    assert {"idle", "transition", "frame"} <= {line["kind"] for line in sent}


@signals
@pytest.mark.parametrize("command", [["play", "--headless"], ["publish"], ["demo", "--no-window"]])
def test_a_signal_while_still_connecting_ends_it_too(command: list[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls and never answers
        silent.settimeout(20)
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        arguments = ["--livekit" if command[0] == "demo" else "--url", url, "--key", "k", "--secret", "s"]
        arguments += [] if command[0] == "demo" else ["--room", "r"]
        with start_command(*command, *arguments, cwd=tmp_path) as child:
            calling, _ = silent.accept()
            child.signal(signal.SIGTERM)
            time.sleep(0.2)
            # The library cannot be cut off in the middle of a connect; ended so, it ends sooner.
            calling.close()
            silent.close()
            done = child.finish(30)
    assert "Traceback" not in done.err
    assert done.code == 0, done.err
    assert not list(tmp_path.iterdir())


def test_duration_ends_both(server_env: dict[str, str], room_name: str, tmp_path: Path) -> None:
    room = ("--room", room_name)
    with start_command("publish", *room, env=server_env) as publish:
        publish.wait_for("publishing")
        began = time.monotonic()
        other = ("--room", f"{room_name}-2", "--duration", "2")
        with start_command("publish", *other, env=server_env) as short:
            done = run_command(
                "play", *room, "--headless", "--duration", "2", "--stats", tmp_path / "s.json", env=server_env
            )
            assert_no_loose_ends(done)
            assert time.monotonic() - began >= 2
            assert_no_loose_ends(short.finish(20))
            assert time.monotonic() - began >= 2
        publish.process.terminate()
        publish.finish(20)
    assert done.out == ""
    assert "spatialreal-avatar is here" in done.err
    assert read_stats(tmp_path / "s.json")["ended"] == "client-initiated"


async def test_a_deleted_room_ends_play_and_is_said(
    livekit_server: LiveKitServer, server_env: dict[str, str], room_name: str, tmp_path: Path
) -> None:
    files = ("--stats", tmp_path / "stats.json")
    # With a token instead of key and secret, as most users have it.
    env = {k: v for k, v in server_env.items() if not k.startswith("LIVEKIT_API")}
    env["LIVEKIT_TOKEN"] = mint_token(livekit_server, room_name, "viewer")
    with start_command("play", "--room", room_name, "--headless", *files, env=env) as play:
        await asyncio.to_thread(play.wait_for, "connected")
        client = api.LiveKitAPI(livekit_server.http_url, livekit_server.api_key, livekit_server.api_secret)
        await client.room.delete_room(api.DeleteRoomRequest(room=room_name))
        await client.aclose()
        done = await asyncio.to_thread(play.finish, 20)
    assert done.code == 0
    assert "disconnected: room-deleted" in done.err
    assert env["LIVEKIT_TOKEN"] not in done.err
    stats = read_stats(tmp_path / "stats.json")
    assert stats["ended"] == "room-deleted"


def test_variants_of_the_avatar_play(server_env: dict[str, str], room_name: str, tmp_path: Path) -> None:
    """No announcement, no idle packets, no copies, the end flagged, a restart within the round."""
    odd = ("--no-transition", "--no-idle-packets", "--no-redundancy", "--send-end", "--restart-at", "30")
    for attempt in "123":
        files = ("--stats", tmp_path / f"stats-{attempt}.json")
        room = ("--room", f"{room_name}-{attempt}")
        with start_command("play", *room, "--headless", *files, env=server_env) as play:
            play.wait_for("connected")
            # Its first utterance has 100 frames.
            done = run_command("publish", *room, "--rounds", "1", *odd, env=server_env)
            assert_no_loose_ends(done)
            play.wait_for("round 2: ")
            play.process.terminate()
            play.finish(20)
        if sys.platform == "win32":
            return
        playout = read_stats(tmp_path / f"stats-{attempt}.json")["playout"]
        # Frames that a busy machine brings far too late are skipped by design; a fault shows each time.
        if not playout["counters"]["skipped"] + playout["counters"]["late"] + playout["counters"]["hurried"]:
            break
    assert playout["rounds_ended"] == {"superseded": 1, "end-flag": 1}
    assert playout["counters"]["received"] + playout["counters"]["interpolated"] >= 95
