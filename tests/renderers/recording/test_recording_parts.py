"""Recordings that go on in a new file by time or size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.playout.pose import Pose
from renderers import Image, Recorder
from renderers.recording.sidecar import read_sidecar
from tests.renderers.test_recorder import wait_for_room
from tests.support.video import Flash, block, onsets, plays, probe, sound_of

MakePose = Callable[..., Pose]

pytestmark = pytest.mark.usefixtures("all_pictures")


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.suffix == suffix)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("sound_ahead_s", [0.0, 0.5, -0.1])
def test_a_new_file_by_time_without_a_gap(
    tmp_path: Path, pose: MakePose, suffix: str, sound_ahead_s: float
) -> None:
    """Sound may come before its picture (a face that is held back) or after it (nothing is played)."""
    steps = []
    for k in range(700):
        t = k / 100
        steps.append((t - sound_ahead_s, "sound", t))
        if k % 4 == 0:
            steps.append((t, "pose", t))
    # A tone through all, so that a missing or doubled stretch can be seen.
    with Recorder(tmp_path / f"talk{suffix}", face=Flash(), rotate_s=3, sidecar=True) as recorder:
        for _, kind, t in sorted(steps):
            if kind == "pose":
                recorder.show(pose(50 + t, jaw_pose=[float(t % 1 < 0.2)]))
            else:
                recorder.sound(block(50 + t, True, 48000))
            wait_for_room(recorder)
    made = files(tmp_path, suffix)
    assert [each.name for each in made] == [f"talk-000{n}{suffix}" for n in (1, 2, 3)]
    assert recorder.file == made[-1]
    assert recorder.stats().files == 3
    assert recorder.pictures == 175
    lengths = [len(sound_of(path)) / 48000 for path in made]
    assert sum(lengths) == pytest.approx(7, abs=0.06)
    assert lengths[0] == pytest.approx(3, abs=0.15)
    assert sum(len(probe(path)["video"]["times"]) for path in made) == 175
    for path in made:
        assert plays(path) == ""
        loud = np.abs(sound_of(path)[960:-2400]) > 2000
        assert max(np.diff(np.flatnonzero(loud))) < 100, "no hole in the tone"
    # Each file has its sidecar, with times of its own.
    begin = 0.0
    for path in made:
        lines = list(read_sidecar(path.with_suffix(".jsonl")))
        assert lines[0].content["file"] == path.name
        assert lines[0].content["start"] == pytest.approx(begin, abs=0.15)
        shown = [line.t for line in lines if line.type == "pose"]
        assert shown[0] >= 0
        assert shown == sorted(shown)
        begin += probe(path)["video"]["times"][-1] + 0.04
    assert recorder.stats().thinned == 0


def test_numbers_go_on_behind_what_is_there(tmp_path: Path, pose: MakePose) -> None:
    (tmp_path / "talk [a]-0007.mp4").write_bytes(b"of yesterday")
    with Recorder(tmp_path / "talk [a].mp4", face=Flash(), rotate_s=2) as recorder:
        recorder.show(pose(1.0))
    assert (tmp_path / "talk [a]-0007.mp4").read_bytes() == b"of yesterday"
    assert recorder.file.name == "talk [a]-0008.mp4"


def test_a_new_file_by_size(tmp_path: Path, pose: MakePose) -> None:
    class Noise:
        size = (64, 64)
        random = np.random.default_rng(1)

        def render(self, pose: Pose) -> Image:
            return self.random.integers(0, 255, (64, 64, 3), np.uint8)

    with Recorder(tmp_path / "talk.mkv", face=Noise(), codec="h264", rotate_bytes=100_000) as recorder:
        for k in range(1000):
            t = k / 100
            if k % 4 == 0:
                recorder.show(pose(t))
            recorder.sound(block(t, 100 <= k < 120))
            wait_for_room(recorder, 2)
    made = files(tmp_path, ".mkv")
    assert len(made) > 2
    # Looked at once a second, and what is written then ends a second before.
    assert max(path.stat().st_size for path in made) < 100_000 + 3 * 25 * 8_000
    assert sum(len(probe(path)["video"]["times"]) for path in made) == recorder.pictures
    assert sum(len(onsets(sound_of(path))) for path in made) == 1
