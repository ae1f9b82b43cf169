from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avatarkit_rtc.motion.frame import FRAME_SIZE, MotionFrame
from renderers.cartoon_rig import CartoonRig, Features, jaw_opening, rotation_matrix


def features(**fields: list[float]) -> Features:
    return CartoonRig().features(MotionFrame.from_fields(fields))


def test_the_rest_pose_is_at_rest() -> None:
    rest = features()
    assert (rest.yaw, rest.pitch, rest.roll, rest.mouth_open, rest.mouth_wide) == (0, 0, 0, 0, 0)
    assert rest.lids == (0, 0)
    assert rest.gaze == ((0, 0), (0, 0))
    assert rest.scale == 1


def test_the_small_jaw_of_real_speech_opens_the_mouth_visibly_and_0_4_rad_wide() -> None:
    assert 0.2 < jaw_opening(0.035) < 0.4
    assert jaw_opening(0.4) == pytest.approx(1)
    assert jaw_opening(3.0) == 1
    assert jaw_opening(-0.1) == 0
    steps = [jaw_opening(x / 100) for x in range(41)]
    assert steps == sorted(steps)


@pytest.mark.parametrize("field", ["rotation", "neck_pose"])
def test_rotations_nod_down_turn_to_the_subjects_left_and_tilt(field: str) -> None:
    assert features(**{field: [0.2, 0, 0]}).pitch == pytest.approx(0.2, abs=0.02)
    assert features(**{field: [0, 0.2, 0]}).yaw == pytest.approx(0.2, abs=0.02)
    assert features(**{field: [0, 0, 0.2]}).roll == pytest.approx(0.2, abs=0.02)


def test_neck_and_global_rotation_add_up() -> None:
    assert features(rotation=[0, 0.2, 0], neck_pose=[0, -0.2, 0]).yaw == pytest.approx(0, abs=1e-6)


def test_gaze_and_lids_are_left_then_right() -> None:
    looking = features(eye_pose=[0, 0.3, 0, 0.3, 0, 0], eye_lid=[1.0, 0.25])
    left, right = looking.gaze
    assert left[0] > 0.4
    assert left[1] == 0
    assert right[1] > 0.4
    assert right[0] == 0
    assert looking.lids == (1.0, 0.25)


def test_constant_offsets_of_the_expression_do_not_distort_the_mouth() -> None:
    offsets = [2.0, -1.5, 1.0, -2.5, 0.5, 1.2, -0.6, 1.7, -2.7, -1.8]
    rig = CartoonRig()
    rig.features(MotionFrame.from_fields({"expression": offsets}))
    steady = rig.features(MotionFrame.from_fields({"expression": offsets}))
    assert (steady.mouth_wide, steady.smile, steady.brow) == pytest.approx((0, 0, 0), abs=1e-6)
    # From idle (all zero) into such a stream: back at rest within two seconds.
    rig = CartoonRig()
    for _ in range(50):
        rig.features(MotionFrame.neutral())
    for _ in range(50):
        steady = rig.features(MotionFrame.from_fields({"expression": offsets}))
    moved = rig.features(MotionFrame.from_fields({"expression": [x + 0.5 for x in offsets]}))
    assert abs(moved.mouth_wide - steady.mouth_wide) > 0.05
    for _ in range(400):
        steady = rig.features(MotionFrame.from_fields({"expression": offsets}))
    assert (steady.mouth_wide, steady.smile, steady.brow) == pytest.approx((0, 0, 0), abs=0.05)


def test_the_expression_alone_does_not_open_a_shut_mouth() -> None:
    rig = CartoonRig()
    rig.features(MotionFrame.neutral())
    assert (
        rig.features(MotionFrame.from_fields({"expression": [-1, 1, 0, 1, 0, -1, 0, 0, 1]})).mouth_open == 0
    )


def test_a_rotation_matrix_turns_as_it_should() -> None:
    assert rotation_matrix(np.array([0, 0, math.pi / 2])) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert rotation_matrix(np.zeros(3)) == pytest.approx(np.eye(3))


@settings(max_examples=150, deadline=None)
@given(arrays(np.float32, FRAME_SIZE, elements=st.floats(width=32)))
def test_whatever_comes_in_the_features_stay_within_their_bounds(values: np.ndarray) -> None:
    rig = CartoonRig()
    for frame in (MotionFrame.neutral(), MotionFrame(values), MotionFrame.neutral(), MotionFrame(values)):
        result = rig.features(frame)
        flat = np.hstack([np.ravel(part) for part in astuple(result)])
        assert np.all(np.isfinite(flat))
        assert np.all(np.abs(flat) <= 1.26)
        assert 0 <= result.mouth_open <= 1
        assert 0.79 < result.scale < 1.26
