from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.errors import ConfigurationError, RecordingError
from avatarkit_rtc.playout.pose import Pose
from renderers import Image, Recorder
from renderers.recording.replay import Replay
from tests.renderers.test_recorder import record
from tests.support.video import Flash, bright, onsets, plays, probe, sound_of

MakePose = Callable[..., Pose]

pytestmark = pytest.mark.usefixtures("all_pictures")


class Listening(Flash):
    """A face that hears, of another size."""

    size = (96, 64)

    def __init__(self) -> None:
        self.heard: list[ReceivedAudio] = []
        self.late = 0

    def hear(self, block: ReceivedAudio) -> None:
        self.heard.append(block)

    def render(self, pose: Pose) -> Image:
        if self.heard and pose.t > self.heard[-1].presentation_time + 0.02:
            self.late += 1
        return np.full((64, 96, 3), 255 if pose.frame.jaw_pose[0] > 0 else 0, np.uint8)


@pytest.fixture
def sidecar(tmp_path: Path, pose: MakePose) -> Path:
    """Of a recording of four seconds, with flashes and beeps at 1, 2 and 3 s."""
    with Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True) as recorder:
        record(recorder, pose, 4, sound=(0, 4))
    return tmp_path / "talk.jsonl"


@pytest.mark.parametrize("name", ["again.webm", "again.mp4"])
def test_poses_and_sound_come_again_with_another_face(tmp_path: Path, sidecar: Path, name: str) -> None:
    out = tmp_path / name
    face = Listening()
    told: list[float] = []
    done = Replay(sidecar).to_file(out, face, progress=told.append)
    assert (done.pictures, done.duration_s) == (100, pytest.approx(4.0))
    assert told == pytest.approx([k / 25 for k in range(100)])
    video = probe(out)["video"]
    assert (video["width"], video["height"]) == (96, 64)
    assert video["times"] == pytest.approx([k / 25 for k in range(100)], abs=0.002)
    assert bright(out) == bright(tmp_path / "talk.mp4")
    assert onsets(sound_of(out)) == pytest.approx([1, 2, 3], abs=0.015)
    assert plays(out) == ""
    assert face.late == 0, "the face hears before it draws"
    assert len(face.heard[0].samples) == 480
    times = [block.presentation_time for block in face.heard]
    assert np.diff(times) == pytest.approx(0.01)


def test_without_the_recording_it_is_silent(tmp_path: Path, sidecar: Path) -> None:
    (tmp_path / "talk.mp4").unlink()
    out = tmp_path / "again.mp4"
    assert Replay(sidecar).sound is None
    Replay(sidecar).to_file(out, Flash())
    assert np.abs(sound_of(out)).max() < 100


def test_sound_may_be_left_out_or_come_from_elsewhere(tmp_path: Path, sidecar: Path) -> None:
    assert Replay(sidecar, with_sound=False).sound is None
    other = tmp_path / "other.mkv"
    Replay(sidecar).to_file(other, Flash())
    assert Replay(sidecar, sound=other).sound == other


def test_a_picture_rate_of_its_own(tmp_path: Path, sidecar: Path) -> None:
    out = tmp_path / "slow.mp4"
    assert Replay(sidecar).to_file(out, Flash(), fps=10).pictures == pytest.approx(40, abs=1)
    assert {round(step, 2) for step in np.diff(probe(out)["video"]["times"])} == {0.08, 0.12}


def test_what_cannot_be_is_refused(tmp_path: Path, sidecar: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        Replay(tmp_path / "none.jsonl")
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(ConfigurationError, match="is empty"):
        Replay(empty)
    with pytest.raises(ConfigurationError, match="no file"):
        Replay(sidecar, sound=tmp_path / "none.wav")
    with pytest.raises(ConfigurationError, match="another name"):
        Replay(sidecar).to_file(tmp_path / "talk.mp4", Flash())
    with pytest.raises(ConfigurationError, match="name it"):
        Replay(sidecar).to_file(Path(), Flash())
    with pytest.raises(RecordingError, match="cannot be written"):
        Replay(sidecar).to_file(tmp_path / "no" / "such.mp4", Flash())
    with pytest.raises(ConfigurationError, match="cannot read the sound"):
        Replay(sidecar, sound=sidecar).to_file(tmp_path / "a.mp4", Flash())
    header = sidecar.read_text(encoding="utf-8").splitlines()[0]
    poseless = tmp_path / "poseless.jsonl"
    poseless.write_text(header + "\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no pose"):
        Replay(poseless, with_sound=False).to_file(tmp_path / "a.mp4", Flash())
    assert not list(tmp_path.glob("a.mp4*"))


def with_poses_at(sidecar: Path, *times: float) -> Path:
    """A sidecar beside ``sidecar`` that has poses at these times."""
    header = sidecar.read_text(encoding="utf-8").splitlines()[0]
    poses = [json.dumps({"type": "pose", "t": t, "kind": "idle", "pose": {}}) for t in times]
    path = sidecar.with_name("odd.jsonl")
    path.write_text("\n".join([header, *poses, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ((0.0, 1e300), "its time is 1e[+]300 s"),
        ((0.0, 10**400), "its time is beyond all measure"),
        ((0.0, 8e5), "from 0 s the time leaps to 800000 s"),
        ((8e5,), "from 0 s the time leaps to 800000 s"),
        ((-8e5, 0.0), "leaps to -800000 s"),
        ((0.0, 1.0, 0.96), "times go back, from 1 s to 0.96 s"),
        ((-0.08, -0.04), "all its poses are before the beginning"),
    ],
)
def test_times_that_no_recording_has_are_told(
    tmp_path: Path, sidecar: Path, times: tuple[float, ...], says: str
) -> None:
    odd = Replay(with_poses_at(sidecar, *times), with_sound=False)
    with pytest.raises(ConfigurationError, match=says):
        odd.to_file(tmp_path / "a.mp4", Flash())
    assert not list(tmp_path.glob("a.mp4*"))


def test_a_recording_may_have_been_without_poses_for_days(sidecar: Path) -> None:
    times = (0.0, 0.04, 3700.0, 500_000.0, 500_000.04)
    assert [pose.t for pose in Replay(with_poses_at(sidecar, *times)).poses()] == list(times)


def test_what_a_killed_replay_left_is_in_nobodys_way(tmp_path: Path, sidecar: Path) -> None:
    """In a container each one has the same process id."""
    left = tmp_path / f"a.mp4.{os.getpid()}.part"
    left.write_bytes(b"of a killed one")
    assert Replay(with_poses_at(sidecar, 0.0), with_sound=False).to_file(tmp_path / "a.mp4", Flash())
    assert left.read_bytes() == b"of a killed one"


def test_poses_before_the_beginning_are_left_out(tmp_path: Path, sidecar: Path) -> None:
    """The first sound may be later than the first pose, and is the beginning."""
    odd = Replay(with_poses_at(sidecar, -0.04, 0.0, 0.04), with_sound=False)
    assert odd.to_file(tmp_path / "a.mp4", Flash()).pictures == 2


def test_long_silence_is_written_as_it_is_made_and_can_be_broken_off(tmp_path: Path, sidecar: Path) -> None:
    class EnoughError(Exception):
        pass

    out = tmp_path / "a.mp4"
    out.write_bytes(b"of yesterday")
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 500:  # 10 s of sound and a picture or two
            raise EnoughError

    odd = Replay(with_poses_at(sidecar, 0.0, 300_000.0), with_sound=False)
    with pytest.raises(EnoughError):
        odd.to_file(out, Flash(), check=check)
    assert out.read_bytes() == b"of yesterday"
    assert [each.name for each in tmp_path.glob("a.mp4*")] == ["a.mp4"]


class Wrong(Flash):
    """Draws something that is no picture of its size from 1 s on."""

    def __init__(self, drawn: object) -> None:
        self._drawn = drawn

    def render(self, pose: Pose) -> Image:
        return super().render(pose) if pose.t < 1 else self._drawn  # type: ignore[return-value]


@pytest.mark.parametrize("drawn", [None, np.zeros((48, 64), np.uint8), np.zeros((96, 128, 3), np.uint8)])
def test_a_replay_that_fails_leaves_what_was_there(tmp_path: Path, sidecar: Path, drawn: object) -> None:
    out = tmp_path / "a.mp4"
    out.write_bytes(b"of yesterday")
    with pytest.raises(ConfigurationError, match="the face failed to draw the pose at 1 s"):
        Replay(sidecar).to_file(out, Wrong(drawn))
    assert out.read_bytes() == b"of yesterday"
    assert [each.name for each in tmp_path.glob("a.mp4*")] == ["a.mp4"]


def test_a_replay_overwrites_what_a_link_points_to(tmp_path: Path, sidecar: Path) -> None:
    out, link = tmp_path / "real.mp4", tmp_path / "link.mp4"
    out.write_bytes(b"of yesterday")
    link.symlink_to(out)
    Replay(with_poses_at(sidecar, 0.0, 0.04), with_sound=False).to_file(link, Flash())
    assert link.is_symlink()
    assert plays(out) == ""


def test_the_video_of_another_recording_is_not_replaced(tmp_path: Path, sidecar: Path) -> None:
    video, poses = tmp_path / "other.mp4", tmp_path / "other.jsonl"
    video.write_bytes(b"of yesterday")
    poses.write_text('{"type":"recording","version":1,"file":"other.mp4"}\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"other\.jsonl is there already"):
        Replay(sidecar).to_file(video, Listening())
    assert video.read_bytes() == b"of yesterday"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *("other.jsonl", "other.mp4", "talk.jsonl", "talk.mp4")
    ]
    # Beside the sidecar that is read it may be.
    assert Replay(sidecar, with_sound=False).to_file(tmp_path / "talk.webm", Listening()).pictures == 100
