"""Nothing adds up: minutes of a recording, written as fast as it goes, read back by ffmpeg."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers import Recorder
from tests.renderers.test_recorder import wait_for_room
from tests.support.video import Flash, block, bright, onsets, sound_of

MINUTES = 2

pytestmark = pytest.mark.usefixtures("all_pictures")


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_pictures_and_sound_stay_together_to_the_millisecond(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    samples = {loud: block(0.0, loud, 48000).samples for loud in (False, True)}
    frames = {loud: MotionFrame.from_fields({"jaw_pose": [float(loud)]}) for loud in (False, True)}
    process, memory = psutil.Process(), []
    with Recorder(path, face=Flash(), codec="h264") as recorder:
        for k in range(MINUTES * 6000):
            t = k / 100
            event = k % 1000 >= 980  # each ten seconds
            if k % 4 == 0:
                recorder.show(Pose(t, PoseKind.RECEIVED, frames[event], 1, k / 4, t))
                wait_for_room(recorder)
            recorder.sound(ReceivedAudio(samples[event], 48000, t, t, 1, t))
            if k % 1000 == 0:
                memory.append(process.memory_info().rss)
    stats = recorder.stats()
    assert stats.pictures + stats.thinned == MINUTES * 1500
    assert stats.dropped_blocks == 0
    flashes = bright(path)
    opened = [t for before, t in zip([-9.0, *flashes], flashes, strict=False) if t - before > 1]
    heard = onsets(sound_of(path))
    assert len(opened) == len(heard) == MINUTES * 6
    apart = np.array(opened) - np.array(heard)
    # Where the machine stood still for long enough that pictures were left out, one may be late by some.
    fine, coarse = (0.001, 0.010) if not stats.thinned else (0.2, 0.2)
    assert np.abs(apart - apart[0]).max() < fine
    assert np.abs(apart).max() < coarse
    assert memory[-1] - memory[len(memory) // 4] < 8 << 20
