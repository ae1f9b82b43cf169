from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face import FacePose, FrameDriver, frame_pose
from avatarkit_rtc.motion.arkit import to_arkit
from avatarkit_rtc.motion.frame import FRAME_SIZE, MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind


def test_a_face_is_what_its_frame_says_and_nothing_else() -> None:
    frame = MotionFrame.from_fields(
        {
            "rotation": [0, 0.2, 0],
            "neck_pose": [0, 0.1, 0],
            "translation": [0.01, 0, 0],
            "eye_pose": [0.1, 0, 0, 0, 0.1, 0],
            "jaw_pose": [0.1],
        }
    )
    driver = FrameDriver()
    driver.hear(AudioBlock(np.full((480, 1), 9000, np.int16), 48000, 0.0))
    for t in (0.0, 0.04, 100.0):
        face = driver.pose(Pose(t, PoseKind.RECEIVED, frame))
        assert np.array_equal(face.coefficients, to_arkit(frame))
        assert face.rotation == pytest.approx([0, 0.3, 0])
        assert face.gaze.tolist() == frame.eye_pose.reshape(2, 3).tolist()
        assert face.translation.tolist() == frame.translation.tolist()
        assert face.breath == 0


def test_numbers_that_are_none_count_as_zero() -> None:
    face = frame_pose(MotionFrame(np.full(FRAME_SIZE, np.nan, np.float32)))
    assert not face.coefficients.any()
    assert not face.rotation.any()
    assert not face.gaze.any()


def test_a_pose_of_coefficients_alone_looks_straight_ahead() -> None:
    face = FacePose(np.zeros(52, np.float32))
    assert (face.rotation.tolist(), face.gaze.shape, face.breath) == ([0, 0, 0], (2, 3), 0)
    assert face.rotation is not FacePose(np.zeros(52, np.float32)).rotation
