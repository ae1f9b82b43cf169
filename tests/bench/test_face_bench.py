from __future__ import annotations

from pathlib import Path

import pytest

from bench.face import measure, speech
from bench.face_prototype import load_prototype


def test_a_short_run_times_every_size_and_look() -> None:
    report = measure(frames=20, looks=["anna", "ben"], sizes=(32, 64))
    for size in (32, 64):
        for look in ("anna", "ben"):
            assert 0 < report.figure(f"{size} x {size}, {look}").value < 1000
        assert 0 < report.figure(f"{size} x {size}, cartoon").value < 1000
    assert report.figure("64 x 64, with alpha").value > 0
    assert report.figure("32 x 32, anna, 95 %").goal is not None


def test_the_poses_speak_blink_and_move() -> None:
    poses = speech(100)
    for part in ("coefficients", "rotation", "gaze"):
        assert any((getattr(pose, part) != getattr(poses[0], part)).any() for pose in poses)
    assert max(pose.coefficients.max() for pose in poses) == 1.0


def test_a_prototype_that_is_not_whole_is_named(tmp_path: Path) -> None:
    (tmp_path / "rig.py").touch()
    with pytest.raises(RuntimeError, match=r"lacks sw2\.py, sw4\.py, sw5\.py, full\.npz"):
        load_prototype(tmp_path, 512)
