"""A disk that fills up while an avatar is recorded: a real one, small. Needs root and Linux."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, LoopbackProvider, Pose
from avatarkit_rtc.errors import RecordingError
from avatarkit_rtc.testing.beeps import beeps
from avatarkit_rtc.testing.stand_in import StandInAvatar, StandInOptions
from renderers import HeadlessSink, Image, Recorder, Tee
from tests.support.livekit import until
from tests.support.playing import Record
from tests.support.system import missing
from tests.support.video import plays, probe


class Noise:
    """Pictures that fill a disk soon."""

    size = (128, 128)

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)

    def render(self, pose: Pose) -> Image:
        return self._random.integers(0, 255, (128, 128, 3), np.uint8)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 0.8 MB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        missing("needs Linux and root, to mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"cannot mount a small disk here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.parametrize("name", ["full.mp4", "full.mkv"])
async def test_it_is_an_event_and_playing_goes_on_and_the_file_plays(small_disk: Path, name: str) -> None:
    path = small_disk / name
    provider = LoopbackProvider()
    sink = HeadlessSink()
    recorder = Recorder(path, face=Noise(), codec="h264", sidecar=True)
    avatar = StandInAvatar(provider.avatar, [beeps(30.0)], StandInOptions())
    async with AvatarPlayer(provider, Tee(recorder, sink), play_audio=False, log_level="none") as player:
        record = Record(player)
        await player.connect()
        speaking = asyncio.create_task(avatar.run())
        await until(lambda: record.count("error"), "the disk to be full", 40)
        shown = sink.shown
        await until(lambda: sink.shown - shown > 10, "playing to go on")
        assert player.is_connected
        speaking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await speaking
    await recorder.aclose()
    problems = record.payloads("error")
    assert {type(problem) for problem in problems} == {RecordingError}
    assert any("No space left" in str(problem) for problem in problems)
    assert recorder.error is not None
    assert str(path) in str(recorder.error)
    assert recorder.dropped > 0
    # A Matroska file may end anywhere; ffmpeg says so.
    assert plays(path) == "" or path.suffix == ".mkv"
    streams = probe(path, whole=path.suffix == ".mp4")
    written = recorder.stats()
    assert written.pictures > 25
    # All but the fragment that found no room, and what waited for it.
    assert streams["video"]["times"][-1] > written.duration_s - 3.0 - recorder.dropped
    assert len(streams["video"]["times"]) > 25
