"""From a stream to a living face: poses and sound in, coefficients of face shapes out. Pure numpy, no clock.

:class:`FaceDriver` is what the faces in ``renderers`` are driven by, and can drive any renderer that has
ARKit's 52 shapes.
"""

from avatarkit_rtc.face.driver import ExpressionMap, FaceDriver
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.face.frame_driver import Driver, FrameDriver, frame_pose
from avatarkit_rtc.face.layer import EXPRESSIONS, MOTIONS, FaceLayer, LayeredDriver
from avatarkit_rtc.face.mouth_estimator import MouthEstimator, MouthMoment
from avatarkit_rtc.face.mouth_shapes import MOUTH_COEFFICIENTS, MOUTH_SHAPES

__all__ = [
    "EXPRESSIONS",
    "MOTIONS",
    "MOUTH_COEFFICIENTS",
    "MOUTH_SHAPES",
    "Driver",
    "ExpressionMap",
    "FaceDriver",
    "FaceLayer",
    "FacePose",
    "FrameDriver",
    "LayeredDriver",
    "MouthEstimator",
    "MouthMoment",
    "frame_pose",
]
