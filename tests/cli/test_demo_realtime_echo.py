"""``demo --realtime`` in a room whose microphone hears all that the speaker plays: the avatar does not
interrupt itself, and the user does."""

from __future__ import annotations

import asyncio
import ctypes.util
from pathlib import Path

import pytest

from avatarkit_rtc.testing.realtime import Reply, StandInRealtimeServer
from avatarkit_rtc.testing.voice import speak
from tests.support.command import assert_no_loose_ends, start_command
from tests.support.livekit import until
from tests.support.pulse import PulseServer
from tests.support.system import missing

pytestmark = [pytest.mark.long, pytest.mark.alone]


async def test_the_echo_interrupts_nobody_and_the_user_the_avatar(tmp_path: Path) -> None:
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")
    with PulseServer("room") as pulse:
        async with StandInRealtimeServer(reply=Reply("A long story.", 12.0)) as server:
            environment = {**pulse.env(sink="room", source="room.monitor"), "REALTIME_API_KEY": server.key}
            arguments = ["demo", "--realtime", server.url, "--no-window", "--out", "talk.mp4"]
            arguments += ["--duration", "60", "--size", "128x128", "--ask", "hello"]
            with start_command(*arguments, cwd=tmp_path, env=environment) as demo:
                await until(lambda: "avatar: A long story." in demo.err, "the story", 30)
                await asyncio.sleep(7)  # the canceller has learnt by then, and the story goes on
                # A card that ran empty has a gap in its echo, which the canceller has to follow first.
                if "underrun" not in demo.err:
                    assert "you speak" not in demo.err
                with pulse.playing("room", speak(7, 3.0, 48000).pcm):
                    await until(lambda: "you speak" in demo.err, "the user to be heard", 30)
                demo.signal(2)
                done = await asyncio.to_thread(demo.finish)
    assert_no_loose_ends(done)
