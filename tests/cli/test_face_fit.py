"""``avatarkit-rtc face fit``, and the face that comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers.face import make_face
from renderers.head.face import HeadFace
from renderers.head.looks import LOOKS
from tests.support.command import Done, clean_environment, run_command
from tests.support.flame import write_npz
from tests.support.flame_head import MEANT, STRENGTH, head_as_flame

FUNNEL = ARKIT_INDEX["mouthFunnel"]


def assert_one_line(done: Done, *wanted: str) -> None:
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1, done.err
    for text in wanted:
        assert text in done.err


def test_the_command_fits_a_file_and_the_face_speaks_by_its_expressions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ConfigurationError, match="avatarkit-rtc face fit FILE"):
        make_face("flame")
    model = write_npz(tmp_path / "model.npz", head_as_flame()[0])
    done = run_command("face", "fit", model, env=clean_environment(XDG_CACHE_HOME=str(tmp_path / "cache")))
    assert done.code == 0, done.err
    assert "--face flame" in done.err
    model.unlink()  # it is not needed again
    face = make_face("flame:ben", (64, 64))
    assert isinstance(face, HeadFace)
    assert face.look == LOOKS["ben"]
    # A mouth that funnels, for a second, to loud sound that would have opened it.
    noise = np.random.default_rng(1).integers(-9000, 9000, (24000, 1)).astype(np.int16)
    face.hear(AudioBlock(noise, 24000, 1.0))
    funnel = [0.0] * len(MEANT)
    frames = [MotionFrame.from_fields({"expression": funnel})]
    funnel[MEANT.index("mouthFunnel")] = STRENGTH
    frames.append(MotionFrame.from_fields({"expression": funnel}))
    poses = [face.driver.pose(Pose(0.04 * k, PoseKind.RECEIVED, frames[k >= 30], 1)) for k in range(50)]
    still, last = face.draw(poses[24]), face.draw(poses[-1])
    assert poses[24].coefficients[FUNNEL] < 0.02
    assert poses[-1].coefficients[FUNNEL] > 0.6
    assert face.mouth_opening(poses[24]) < face.mouth_opening(poses[-1])
    assert np.abs(still.astype(int) - last).max() > 40


def test_a_file_that_is_no_model_is_said_in_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.pkl"
    other.write_bytes(b"hello")
    assert_one_line(run_command("face", "fit", other), "other.pkl", "FLAME")
    assert_one_line(run_command("face", "fit", tmp_path / "none.pkl"), "none.pkl")
    env = clean_environment(XDG_CACHE_HOME=str(tmp_path / "empty"))
    done = run_command("demo", "--no-window", "--face", "flame", cwd=tmp_path, env=env)
    assert_one_line(done, "face fit FILE")
