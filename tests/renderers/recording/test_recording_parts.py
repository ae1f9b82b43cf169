"""Recordings that go on in a new file by time or size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.playout.pose import Pose
from renderers import Image, Recorder
from renderers.recording.sidecar import Line, read_sidecar
from tests.renderers.test_recorder import wait_for_room
from tests.support.pictures import grey
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


def sidecars(folder: Path) -> list[list[Line]]:
    """The lines of each file's sidecar, which begins with that file's name."""
    found = [list(read_sidecar(each.with_suffix(".jsonl"))) for each in files(folder, ".mp4")]
    assert [lines[0].content["file"] for lines in found] == [each.name for each in files(folder, ".mp4")]
    return found


def test_each_file_of_a_video_avatar_has_its_sidecar(tmp_path: Path) -> None:
    with Recorder(tmp_path / "talk.mp4", face=Flash(), rotate_s=2, sidecar=True) as recorder:
        for k in range(150):
            for j in range(4):
                recorder.sound(block(k / 25 + j / 100, False, 48000))
            recorder.show_picture(grey(k / 25))
            if k in {30, 80, 130}:
                recorder._event("transcript", k)
            wait_for_room(recorder)
    found = sidecars(tmp_path)
    ends = [0.0, *(lines[0].content["start"] for lines in found[1:]), 6.0]
    for number, lines in enumerate(found):
        assert [line.type for line in lines[1:]] == ["event"] + ["end"] * (number == 2)
        assert 0 < lines[1].t < ends[number + 1] - ends[number]
    assert found[2][-1].content["pictures"] == len(probe(recorder.file)["video"]["times"])


def test_each_file_of_sound_alone_has_its_sidecar(tmp_path: Path, pose: MakePose) -> None:
    """The last one is removed, the one before has the end."""
    with Recorder(tmp_path / "talk.mp4", face=Flash(), rotate_s=2, sidecar=True) as recorder:
        recorder.show(pose(0.0))
        recorder.show(pose(1.0))
        for k in range(1300):  # each file waits 5 s for the pictures of the one before
            recorder.sound(block(k / 100, False))
            wait_for_room(recorder)
    found = sidecars(tmp_path)
    assert recorder.file.name == "talk-0003.mp4"
    assert [[line.type for line in lines[1:]] for lines in found] == [["pose", "pose"], [], ["end"]]


def test_sound_before_the_first_picture_makes_no_files_without_one(tmp_path: Path, pose: MakePose) -> None:
    with Recorder(tmp_path / "talk.mp4", face=Flash(), rotate_s=2) as recorder:
        for k in range(900):
            recorder.sound(block(k / 100, True, 48000))
            if k >= 500 and k % 4 == 0:
                recorder.show(pose(k / 100))
            wait_for_room(recorder)
    made = files(tmp_path, ".mp4")
    pictures = [len(probe(path)["video"]["times"]) for path in made]
    assert min(pictures) > 0
    assert sum(pictures) == recorder.pictures == 100
    lengths = [len(sound_of(path)) / 48000 for path in made]
    assert sum(lengths) == pytest.approx(9, abs=0.06)
    assert lengths[0] >= 5


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
