from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.views import View
from renderers import Image, Recorder
from renderers.recording.load import BEHIND_S
from tests.support.calls import calls_s
from tests.support.system import require
from tests.support.video import Flash, block, bright, onsets, plays, probe, sound_of

MakePose = Callable[..., Pose]

pytestmark = pytest.mark.usefixtures("all_pictures")


def record(recorder: Recorder, pose: MakePose, seconds: float, *, sound: tuple[float, float] | None) -> None:
    """Flashes and beeps in the first 0.2 s of each second but the first; sound from when to when."""
    epoch = 5000.0
    for k in range(round(seconds * 100)):
        t = k / 100
        event = t >= 1 and k % 100 < 20
        if k % 4 == 0:
            recorder.show(pose(epoch + t, jaw_pose=[float(event)]))
        if sound is not None and sound[0] <= t < sound[1]:
            recorder.sound(block(epoch + t, event))
        wait_for_room(recorder)


def wait_for_room(recorder: Recorder, most: int = 8) -> None:
    while recorder._worker.queued > most:
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("name", "codec", "kinds"),
    [
        ("talk.mp4", None, ("h264", "aac")),
        ("talk.mkv", None, ("vp8", "opus")),
        ("talk.mkv", "h264", ("h264", "opus")),
        ("talk.webm", None, ("vp8", "opus")),
        ("talk.webm", "vp9", ("vp9", "opus")),
    ],
)
def test_pictures_and_sound_are_in_the_file_with_their_times(
    tmp_path: Path, pose: MakePose, name: str, codec: str | None, kinds: tuple[str, str]
) -> None:
    path = tmp_path / name
    with Recorder(path, face=Flash(), codec=codec) as recorder:
        assert isinstance(recorder, View)
        record(recorder, pose, 4, sound=(0, 4))
    assert (recorder.pictures, recorder.dropped, recorder.error) == (100, 0, None)
    assert recorder.stats().duration_s == pytest.approx(4.0)
    streams = probe(path)
    video, audio = streams["video"], streams["audio"]
    assert (video["codec_name"], audio["codec_name"]) == kinds
    assert (video["width"], video["height"], audio["sample_rate"]) == (64, 48, "48000")
    assert video["times"] == pytest.approx([k / 25 for k in range(100)], abs=0.002)
    assert max(np.diff(video["keys"])) <= 2.04
    assert bright(path) == pytest.approx([s + k / 25 for s in (1, 2, 3) for k in range(5)], abs=0.002)
    sound = sound_of(path)
    assert len(sound) / 48000 == pytest.approx(4, abs=0.05)
    assert onsets(sound) == pytest.approx([1, 2, 3], abs=0.015)


def test_times_are_those_of_presentation_and_not_of_the_moment(tmp_path: Path) -> None:
    """Poses shown late and in bursts, sound handed out in bursts: the file knows nothing of it."""
    path = tmp_path / "talk.mp4"
    samples = {loud: block(0.0, loud, 48000).samples for loud in (False, True)}
    with Recorder(path, face=Flash()) as recorder:
        for k in range(300):
            seen = k / 100
            event = seen >= 1 and k % 100 < 20
            late = 700.0 + seen + 0.3 * (k % 7)
            if k % 4 == 0:
                frame = MotionFrame.from_fields({"jaw_pose": [float(event)]})
                recorder.show(Pose(late, PoseKind.RECEIVED, frame, 1, k / 4, 40.0 + seen))
            recorder.sound(ReceivedAudio(samples[event], 48000, late, 40.0 + seen, 1, seen))
            wait_for_room(recorder)
    assert recorder.inserted_silence_s == 0
    assert probe(path)["video"]["times"] == pytest.approx([k / 25 for k in range(75)], abs=0.001)
    assert bright(path) == pytest.approx([s + k / 25 for s in (1, 2) for k in range(5)], abs=0.002)
    assert onsets(sound_of(path)) == pytest.approx([1, 2], abs=0.015)


def test_each_frame_of_a_round_has_one_picture_however_often_it_is_shown(tmp_path: Path) -> None:
    """Sixty poses a second in between, and held ones."""
    path = tmp_path / "talk.mkv"
    with Recorder(path, face=Flash(), codec="h264") as recorder:
        for number, begin in ((1, 0.0), (2, 2.0)):
            for k in range(60):
                position = 25 * k / 60
                seen = begin + position / 25
                pose = Pose(seen, PoseKind.INTERPOLATED, MotionFrame.neutral(), number, position, seen)
                recorder.show(pose)
                if k % 10 == 0:
                    recorder.show(Pose(seen, PoseKind.HELD, pose.frame, number, position, seen))
                wait_for_room(recorder, 10)
    times = probe(path)["video"]["times"]
    assert len(times) == 50
    for number, t in enumerate(times):
        begin, frame = divmod(number, 25)
        assert 2 * begin + frame / 25 - 0.001 <= t <= 2 * begin + frame / 25 + 1 / 60 + 0.001
    assert recorder.stats().thinned == 2 * (60 + 6) - 50


def test_the_users_voice_is_a_track_of_its_own(tmp_path: Path, pose: MakePose) -> None:
    path = tmp_path / "both.mp4"
    with Recorder(path, face=Flash(), own_voice=True) as recorder:
        for k in range(300):
            t = 80.0 + k / 100
            if k % 4 == 0:
                recorder.show(pose(t))
            recorder.sound(block(t, 100 <= k < 120))
            if k >= 50:
                recorder.user_sound(block(t, 200 <= k < 220, 48000))
            wait_for_room(recorder)
    assert onsets(sound_of(path, 0)) == pytest.approx([1.0], abs=0.015)
    assert onsets(sound_of(path, 1)) == pytest.approx([2.0], abs=0.015)
    assert not hasattr(Recorder(tmp_path / "one.mp4", face=Flash()), "user_sound")


def test_a_gap_in_the_sound_becomes_silence_and_what_follows_is_in_time(
    tmp_path: Path, pose: MakePose
) -> None:
    path = tmp_path / "late.mp4"
    with Recorder(path, face=Flash()) as recorder:
        record(recorder, pose, 4, sound=(1.5, 4))
    assert recorder.inserted_silence_s == pytest.approx(1.5, abs=0.05)
    assert onsets(sound_of(path)) == pytest.approx([2, 3], abs=0.015)


def test_without_any_sound_there_is_silence_as_long_as_the_pictures(tmp_path: Path, pose: MakePose) -> None:
    path = tmp_path / "mute.mp4"
    with Recorder(path, face=Flash()) as recorder:
        record(recorder, pose, 3, sound=None)
    streams = probe(path)
    assert float(streams["audio"]["duration"]) == pytest.approx(3, abs=0.1)
    assert len(streams["video"]["times"]) == 75
    assert np.abs(sound_of(path)).max() < 100


def test_other_rates_and_stereo_are_converted(tmp_path: Path, pose: MakePose) -> None:
    path = tmp_path / "stereo.mp4"
    with Recorder(path, face=Flash()) as recorder:
        for k in range(200):
            t = k / 100
            if k % 4 == 0:
                recorder.show(pose(t))
            recorder.sound(block(t, True, 48000, 2) if t < 1 else block(t, True, 16000))
            time.sleep(0.001)
    sound = sound_of(path)
    assert len(sound) / 48000 == pytest.approx(2, abs=0.05)
    assert np.sqrt(np.mean(sound[4800:-4800] ** 2)) == pytest.approx(12000 / np.sqrt(2), rel=0.1)


def test_an_uneven_cadence_is_kept_and_too_fast_poses_are_thinned(tmp_path: Path, pose: MakePose) -> None:
    path = tmp_path / "uneven.mp4"
    times = [0.0, 0.04, 0.05, 0.1, 0.5, 0.52, 0.54, 1.61, 2.0, 2.9]
    with Recorder(path, face=Flash(), fps=25) as recorder:
        for t in times:
            recorder.show(pose(100 + t))
    expected = [0, 0.04, 0.1, 0.5, 0.54, 1.61, 2.0, 2.9]
    assert probe(path)["video"]["times"] == pytest.approx(expected, abs=0.002)


def test_the_cartoon_is_recorded_in_even_size(tmp_path: Path, pose: MakePose) -> None:
    path = tmp_path / "face.mp4"
    with Recorder(path, size=(127, 99)) as recorder:
        recorder.show(pose(0))
    video = probe(path)["video"]
    assert (video["width"], video["height"]) == (126, 98)


def test_showing_never_blocks_and_what_is_too_much_is_counted(tmp_path: Path, pose: MakePose) -> None:
    class Slow(Flash):
        def render(self, pose: Pose) -> Image:
            time.sleep(0.005)
            return super().render(pose)

    with Recorder(tmp_path / "slow.mp4", face=Slow()) as recorder:
        assert calls_s(partial(recorder.show, pose(k / 25)) for k in range(1000)) < 1
    stats = recorder.stats()
    assert stats.dropped_poses > 500
    assert stats.pictures + stats.dropped_poses + stats.thinned == 1000


@pytest.mark.parametrize(("fps", "kept"), [(25, 100), (60, 240)])
def test_four_seconds_of_poses_wait_whatever_their_rate(
    tmp_path: Path, pose: MakePose, fps: int, kept: int
) -> None:
    go_on = threading.Event()

    class Halted(Flash):
        def render(self, pose: Pose) -> Image:
            go_on.wait(60)
            return super().render(pose)

    with Recorder(tmp_path / "halted.mp4", face=Halted(), fps=fps) as recorder:
        for k in range(kept + 100):
            recorder.show(pose(k / fps))
        refused = recorder.stats().dropped_poses
        go_on.set()
    assert 40 < refused <= 100  # a few are looked at ahead


def test_who_cannot_keep_up_works_less_before_anything_is_dropped(
    tmp_path: Path, pose: MakePose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renderers.recording.load.BEHIND_S", BEHIND_S)

    class Slow(Flash):
        def render(self, pose: Pose) -> Image:
            time.sleep(0.060)
            return super().render(pose)

    path = tmp_path / "slow.mp4"
    with Recorder(path, face=Slow()) as recorder:
        k = 0

        def feed_until(condition: Callable[[], bool], poses: int) -> bool:
            nonlocal k
            last = k + poses
            while not condition() and k < last:
                recorder.show(pose(k / 25))
                recorder.sound(block(k / 25, False))
                time.sleep(0.040)
                k += 1
            return condition()

        # Working as hard as ever it would drop some after 8 s: 60 ms for 40, and 4 s of poses may wait.
        assert feed_until(lambda: recorder.stats().picture_rate < 25, 400)
        assert (recorder.dropped, recorder.stats().level) == (0, 2)
        assert feed_until(lambda: recorder.stats().behind_s < BEHIND_S, 600), "it falls behind for good"
    stats = recorder.stats()
    assert len(probe(path)["video"]["times"]) == stats.pictures
    assert plays(path) == "", "the encoder was changed in the middle of the file"


def test_a_face_that_fails_does_not_end_the_recording(
    tmp_path: Path, pose: MakePose, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(Flash):
        def render(self, pose: Pose) -> Image:
            if pose.frame.jaw_pose[0] > 0:
                raise ValueError("too wide")
            return super().render(pose)

    with Recorder(tmp_path / "clumsy.mp4", face=Clumsy()) as recorder:
        record(recorder, pose, 3, sound=None)
    assert recorder.error is None
    stats = recorder.stats()
    assert (stats.face_errors, stats.pictures + stats.thinned) == (10, 65)
    assert sum("too wide" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    "drawn",
    [
        None,
        [[0]],
        np.zeros((48, 64, 3), np.float32),
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 2), np.uint8),
        np.zeros((96, 128, 3), np.uint8),
        np.zeros((24, 32, 3), np.uint8),
    ],
)
def test_what_is_no_picture_of_its_size_is_missing_and_nothing_else(
    tmp_path: Path, pose: MakePose, drawn: object, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Flash):
        def render(self, pose: Pose) -> Image:
            return drawn if pose.frame.jaw_pose[0] > 0 else super().render(pose)  # type: ignore[return-value]

    with Recorder(tmp_path / "odd.mp4", face=Odd()) as recorder:
        for k in range(20):
            recorder.show(pose(k / 25, jaw_pose=[float(k in {0, 9})]))
    assert recorder.error is None
    assert (recorder.stats().face_errors, recorder.pictures) == (2, 18)
    assert len(probe(tmp_path / "odd.mp4")["video"]["times"]) == 18
    assert sum("the face failed to draw" in record.message for record in caplog.records) == 1


def test_a_face_without_a_background_is_recorded(tmp_path: Path, pose: MakePose) -> None:
    class Clear(Flash):
        def render(self, pose: Pose) -> Image:
            return np.full((48, 64, 4), 255, np.uint8)

    path = tmp_path / "clear.mp4"
    with Recorder(path, face=Clear()) as recorder:
        recorder.show(pose(0))
    assert bright(path) == [0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told_and_playing_goes_on(
    tmp_path: Path, pose: MakePose, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "full.mp4"
    path.symlink_to("/dev/full")
    recorder = Recorder(path, face=Flash())
    record(recorder, pose, 4, sound=(0, 4))
    recorder.close()
    assert recorder.error is not None
    assert "No space left" in str(recorder.error)
    assert recorder.error.code == "recording-failed"
    assert len(caplog.records) <= 3
    recorder.show(pose(9))


def test_a_face_far_too_slow_does_not_keep_the_file_from_its_end(
    tmp_path: Path, pose: MakePose, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Snail(Flash):
        def render(self, pose: Pose) -> Image:
            time.sleep(0.1)
            return super().render(pose)

    monkeypatch.setattr("renderers.recorder._CLOSE_S", 0.5)
    path = tmp_path / "snail.mp4"
    recorder = Recorder(path, face=Snail())
    for k in range(80):
        recorder.show(pose(k / 25))
    recorder.close()
    stats = recorder.stats()
    assert stats.dropped_poses > 20
    assert stats.pictures + stats.thinned + stats.dropped_poses == 80
    assert plays(path) == ""
    assert len(probe(path)["video"]["times"]) == stats.pictures > 0


async def test_closing_twice_and_from_the_event_loop(tmp_path: Path, pose: MakePose) -> None:
    recorder = Recorder(tmp_path / "a.mp4", face=Flash())
    recorder.show(pose(0))
    await asyncio.gather(recorder.aclose(), recorder.aclose())
    recorder.close()
    assert recorder.closed
    recorder.show(pose(1))
    recorder.sound(block(1, True))
    assert recorder.pictures == 1


def test_a_recording_of_nothing_can_be_closed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "empty.mp4", face=Flash())
    recorder.close()
    assert recorder.error is None


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("talk.avi", {}, "MP4"),
        ("no/such/folder/talk.mp4", {}, "cannot be written"),
        ("talk.mp4", {"fps": 0}, "fps"),
        ("talk.mp4", {"fps": float("nan")}, "fps"),
        ("talk.mp4", {"face": "null"}, "needs a face"),
        ("talk.mp4", {"size": (1, 1)}, "size"),
        ("talk.mp4", {"codec": "vp9"}, "takes h264"),
        ("talk.webm", {"codec": "h264"}, "takes vp8 or vp9"),
        ("talk.mp4", {"level": 3}, "level must be 0 to 2"),
        ("talk.mp4", {"rotate_s": 0.5}, "rotate_s"),
        ("talk.mp4", {"rotate_bytes": 10}, "rotate_bytes"),
    ],
)
def test_what_cannot_be_right_is_refused(
    tmp_path: Path, name: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Recorder(tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_without_pyav_one_line_says_what_to_install(tmp_path: Path) -> None:
    script = """
    import sys
    sys.modules["av"] = None
    from avatarkit_rtc.errors import MissingDependencyError
    from renderers import Recorder
    try:
        Recorder(sys.argv[1])
    except MissingDependencyError as error:
        print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "x.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "pip install 'avatarkit-rtc[record]'" in done.stdout, done.stderr
    assert not (tmp_path / "x.mp4").exists()


def test_ffmpeg_is_there_where_all_must_be() -> None:
    require("ffmpeg", "ffprobe")
