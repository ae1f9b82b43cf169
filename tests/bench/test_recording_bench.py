"""``bench.recording``: what it reads from a file, and a short form of the real thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.testing.beeps import OPEN_JAW
from bench.recording import clean_run, drift_ms, figures, frames_of, measure, offsets_ms
from bench.recording_marks import NUMBER_SCALE, MarkFace, Seen, beeps_heard, pictures
from renderers import Recorder
from renderers.recording.sidecar import read_sidecar
from tests.support.livekit import LiveKitServer
from tests.support.system import require
from tests.support.video import block

pytestmark = pytest.mark.long


def seen(t: float, flash: bool = False, number: int | None = None, of_round: int = 1) -> Seen:
    return Seen(t, flash, None if number is None else of_round, number)


def test_flashes_are_matched_with_beeps() -> None:
    pictures = [seen(k / 25, 25 <= k < 28 or 50 <= k < 53) for k in range(100)]
    offsets = offsets_ms(pictures, np.array([0.99, 2.02, 3.0]))
    np.testing.assert_allclose(offsets, [[0.99, 10.0], [2.02, -20.0]], atol=1e-6)
    assert len(offsets_ms(pictures, np.zeros(0))) == 0
    assert len(offsets_ms([], np.array([1.0]))) == 0


def test_drift_is_what_a_line_through_all_offsets_gains() -> None:
    t = np.arange(0.0, 600.0)
    noise = np.random.default_rng(1).normal(0, 5, len(t))
    assert drift_ms(np.stack([t, 3 + noise], axis=1)) == pytest.approx(0, abs=2)
    assert drift_ms(np.stack([t, 3 + noise + t / 60], axis=1)) == pytest.approx(10, abs=2)
    assert drift_ms(np.zeros((0, 2))) == 0


def test_frames_without_a_picture_and_with_two_are_counted() -> None:
    whole = [seen(1 + k / 25, number=k) for k in range(50)]
    pause = [seen(3.2)]
    other = [seen(4 + k / 25, number=k, of_round=2) for k in range(50) if k != 20]
    other.insert(30, seen(4 + 29.5 / 25, number=29, of_round=2))
    found = frames_of([*whole, *pause, *other])
    assert (found.rounds, found.pictures, found.missing, found.twice) == (2, 100, 1, 1)
    assert max(np.abs(found.off_ms)) == pytest.approx(20)


@pytest.mark.parametrize("name", ["marks.mp4", "marks.webm"])
def test_what_the_face_shows_is_read_back(tmp_path: Path, name: str) -> None:
    require("ffmpeg", "ffprobe")
    path = tmp_path / name
    with Recorder(path, face=MarkFace()) as recorder:
        for k in range(200):
            t = k / 100
            recorder.sound(block(t, 100 <= k < 112))
            if k % 4:
                continue
            fields = {
                "jaw_pose": [OPEN_JAW * (100 <= k < 112)],
                "translation": [(3000 + k // 4) / NUMBER_SCALE],
            }
            speaks = k >= 40
            frame = MotionFrame.from_fields(fields)
            position = k / 4 if speaks else None
            recorder.show(Pose(t, PoseKind.RECEIVED, frame, 13 if speaks else None, position, t))
    found = pictures(path)
    assert [each.number for each in found] == [None] * 10 + [3000 + n for n in range(10, 50)]
    assert {each.round for each in found} == {None, 13 % 8}
    assert [round(each.t, 3) for each in found if each.flash] == [1.0, 1.04, 1.08]
    assert beeps_heard(path) == pytest.approx([1.0], abs=0.015)


def test_short_form_against_a_real_server(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    require("ffmpeg", "ffprobe")
    out = tmp_path / "talk.mp4"
    clean_run(out, 12.0)
    found, mean = figures(out, "clean", judged=False)
    by_name = {figure.name: figure.value for figure in found}
    assert by_name["clean: beeps with their flash"] >= 5
    # The goals are for a machine of one's own; what is half a second apart is no lip sync anywhere.
    assert abs(mean) < 150
    # One picture for each frame, as the sidecar tells them.
    lines = read_sidecar(out.with_suffix(".jsonl"))
    slowed = any(line.type == "load" for line in lines)
    assert slowed or by_name["clean: frames without a picture"] <= 0.1 * by_name["clean: pictures of rounds"]


def test_the_report_judges_the_clean_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = [seen(k / 25, k % 25 < 3, k) for k in range(25, 100)]
    monkeypatch.setattr("bench.recording.clean_run", lambda out, seconds: None)
    monkeypatch.setattr("bench.recording.pictures", lambda path: marks)
    monkeypatch.setattr("bench.recording.beeps_heard", lambda path: np.array([2.01, 3.01]))
    report = measure(4.0, lossy=False)
    assert report.met
    assert report.figure("clean: picture after sound, mean").value == pytest.approx(-10)
    monkeypatch.setattr("bench.recording.beeps_heard", lambda path: np.array([2.05, 3.05]))
    assert not measure(4.0, lossy=False).met
