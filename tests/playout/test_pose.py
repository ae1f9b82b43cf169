from __future__ import annotations

import dataclasses

import pytest

from avatarkit_rtc.playout import Pose, PoseKind
from tests.support.frames import face


def test_a_pose_is_plain_and_frozen() -> None:
    pose = Pose(1.0, PoseKind.IDLE, face(0))
    assert (pose.round, pose.position, pose.media_time, pose.presentation_time) == (None,) * 4
    assert dataclasses.replace(pose, round=1, position=2.5).media_time == pytest.approx(0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pose.t = 2.0  # type: ignore[misc]
    assert f"{PoseKind.RECEIVED}" == "received"
