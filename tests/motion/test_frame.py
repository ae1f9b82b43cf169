from __future__ import annotations

import pickle

import numpy as np
import pytest

from avatarkit_rtc.motion import FIELD_SIZES, FRAME_SIZE, MotionFrame
from tests.support.frames import face


def test_fields_are_views_of_one_vector_in_the_order_of_the_wire() -> None:
    frame = MotionFrame(np.arange(FRAME_SIZE))
    joined = np.concatenate([getattr(frame, name) for name in FIELD_SIZES])
    assert joined.tolist() == list(range(FRAME_SIZE))
    assert all(np.shares_memory(getattr(frame, name), frame.values) for name in FIELD_SIZES)
    assert {name: len(getattr(frame, name)) for name in FIELD_SIZES} == dict(FIELD_SIZES)


def test_cannot_be_changed() -> None:
    values = np.zeros(FRAME_SIZE, np.float32)
    copied, adopted = MotionFrame(values), MotionFrame.adopt(values)
    for frame in (copied, adopted, MotionFrame.neutral()):
        with pytest.raises(ValueError, match="read-only"):
            frame.jaw_pose[0] = 1


def test_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match="120 values"):
        MotionFrame(np.zeros(3))


def test_fields_go_out_and_come_in_again() -> None:
    frame = face(3)
    assert MotionFrame.from_fields(frame.to_fields()) == frame


def test_short_and_missing_fields_are_zero() -> None:
    frame = MotionFrame.from_fields({"jaw_pose": [0.5]})
    assert frame.jaw_pose.tolist() == [0.5, 0, 0]
    assert np.count_nonzero(frame.values) == 1


def test_refuses_unknown_and_long_fields() -> None:
    with pytest.raises(ValueError, match="unknown motion field 'jaw'"):
        MotionFrame.from_fields({"jaw": [1]})
    with pytest.raises(ValueError, match="jaw_pose has 3 values, not 4"):
        MotionFrame.from_fields({"jaw_pose": [1, 2, 3, 4]})


def test_equal_by_value_hashable_and_picklable() -> None:
    frame = face(1)
    again = pickle.loads(pickle.dumps(frame))
    assert again == frame
    assert hash(again) == hash(frame)
    assert frame != face(2)
    assert frame != "a frame"
    assert repr(MotionFrame.neutral()) == "<MotionFrame jaw=0.000 nod=0.000 |expression|=0.00>"
