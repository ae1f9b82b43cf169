from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.views import View
from renderers import Image, Recorder
from tests.support.system import require

MakePose = Callable[..., Pose]

# Debian and Ubuntu: ffmpeg. It is another program than the FFmpeg inside PyAV, which writes the files.


class Flash:
    """A face that is white while the jaw is open, and quick."""

    size = (64, 48)

    def render(self, pose: Pose) -> Image:
        return np.full((48, 64, 3), 255 if pose.frame.jaw_pose[0] > 0 else 0, np.uint8)


def probe(path: Path) -> dict[str, dict[str, Any]]:
    """What ffprobe says about the streams, by kind, with their packets' times."""
    require("ffprobe")
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_packets", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert not done.stderr
    found = json.loads(done.stdout)
    streams: dict[str, dict[str, Any]] = {stream["codec_type"]: stream for stream in found["streams"]}
    for kind, stream in streams.items():
        packets = [packet for packet in found["packets"] if packet["codec_type"] == kind]
        stream["times"] = [float(packet["pts_time"]) for packet in packets]
    return streams


def bright(path: Path) -> list[float]:
    """Times of the pictures that are bright."""
    command = ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-fps_mode", "passthrough", "-vf"]
    command += ["signalstats,metadata=print:file=-", "-f", "null", "/dev/null"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    times = re.findall(r"pts_time:([\d.]+)", printed)
    levels = re.findall(r"signalstats\.YAVG=([\d.]+)", printed)
    return [float(time) for time, level in zip(times, levels, strict=True) if float(level) > 128]


def sound_of(path: Path) -> np.ndarray:
    """The decoded sound, float, 48 kHz, from time 0."""
    # The encoder's priming lies before time 0.
    command = ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-vn", "-af", "atrim=start=0"]
    command += ["-f", "s16le", "-ac", "1", "-ar", "48000", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(raw, "<i2").astype(float)


def block(t: float, loud: bool, rate: int = 24000, channels: int = 1) -> AudioBlock:
    """10 ms of a tone or of silence."""
    n = rate // 100
    tone = 12000 * np.sin(2 * np.pi * 1000 * np.arange(n) / rate) * loud
    return AudioBlock(np.repeat(tone.astype(np.int16)[:, None], channels, axis=1), rate, t)


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
        while recorder._worker.queued > 50:
            time.sleep(0.001)


def test_pictures_and_sound_are_in_the_file_with_their_times(tmp_path: Path, pose: MakePose) -> None:
    path = tmp_path / "talk.mp4"
    with Recorder(path, face=Flash()) as recorder:
        assert isinstance(recorder, View)
        record(recorder, pose, 4, sound=(0, 4))
    assert (recorder.pictures, recorder.dropped, recorder.error) == (100, 0, None)
    streams = probe(path)
    video, audio = streams["video"], streams["audio"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 64, 48)
    assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "48000")
    assert video["times"] == pytest.approx([k / 25 for k in range(100)], abs=0.002)
    assert float(video["duration"]) == pytest.approx(4, abs=0.05)
    assert float(audio["duration"]) == pytest.approx(4, abs=0.1)
    flashes = bright(path)
    assert flashes == pytest.approx([s + k / 25 for s in (1, 2, 3) for k in range(5)], abs=0.002)
    loud = np.abs(sound_of(path)) > 4000
    for second in (1, 2, 3):
        onset = np.argmax(loud[round((second - 0.3) * 48000) :]) / 48000 + second - 0.3
        assert onset == pytest.approx(second, abs=0.015)


def test_a_gap_in_the_sound_becomes_silence_and_what_follows_is_in_time(
    tmp_path: Path, pose: MakePose
) -> None:
    path = tmp_path / "late.mp4"
    with Recorder(path, face=Flash()) as recorder:
        record(recorder, pose, 4, sound=(1.5, 4))
    assert recorder.inserted_silence_s == pytest.approx(1.5, abs=0.05)
    loud = np.abs(sound_of(path)) > 4000
    assert not loud[: 48000 * 15 // 10].any()
    onset = np.argmax(loud[48000 * 17 // 10 :]) / 48000 + 1.7
    assert onset == pytest.approx(2, abs=0.015)


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
    times = [0.0, 0.04, 0.05, 0.1, 0.5, 0.52, 0.54]
    with Recorder(path, face=Flash(), fps=25) as recorder:
        for t in times:
            recorder.show(pose(100 + t))
    assert probe(path)["video"]["times"] == pytest.approx([0, 0.04, 0.1, 0.5, 0.54], abs=0.002)


def test_the_cartoon_is_recorded_in_even_size(tmp_path: Path, pose: MakePose) -> None:
    path = tmp_path / "face.mp4"
    with Recorder(path, size=(127, 99)) as recorder:
        recorder.show(pose(0))
    video = probe(path)["video"]
    assert (video["width"], video["height"]) == (126, 98)


def test_a_killed_process_leaves_a_file_that_plays(tmp_path: Path) -> None:
    require("ffprobe", "ffmpeg")
    path = tmp_path / "killed.mp4"
    script = """
    import os, signal, sys, time
    from avatarkit_rtc.motion.frame import MotionFrame
    from avatarkit_rtc.playout.pose import Pose, PoseKind
    from renderers import Recorder
    recorder = Recorder(sys.argv[1], size=(64, 64))
    for k in range(25 * 6):
        recorder.show(Pose(k / 25, PoseKind.IDLE, MotionFrame.neutral()))
        while recorder._worker.queued > 50:
            time.sleep(0.001)
    while recorder._worker.queued:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(probe(path)["video"]["times"]) >= 25 * 4
    played = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "null", "-"], check=False, timeout=60
    )
    assert played.returncode == 0


def test_showing_never_blocks_and_what_is_too_much_is_counted(tmp_path: Path, pose: MakePose) -> None:
    class Slow(Flash):
        def render(self, pose: Pose) -> Image:
            time.sleep(0.005)
            return super().render(pose)

    with Recorder(tmp_path / "slow.mp4", face=Slow()) as recorder:
        began = time.monotonic()
        for k in range(1000):
            recorder.show(pose(k / 25))
        assert time.monotonic() - began < 1
    assert recorder.dropped > 500
    assert recorder.pictures + recorder.dropped == 1000


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
    assert len(caplog.records) <= 3
    recorder.show(pose(9))


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
    ],
)
def test_what_cannot_be_right_is_refused(
    tmp_path: Path, name: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Recorder(tmp_path / name, **options)


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
