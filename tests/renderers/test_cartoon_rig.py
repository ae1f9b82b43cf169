from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avatarkit_rtc.face import FacePose, frame_pose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import MotionFrame
from renderers.cartoon_rig import Features, features, rotation_matrix


def of(**fields: list[float]) -> Features:
    """Of a frame with these FLAME fields."""
    return features(frame_pose(MotionFrame.from_fields(fields)))


def shaped(**coefficients: float) -> Features:
    """Of a face with these coefficients."""
    values = np.zeros(52, np.float32)
    for name, value in coefficients.items():
        values[ARKIT_INDEX[name]] = value
    return features(FacePose(values))


def test_the_rest_pose_is_at_rest() -> None:
    rest = of()
    assert (rest.yaw, rest.pitch, rest.roll, rest.mouth_open, rest.mouth_wide) == (0, 0, 0, 0, 0)
    assert rest.lids == (0, 0)
    assert rest.gaze == ((0, 0), (0, 0))
    assert rest.scale == 1


def test_the_small_jaw_of_real_speech_opens_the_mouth_visibly_and_0_4_rad_wide() -> None:
    assert 0.2 < of(jaw_pose=[0.035]).mouth_open < 0.4
    assert of(jaw_pose=[0.4]).mouth_open == pytest.approx(1)
    assert of(jaw_pose=[-0.1]).mouth_open == 0


@pytest.mark.parametrize("field", ["rotation", "neck_pose"])
def test_rotations_nod_down_turn_to_the_subjects_left_and_tilt(field: str) -> None:
    assert of(**{field: [0.2, 0, 0]}).pitch == pytest.approx(0.2, abs=0.02)
    assert of(**{field: [0, 0.2, 0]}).yaw == pytest.approx(0.2, abs=0.02)
    assert of(**{field: [0, 0, 0.2]}).roll == pytest.approx(0.2, abs=0.02)


def test_neck_and_global_rotation_add_up() -> None:
    assert of(rotation=[0, 0.2, 0], neck_pose=[0, -0.2, 0]).yaw == pytest.approx(0, abs=1e-6)


def test_gaze_and_lids_are_left_then_right() -> None:
    looking = of(eye_pose=[0, 0.3, 0, 0.3, 0, 0], eye_lid=[1.0, 0.25])
    left, right = looking.gaze
    assert left[0] > 0.4
    assert left[1] == 0
    assert right[1] > 0.4
    assert right[0] == 0
    assert looking.lids == (1.0, 0.25)


def test_coefficients_make_mouth_and_brows() -> None:
    assert shaped(mouthStretchLeft=0.5, mouthStretchRight=0.5).mouth_wide > 0.4
    assert shaped(mouthPucker=0.6, mouthFunnel=0.3).mouth_wide < -0.6
    assert shaped(jawOpen=0.4, mouthClose=0.4).mouth_open == 0
    assert shaped(mouthSmileLeft=0.5, mouthSmileRight=0.5).smile > 0.4
    assert shaped(mouthFrownLeft=0.5, mouthFrownRight=0.5).smile < -0.4
    assert shaped(browInnerUp=1).brow > 0.3 > -0.3 > shaped(browDownLeft=1, browDownRight=1).brow
    assert shaped(jawLeft=1).mouth_side > 0.5 > -0.5 > shaped(jawRight=1).mouth_side
    assert shaped(eyeWideLeft=1, eyeBlinkRight=0.5).lids == pytest.approx((-0.3, 0.5))


def test_a_rotation_matrix_turns_as_it_should() -> None:
    assert rotation_matrix(np.array([0, 0, math.pi / 2])) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert rotation_matrix(np.zeros(3)) == pytest.approx(np.eye(3))


@settings(max_examples=150, deadline=None)
@given(arrays(np.float32, 65, elements=st.floats(width=32)))
def test_whatever_comes_in_the_features_stay_within_their_bounds(values: np.ndarray) -> None:
    pose = FacePose(values[:52], values[52:55], values[55:61].reshape(2, 3), values[61:64], float(values[64]))
    result = features(pose)
    flat = np.hstack([np.ravel(part) for part in astuple(result)])
    assert np.all(np.isfinite(flat))
    assert np.all(np.abs(flat) <= 1.26)
    assert 0 <= result.mouth_open <= 1
    assert 0.79 < result.scale < 1.26
