"""FLAME's own mesh, drawn as it is: what a stream says, with nothing added and nothing left out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import MissingDependencyError
from avatarkit_rtc.motion.frame import MotionFrame
from renderers.face import DEFAULT_SIZE, Image, check_size
from renderers.flame.mesh import FlameMesh, Floats
from renderers.flame.model_file import FlameModel

if TYPE_CHECKING:
    from avatarkit_rtc.playout.pose import Pose

_SKIN: Final = np.array([172.0, 190.0, 224.0], np.float32)
_BACKGROUND: Final = (226, 220, 214)
_LIGHT: Final = np.array([-0.35, 0.45, 0.82], np.float32)
_AMBIENT: Final = 0.28
_FIELD: Final = math.radians(22.0)
_MARGIN: Final = 1.25
"""How much more than the resting head the picture shows."""


class FlameMeshFace:
    """Draws FLAME's mesh of each pose, without a driver; a :class:`renderers.Face`.

    For a look at what a stream really says, and at whether a model file is of the edition that it means:
    eyelids, which FLAME has not, and blinks are not to be seen. Far slower than the head.
    """

    def __init__(self, model: FlameModel, size: tuple[int, int] = DEFAULT_SIZE) -> None:
        """A face with pictures of ``size`` (width, height) pixels.

        Raises:
            ConfigurationError: the size cannot be right.
            MissingDependencyError: OpenCV cannot be loaded.
        """
        try:
            import cv2
        except ImportError as error:
            raise MissingDependencyError(
                "drawing FLAME's mesh needs OpenCV, and it cannot be loaded: on Debian and Ubuntu, "
                "'apt install libgl1 libglib2.0-0', or 'pip install opencv-python-headless'"
            ) from error
        self._cv2: Any = cv2
        self._size = check_size(size)
        self._mesh = FlameMesh(model)
        self._faces = model.faces
        resting = self._mesh.vertices(MotionFrame.neutral())
        low, high = resting.min(axis=0), resting.max(axis=0)
        self._middle: Floats = (low + high) / 2
        reach = _MARGIN * float(max(high[:2] - low[:2])) / 2
        self._focal = min(self._size) / 2 / math.tan(_FIELD / 2)
        self._distance = np.float32(reach / math.tan(_FIELD / 2) + (high[2] - low[2]) / 2)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._size

    def render(self, pose: Pose) -> Image:
        """Draw the mesh of ``pose``; numbers that are not finite count as zero."""
        frame = pose.frame
        if not np.isfinite(frame.values).all():
            frame = MotionFrame(np.nan_to_num(frame.values, posinf=0.0, neginf=0.0))
        points = self._mesh.vertices(frame) - self._middle
        width, height = self._size
        image = np.full((height, width, 3), _BACKGROUND, np.uint8)
        away = np.maximum(self._distance - points[:, 2], np.float32(0.01))
        screen = points[:, :2] * np.array([1.0, -1.0], np.float32) * (self._focal / away)[:, None]
        screen = np.clip(screen + np.array([width / 2, height / 2], np.float32), -1e4, 1e4)
        corners, colors = self._seen(points, screen, away)
        fill = self._cv2.fillConvexPoly
        # Sixteenths of a pixel, so that edges do not tremble.
        for triangle, color in zip(np.round(corners * 16).astype(np.int32), colors, strict=True):
            fill(image, triangle, color, self._cv2.LINE_AA, 4)
        return image

    def _seen(self, points: Floats, screen: Floats, away: Floats) -> tuple[Floats, list[Any]]:
        """Triangles that face the viewer, from back to front: corners in the picture, shape (k, 3, 2), and
        colours."""
        a, b, c = (screen[self._faces[:, corner]] for corner in range(3))
        ab, ac = b - a, c - a
        # y is down in the picture: what is counterclockwise from outside has a negative area there.
        front = np.flatnonzero(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0] < 0)
        faces = self._faces[front]
        order = np.argsort(-away[faces].sum(axis=1), kind="stable")
        faces = faces[order]
        places = points[faces]
        normals = np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        bright = _AMBIENT + (1 - _AMBIENT) * np.maximum(normals @ (_LIGHT / np.linalg.norm(_LIGHT)), 0.0)
        colors: npt.NDArray[np.float32] = np.clip(bright[:, None] * _SKIN, 0, 255)
        return screen[faces], colors.tolist()
