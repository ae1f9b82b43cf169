"""Posing a FLAME model: linear blend skinning with pose corrections, in plain numpy.

The method is that of FLAME (Li et al., "Learning a model of facial shape and expression from 4D scans", ACM
Transactions on Graphics 36(6), 2017), which is SMPL's: expression and pose corrections move the vertices at
rest, the joints follow the vertices, and each vertex follows its joints by its weights.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import MotionFrame
from renderers.flame.model_file import JOINTS, FlameModel

Floats = npt.NDArray[np.float32]

_JOINT_COUNT: Final = len(JOINTS)


class FlameMesh:
    """A model that can be posed; what is needed for it is worked out once (its cost: ``bench.flame``).

    Not thread-safe: use one for each thread.
    """

    def __init__(self, model: FlameModel) -> None:
        self.model: Final = model
        """As it was read."""
        n, e = len(model.template), model.expressions.shape[2]
        self.expression_count: Final = e
        """Expression coefficients that the model knows."""
        joints = model.joint_regressor @ model.template
        self._template: Floats = model.template.astype(np.float32).ravel()
        # One row a coefficient: a frame that uses the first fifty reads these and no more.
        self._expressions: Floats = np.ascontiguousarray(
            model.expressions.reshape(3 * n, e).T, dtype=np.float32
        )
        self._corrections: Floats = np.ascontiguousarray(
            model.pose_corrections.reshape(3 * n, -1).T, dtype=np.float32
        )
        self._joints: Floats = joints.astype(np.float32)
        self._joint_moves: Floats = (
            np.einsum("jv,vce->jce", model.joint_regressor, model.expressions)
            .reshape(3 * _JOINT_COUNT, e)
            .astype(np.float32)
        )
        self._weights: Floats = model.weights.astype(np.float32)
        self._spread: Floats = np.empty((n, _JOINT_COUNT, 4), np.float32)

    def vertices(self, frame: MotionFrame) -> Floats:
        """The vertices of ``frame``, shape (n, 3), float32, metres; a new array.

        Left out is the frame's ``eye_lid``, which FLAME does not know. A frame whose numbers are not finite
        gives vertices that are not.
        """
        turns = np.concatenate([frame.rotation, frame.neck_pose, frame.jaw_pose, frame.eye_pose])
        return self.pose(frame.expression, turns.reshape(_JOINT_COUNT, 3)) + frame.translation

    def pose(self, expression: Floats, turns: Floats) -> Floats:
        """Vertices, shape (n, 3), float32, metres; a new array.

        Args:
            expression: coefficients, shape (up to 100,); those that the model does not know are left out.
            turns: rotation of each joint against the one it hangs on, shape (5, 3), axis-angle in radians:
                root, neck, jaw, left eye, right eye.
        """
        used = np.flatnonzero(expression[: self.expression_count])
        count = int(used[-1]) + 1 if len(used) else 0
        weights = np.asarray(expression[:count], np.float32)
        rotations = _rotations(turns)
        away = (rotations[1:] - np.eye(3)).reshape(-1).astype(np.float32)
        moved = self._template + weights @ self._expressions[:count] + away @ self._corrections
        joints = self._joints + (self._joint_moves[:, :count] @ weights).reshape(_JOINT_COUNT, 3)
        spread = self._spread
        np.multiply(self._weights[:, :, None], moved.reshape(-1, 1, 3), out=spread[:, :, :3])
        spread[:, :, 3] = self._weights
        return spread.reshape(len(spread), -1) @ self._transforms(rotations, joints)

    def _transforms(self, rotations: npt.NDArray[np.float64], joints: Floats) -> Floats:
        """What each joint does to a vertex at rest, one below the other, shape (20, 3)."""
        placed: list[npt.NDArray[np.float64]] = []
        rows = np.empty((_JOINT_COUNT, 4, 3))
        for joint, parent in enumerate(self.model.parents):
            local = np.eye(4)
            local[:3, :3] = rotations[joint]
            local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0.0)
            place = local if parent < 0 else placed[parent] @ local
            placed.append(place)
            rows[joint, :3] = place[:3, :3].T
            rows[joint, 3] = place[:3, 3] - place[:3, :3] @ joints[joint]
        return rows.reshape(-1, 3).astype(np.float32)


def _rotations(turns: Floats) -> npt.NDArray[np.float64]:
    """Axis-angle vectors, shape (k, 3), radians, to matrices, shape (k, 3, 3) (Rodrigues)."""
    matrices = np.empty((len(turns), 3, 3))
    for matrix, (x, y, z) in zip(matrices, turns.astype(np.float64).tolist(), strict=True):
        angle = math.sqrt(x * x + y * y + z * z)
        # sin(a)/a and (1 - cos(a))/a², with their limits where the angle is next to nothing
        s, c = (math.sin(angle) / angle, (1 - math.cos(angle)) / angle**2) if angle > 1e-6 else (1.0, 0.5)
        matrix[:] = (
            (1 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y),
            (c * x * y + s * z, 1 - c * (x * x + z * z), c * y * z - s * x),
            (c * x * z - s * y, c * y * z + s * x, 1 - c * (x * x + y * y)),
        )
    return matrices
