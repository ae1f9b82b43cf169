"""Every example as a child process in a real room, with a stand-in avatar on the other side."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc

from tests.support.command import (
    Child,
    Done,
    assert_no_loose_ends,
    clean_environment,
    ctrl_c_heard,
    start_example,
)
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.room_peer import pitch

from .conftest import AvatarIn

RATE = 48000


async def finished(child: Child) -> Done:
    return await asyncio.to_thread(child.finish, 30)


async def printed(child: Child, text: str) -> None:
    await asyncio.to_thread(child.wait_for, text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
async def test_kiosk_plays_and_sigterm_ends_it(
    avatar_in: AvatarIn, viewer_env: dict[str, str], room_name: str
) -> None:
    command = f'"{sys.executable}" -c "import os; print(os.environ[\'LIVEKIT_TOKEN\'])"'
    with start_example("kiosk.py", "--token-command", command, env=viewer_env) as kiosk:
        async with avatar_in(room_name):
            await printed(kiosk, "avatar-joined")
            await printed(kiosk, "round 1: transition-end")
            kiosk.signal(signal.SIGTERM)
            done = await finished(kiosk)
    assert_no_loose_ends(done)
    assert "no window: DISPLAY is not set" in done.err
    assert "ended after" in done.err
    assert viewer_env["LIVEKIT_TOKEN"] not in done.err


async def test_kiosk_waits_for_a_server_that_is_not_there(viewer_env: dict[str, str]) -> None:
    with start_example("kiosk.py", "--url", "ws://127.0.0.1:9", "--seconds", "4", env=viewer_env) as kiosk:
        done = await finished(kiosk)
    assert_no_loose_ends(done)
    assert done.err.count("not connected: ") >= 2


async def test_headless_bots_record_several_rooms_at_once(
    avatar_in: AvatarIn, livekit_server: LiveKitServer, room_name: str, tmp_path: Path
) -> None:
    rooms = [f"{room_name}-{number}" for number in range(3)]
    env = clean_environment(
        LIVEKIT_URL=livekit_server.url,
        LIVEKIT_API_KEY=livekit_server.api_key,
        LIVEKIT_API_SECRET=livekit_server.api_secret,
    )
    named = [part for room in rooms for part in ("--room", room)]
    async with contextlib.AsyncExitStack() as avatars:
        for room in rooms:
            await avatars.enter_async_context(avatar_in(room))
        with start_example("headless_bot.py", *named, "--seconds", "6", env=env, cwd=tmp_path) as bots:
            done = await finished(bots)
    assert_no_loose_ends(done)
    figures = {line["bot"]: line for line in map(json.loads, done.out.splitlines())}
    assert sorted(figures) == rooms
    for room in rooms:
        assert figures[room]["frames"] >= 30
        assert figures[room]["sound_s"] > 2
        assert figures[room]["loudness"] > 0.001
        poses = [json.loads(line) for line in (tmp_path / "recordings" / f"{room}.jsonl").open()]
        speech = [pose for pose in poses if pose["position"] is not None]
        assert max(pose["jaw"] for pose in speech) > 0.05


async def test_custom_audio_is_heard_by_others(
    livekit_server: LiveKitServer, viewer_env: dict[str, str], room_name: str, tmp_path: Path
) -> None:
    samples = np.sin(2 * np.pi * 660 * np.arange(2 * 16000) / 16000) * 12000
    with wave.open(str(tmp_path / "question.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())
    heard: list[np.ndarray[tuple[int], np.dtype[np.int16]]] = []
    reading: list[asyncio.Task[None]] = []
    room = rtc.Room()

    async def read(track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1, capacity=1000):
            heard.append(np.frombuffer(event.frame.data, np.int16).copy())

    room.on("track_subscribed", lambda track, *_: reading.append(asyncio.create_task(read(track))))
    await room.connect(livekit_server.url, mint_token(livekit_server, room_name, "avatar"))
    try:
        with start_example(
            "custom_audio.py", "--sound", "question.wav", env=viewer_env, cwd=tmp_path
        ) as child:
            await until(lambda: sum(map(len, heard)) > RATE, "a second of sound")
            done = await finished(child)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await room.disconnect()
    assert_no_loose_ends(done)
    assert "sent 2.0" in done.out
    loud = np.concatenate(heard)[RATE // 2 : RATE]
    assert abs(pitch(loud) - 660) < 15


async def test_stall_recovery_rejoins_and_plays_on(
    avatar_in: AvatarIn, viewer_env: dict[str, str], room_name: str
) -> None:
    with start_example("stall_recovery.py", "--seconds", "60", env=viewer_env) as child:
        async with avatar_in(room_name, seconds=5.0) as avatar:
            await printed(child, "round 1 begins")
            await asyncio.sleep(1.0)
            silent_since = time.monotonic()
            await avatar.stop()
            await printed(child, "stalled: ")
            await printed(child, "connection: reconnecting")
            await asyncio.to_thread(child.wait_for_count, "connection: connected", 2)
        async with avatar_in(room_name, seconds=1.0):
            await printed(child, "round 2 begins")
            silent_s = time.monotonic() - silent_since
            await printed(child, "round 2 ends: transition-end")
        child.process.terminate()
        done = await finished(child)
    # Once for each three seconds that it took until the avatar was there again.
    assert 1 <= done.out.count("stalled: ") <= (silent_s + 0.5) / 3.0
    assert "round 1 ends: stalled" in done.out
    assert "Traceback" not in done.err


async def test_borrowed_room_stays_its_owners(
    avatar_in: AvatarIn, viewer_env: dict[str, str], room_name: str
) -> None:
    async with avatar_in(room_name):
        with start_example("borrowed_room.py", "--seconds", "5", env=viewer_env) as child:
            done = await finished(child)
    assert_no_loose_ends(done)
    lines = done.out.splitlines()
    assert f"in the room {room_name}" in lines
    assert "avatar: spatialreal-avatar" in lines
    assert "round 1: transition-end" in lines
    assert "room after the player: CONN_CONNECTED" in lines
    (shown,) = [int(line.split()[0]) for line in lines if line.endswith("frames shown")]
    assert shown >= 30


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
async def test_ctrl_c_leaves_the_borrowed_room(viewer_env: dict[str, str]) -> None:
    with ctrl_c_heard(), start_example("borrowed_room.py", env=viewer_env) as child:
        await printed(child, "in the room")
        child.signal(signal.SIGINT)
        done = await finished(child)
    assert_no_loose_ends(done)
    assert "KeyboardInterrupt" not in done.err


async def test_a_borrowed_room_that_refuses_the_token_is_told_without_it(viewer_env: dict[str, str]) -> None:
    token = viewer_env["LIVEKIT_TOKEN"][:-8] + "AAAAAAAA"
    with start_example("borrowed_room.py", env=viewer_env | {"LIVEKIT_TOKEN": token}) as child:
        done = await finished(child)
    assert done.code == 1
    assert "401" in done.err
    assert "Traceback" not in done.err
    assert token not in done.out + done.err
