from __future__ import annotations

import dataclasses

import pytest

from avatarkit_rtc.playout import Pose, PoseKind
from tests.support.frames import face


def test_a_pose_is_plain_and_frozen() -> None:
    pose = Pose(1.0, PoseKind.IDLE, face(0))
    assert (pose.round, pose.position) == (None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pose.t = 2.0  # type: ignore[misc]
    assert f"{PoseKind.RECEIVED}" == "received"
