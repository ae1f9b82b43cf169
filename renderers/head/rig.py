"""Poses a figure: from coefficients and turns to vertices and normals, and into the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from renderers.head.assemble import eyeball
from renderers.head.asset import Floats, Indices
from renderers.head.mobile import Mobile

DISTANCE: Final = 9.0
"""Decimetres from the neck to the camera."""
HEIGHT: Final = 1.17
"""Height of the camera, decimetres above the joint of the neck."""
FIELD: Final = math.radians(24.8)
"""Angle that the picture shows from its bottom to its top."""

_LOWEST_SEEN: Final = -1.45
"""Height below which nothing is shown, decimetres."""
_CHEST: Final = 1.0
"""How far before the neck the chest is, decimetres."""
PIVOT: Final = np.array([0.0, 0.40, 0.12], np.float32)
"""What the head turns around, decimetres."""
_TURN_LIMITS: Final = (0.62, 1.0, 0.6)
_GAZE_LIMIT: Final = 0.55
_SHIFT_LIMIT: Final = 0.6
_LOWEST, _HIGHEST = -0.3, 1.3

BREATH: Final = 0.028
"""Decimetres by which breathing in lifts the shoulders."""

_BANDS: Final = 4

_BLINKS: Final = (ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"])
_JAW: Final = ARKIT_INDEX["jawOpen"]
_CLOSE: Final = ARKIT_INDEX["mouthClose"]


def rotation_matrix(vector: npt.NDArray[np.floating]) -> Floats:
    """Axis-angle, shape (3,), radians, to a rotation matrix, shape (3, 3), float32 (Rodrigues)."""
    x, y, z = (float(part) for part in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-7:
        return np.eye(3, dtype=np.float32)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) / angle
    matrix = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return matrix.astype(np.float32)


def _bent(value: float, limit: float) -> float:
    """``value``, bent smoothly to stay within ``limit``; NaN is 0."""
    return limit * math.tanh(value / limit) if math.isfinite(value) else 0.0


def focal_length(size: tuple[int, int]) -> float:
    """Pixels that something as wide as its distance is wide, in a picture of ``size`` (width, height)."""
    width, height = size
    # A high picture is filled a little more than its width would have it.
    side = width**0.6 * height**0.4 if height > width else height
    return float(side / 2 / math.tan(FIELD / 2))


class Rig:
    """Moves one figure. Not thread-safe: results are overwritten by the next call."""

    def __init__(self, mobile: Mobile, size: tuple[int, int]) -> None:
        """``size`` is (width, height) of the picture, in pixels."""
        self._mobile = mobile
        width, height = size
        self.focal: Final = focal_length(size)
        # Where the camera looks to. A high picture shows more above the head: below, the figure ends.
        below = (HEIGHT - _LOWEST_SEEN) * self.focal / (DISTANCE - _CHEST)
        self._middle = (width / 2, max(height / 2, height - below))
        self._points = np.empty_like(mobile.rest)
        self._normals = np.empty_like(mobile.rest)
        self._screen = np.empty_like(mobile.rest)
        self._blocks = _blocks(mobile)
        self._still = BREATH * (1 - mobile.turning[:, 0])

    def pose(self, pose: FacePose) -> tuple[Floats, Floats]:
        """Vertices and unit normals of ``pose``, both of shape (n, 3)."""
        mobile = self._mobile
        points, normals = self._points, self._normals
        np.copyto(points, mobile.rest)
        np.copyto(normals, mobile.normals)
        weights, gazes = _lids_follow(coefficients_of(pose), pose)
        for block in self._blocks:
            moved = (weights[block.shapes] @ block.moves).reshape(2, -1, 3)
            points[block.vertices] += moved[0]
            normals[block.vertices] += moved[1]
        for eye, where, gaze in zip(mobile.eyes, mobile.eye_balls, gazes, strict=True):
            turned = mobile.eye_local @ rotation_matrix(gaze).T
            normals[where] = turned
            points[where] = eyeball(turned, eye)
        turn = np.array(
            [_bent(float(part), limit) for part, limit in zip(pose.rotation, _TURN_LIMITS, strict=True)]
        )
        # Translation is metres, the mesh is decimetres.
        shift = np.array([_bent(10 * float(part), _SHIFT_LIMIT) for part in pose.translation], np.float32)
        if np.any(turn) or np.any(shift):
            matrix = rotation_matrix(turn)
            points -= PIVOT
            points += mobile.turning * (points @ (matrix.T - np.eye(3, dtype=np.float32)) + shift)
            points += PIVOT
            normals += mobile.turning * (normals @ (matrix.T - np.eye(3, dtype=np.float32)))
        breath = min(1.0, max(0.0, pose.breath if math.isfinite(pose.breath) else 0.0))
        if breath:
            points[:, 1] += np.float32(breath) * self._still
        lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        normals /= np.maximum(lengths, 1e-6)[:, None]
        return points, normals

    def project(self, points: Floats) -> Floats:
        """``points``, shape (n, 3), in the picture: x, y in pixels (y down) and the distance, decimetres."""
        screen = self._screen if points is self._points else np.empty_like(points)
        np.subtract(DISTANCE, points[:, 2], out=screen[:, 2])
        scale = self.focal / screen[:, 2]
        np.multiply(points[:, 0], scale, out=screen[:, 0])
        screen[:, 0] += self._middle[0]
        np.subtract(HEIGHT, points[:, 1], out=screen[:, 1])
        screen[:, 1] *= scale
        screen[:, 1] += self._middle[1]
        return screen


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Vertices close to each other, and the shapes that move any of them: the others need not be added."""

    vertices: Indices
    shapes: Indices
    moves: Floats
    """Shape (shapes, 6 vertices), as :attr:`Mobile.moves`."""


def _blocks(mobile: Mobile) -> list[_Block]:
    moves = mobile.moves
    places = mobile.rest[mobile.moving]
    bands = np.searchsorted(np.quantile(places[:, 1], np.linspace(0, 1, _BANDS + 1)[1:-1]), places[:, 1])
    blocks = []
    for side in (False, True):
        for band in range(_BANDS):
            own = np.flatnonzero((bands == band) & ((places[:, 0] > 0) == side))
            part = moves[:, :, own].reshape(len(moves), -1)
            shapes = np.flatnonzero(np.any(part != 0, axis=1))
            blocks.append(_Block(mobile.moving[own], shapes, np.ascontiguousarray(part[shapes])))
    return blocks


def coefficients_of(pose: FacePose) -> Floats:
    """The pose's coefficients within bounds, shape (52,); what is no number is 0."""
    weights = np.asarray(pose.coefficients, dtype=np.float32)
    if not np.isfinite(weights).all():
        weights = np.nan_to_num(weights, posinf=1.0, neginf=0.0)
    if weights.shape != (len(ARKIT_NAMES),):
        raise ValueError(f"a face has {len(ARKIT_NAMES)} coefficients, not an array of shape {weights.shape}")
    return np.asarray(np.minimum(np.maximum(weights, _LOWEST), _HIGHEST))


def _lids_follow(weights: Floats, pose: FacePose) -> tuple[Floats, list[Floats]]:
    """Coefficients with lids that go along with the eyes, and the eyes' turns within bounds."""
    gazes = []
    for index, gaze in zip(_BLINKS, np.asarray(pose.gaze, np.float32).reshape(2, 3), strict=True):
        bounded = np.array([_bent(float(part), _GAZE_LIMIT) for part in gaze], np.float32)
        gazes.append(bounded)
        down = float(bounded[0])
        follow = 0.75 * down if down > 0 else 0.35 * down
        weights[index] = min(1.0, weights[index] + follow * (1 - min(1.0, max(0.0, float(weights[index])))))
    # Lips cannot close further than the jaw has parted them.
    weights[_CLOSE] = min(float(weights[_CLOSE]), max(0.0, float(weights[_JAW])))
    return weights, gazes
