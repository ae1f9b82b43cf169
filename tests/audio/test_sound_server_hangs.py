"""A real sound server stops answering under a player: what is said, and what goes on."""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import signal
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.command import Child, clean_environment
from tests.support.pulse import PulseServer, Recording, audible
from tests.support.system import missing

PROGRAM = """
import asyncio, signal, sys
import numpy as np
from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.testing import MockProvider

TONE = (9000 * np.sin(np.arange(480) * 2 * np.pi * 400 / 48000)).astype(np.int16)

async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    provider = MockProvider()
    player = AvatarPlayer(provider, audio_device="default")
    player.on("audio-device-changed", lambda changed: print("device", changed.change.value, flush=True))
    for name in ("microphone-lost", "microphone-back", "error"):
        player.on(name, lambda payload, name=name: print(name, flush=True))
    await player.connect()
    await player.start_publishing("default")

    async def feed():
        due, playing = asyncio.get_running_loop().time(), False
        while True:
            provider.feed_audio(TONE)
            due += 0.01
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            speaker = player.stats().audio.speaker
            if speaker is not None and speaker.playing != playing:
                playing = speaker.playing
                print("playing" if playing else "silent", flush=True)

    feeding = asyncio.create_task(feed())
    await told.wait()
    feeding.cancel()
    begin = asyncio.get_running_loop().time()
    await player.disconnect()
    print(f"disconnected {asyncio.get_running_loop().time() - begin:.2f}", flush=True)

asyncio.run(main())
print("ended", flush=True)
"""


@pytest.fixture
def pulse() -> Iterator[PulseServer]:
    """A daemon of this test's own, which it stops."""
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")
    with PulseServer("card") as server:
        yield server


def program(pulse: PulseServer) -> Child:
    env = {**clean_environment(), **pulse.env(sink="card", source="card.monitor")}
    return Child([sys.executable, "-c", PROGRAM], env=env)


@contextlib.contextmanager
def hanging(pulse: PulseServer) -> Iterator[None]:
    """The server answers nobody meanwhile."""
    os.kill(pulse.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pulse.pid, signal.SIGCONT)


def wait_for_a_second_without_a_gap(recording: Recording) -> None:
    deadline = time.monotonic() + 30.0
    while bytes([True] * 100) not in audible(recording.samples).tobytes():
        share = audible(recording.samples).mean()
        assert time.monotonic() < deadline, f"only {share:.0%} of the sound is heard"
        time.sleep(0.1)


def test_the_player_is_left_and_the_program_ends_all_the_same(pulse: PulseServer) -> None:
    with program(pulse) as child:
        child.wait_for("playing")
        with hanging(pulse):
            child.wait_for("device lost")
            child.wait_for("microphone-lost")
            child.signal(signal.SIGUSR1)
            begin = time.monotonic()
            assert child.finish().code == 0  # while the server still hangs
            took = time.monotonic() - begin
        assert "ended" in child.out
        assert "error" not in child.out
        assert float(child.out.partition("disconnected ")[2].split()[0]) < 12.0
        assert took < 20.0  # PulseAudio's own time limits are 30 s, one after another


@pytest.mark.alone
def test_sound_is_back_once_when_the_server_answers_again(pulse: PulseServer) -> None:
    with program(pulse) as child:
        child.wait_for("playing")
        with hanging(pulse):
            child.wait_for("device lost")
            begun = child.out.count("playing")  # more than once where the machine held it up
            child.wait_for_count("silent", begun)
            # Longer than a stream that does not let itself be closed is waited for.
            time.sleep(2.5)
            assert "device back" not in child.out
        child.wait_for("device back", 60.0)
        child.wait_for("microphone-back", 60.0)
        child.wait_for_count("playing", begun + 1)
        with pulse.recording("card") as recording:
            wait_for_a_second_without_a_gap(recording)
        # One tone of 9000, and the keeper of the sink: a second stream would be heard beside it.
        heard = recording.samples
        assert np.abs(heard.astype(int)).max() < 9000 * 1.2
        clients = pulse.pactl("list", "short", "sink-inputs").splitlines()
        assert len(clients) == 2, clients
        child.signal(signal.SIGUSR1)
        assert child.finish().code == 0
        assert "error" not in child.out
