"""A face exactly as each frame says, and who can drive a face."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit import to_arkit
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.playout.rotation import compose


class Driver(Protocol):
    """What turns a stream into a face: :class:`~avatarkit_rtc.face.FaceDriver` or one of the user's own."""

    def pose(self, pose: Pose) -> FacePose:
        """The face at ``pose``; poses come in the order they are shown, from one thread at a time."""

    def hear(self, block: AudioBlock) -> None:
        """Take a block of the avatar's sound; only queues it, on any thread."""


def frame_pose(frame: MotionFrame) -> FacePose:
    """What ``frame`` says by itself, as :func:`~avatarkit_rtc.motion.arkit.to_arkit` reads it; head and neck
    are one rotation. Numbers that are not finite count as zero."""
    values = frame.values
    if not np.isfinite(values).all():
        frame = MotionFrame(np.nan_to_num(values, posinf=0.0, neginf=0.0))
    return FacePose(
        coefficients=to_arkit(frame),
        rotation=compose(frame.rotation[None], frame.neck_pose[None])[0].astype(np.float32),
        gaze=frame.eye_pose.reshape(2, 3),
        translation=frame.translation,
    )


class FrameDriver:
    """Drives a face by each frame alone: no sound, no blinks, nothing learnt, nothing smoothed. For pictures
    of single poses; :class:`~avatarkit_rtc.face.FaceDriver` makes a face that lives."""

    def pose(self, pose: Pose) -> FacePose:
        """The face that the pose's frame says."""
        return frame_pose(pose.frame)

    def hear(self, block: AudioBlock) -> None:
        """Nothing to do."""
