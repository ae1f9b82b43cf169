"""A real sound server takes the microphone away and gives it back; the player goes on publishing."""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support.command import Child, clean_environment
from tests.support.pulse import PulseServer, tone
from tests.support.system import missing

VOICE = tone(400, 60.0)

PROGRAM = """
import asyncio, sys
import numpy as np
from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.testing import MockProvider

OPTIONS = dict.fromkeys(
    "play_audio echo_cancellation noise_suppression auto_gain_control high_pass_filter".split(), False
)

async def main():
    provider = MockProvider()
    async with AvatarPlayer(provider, **OPTIONS) as player:
        for name in ("microphone-lost", "microphone-back", "error"):
            player.on(name, lambda payload, name=name: print(name, payload, flush=True))
        await player.connect()
        await player.start_publishing("default")
        loud_before = None
        while True:
            await asyncio.sleep(0.05)
            newest = list(provider.uplinks[0].blocks)[-10:]
            loud = len(newest) == 10 and all(np.abs(b.samples.astype(int)).max() > 500 for b in newest)
            if loud != loud_before:
                print("loud" if loud else "silent", len(provider.uplinks), flush=True)
                loud_before = loud

asyncio.run(main())
"""


@pytest.fixture
def pulse() -> Iterator[PulseServer]:
    """A daemon of this test's own: it takes devices away."""
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")
    with PulseServer("room") as server:
        yield server


def test_the_source_and_the_sound_server_go_and_come_back(pulse: PulseServer) -> None:
    env = {**clean_environment(), **pulse.env(source="room.monitor")}
    with contextlib.ExitStack() as voices, Child([sys.executable, "-c", PROGRAM], env=env) as child:

        def talk() -> None:
            voices.enter_context(pulse.playing("room", VOICE))

        talk()
        child.wait_for("loud 1")
        pulse.unload(pulse.module_of("room"))
        child.wait_for("microphone-lost")
        child.wait_for("silent 1")
        pulse.load_sink("room")
        talk()
        child.wait_for("microphone-back")
        child.wait_for_count("loud 1", 2)
        pulse.kill()
        child.wait_for_count("microphone-lost", 2)
        pulse.revive()
        talk()
        child.wait_for_count("microphone-back", 2)
        child.wait_for_count("loud 1", 3)
        assert "error" not in child.out


def test_a_sound_server_that_hangs_is_noticed(pulse: PulseServer) -> None:
    env = {**clean_environment(), **pulse.env(source="room.monitor")}
    with pulse.playing("room", VOICE), Child([sys.executable, "-c", PROGRAM], env=env) as child:
        child.wait_for("loud 1")
        os.kill(pulse.pid, signal.SIGSTOP)  # no callback comes, and no stream ends
        try:
            child.wait_for("no sound for 0.5 s")
        finally:
            os.kill(pulse.pid, signal.SIGCONT)
        child.wait_for("microphone-back")
        child.wait_for_count("loud 1", 2)


@pytest.mark.long
def test_twenty_times_in_a_row(pulse: PulseServer) -> None:
    env = {**clean_environment(), **pulse.env(source="room.monitor")}
    with Child([sys.executable, "-c", PROGRAM], env=env) as child:
        child.wait_for("silent 1")
        away = []
        for times in range(1, 21):
            pulse.unload(pulse.module_of("room"))
            child.wait_for_count("microphone-lost", times)
            time.sleep(0.2 * (times % 5))
            pulse.load_sink("room")
            pulse.keep_busy("room")
            start = time.monotonic()
            child.wait_for_count("microphone-back", times)
            away.append(time.monotonic() - start)
        assert "error" not in child.out
        assert max(away) < 5.0  # a new null sink itself takes up to 2 s to bring its first sound
