"""The default face: a 3D head, drawn with numpy and OpenCV."""

from __future__ import annotations

from avatarkit_rtc.face.face_pose import FacePose as HeadPose
from renderers.head.face import HeadFace
from renderers.head.looks import DEFAULT_LOOK, LOOKS, HeadLook

__all__ = ["DEFAULT_LOOK", "LOOKS", "HeadFace", "HeadLook", "HeadPose"]
