"""One 40 ms frame of face motion: FLAME parameters in one read-only vector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

FRAME_INTERVAL_S: Final = 0.040
"""Seconds between motion frames (25 fps)."""

FloatArray: TypeAlias = npt.NDArray[np.float32]

FIELD_SIZES: Final[Mapping[str, int]] = {
    "translation": 3,
    "rotation": 3,
    "neck_pose": 3,
    "jaw_pose": 3,
    "eye_pose": 6,
    "eye_lid": 2,
    "expression": 100,
}
"""The seven FLAME fields in the order of the wire and of :attr:`MotionFrame.values`, with their lengths."""

FRAME_SIZE: Final = sum(FIELD_SIZES.values())
"""Numbers in one frame: 120."""


def _slices() -> dict[str, slice]:
    slices, start = {}, 0
    for name, size in FIELD_SIZES.items():
        slices[name] = slice(start, start + size)
        start += size
    return slices


FIELD_SLICES: Final[Mapping[str, slice]] = _slices()
"""Where each field lies in :attr:`MotionFrame.values`."""


class MotionFrame:
    """FLAME parameters of one moment. Immutable; its arrays are read-only views of one float32 vector.

    Rotations are axis-angle vectors in radians (standard FLAME, assumed: the wire format does not say).
    Two frames are equal when all 120 values are equal.
    """

    __slots__ = ("values",)

    values: FloatArray
    """All parameters, shape (120,), float32, read-only, in the order of :data:`FIELD_SIZES`."""

    def __init__(self, values: npt.ArrayLike) -> None:
        """Copy ``values``, shape (120,).

        Raises:
            ValueError: the shape is another.
        """
        array = np.array(values, dtype=np.float32)
        if array.shape != (FRAME_SIZE,):
            raise ValueError(f"a motion frame has {FRAME_SIZE} values, not shape {array.shape}")
        array.flags.writeable = False
        self.values = array

    @classmethod
    def adopt(cls, values: FloatArray) -> MotionFrame:
        """Take over a float32 vector of shape (120,) without a copy or a check, and make it read-only."""
        frame = cls.__new__(cls)
        values.flags.writeable = False
        frame.values = values
        return frame

    @classmethod
    def neutral(cls) -> MotionFrame:
        """The rest pose: all zero."""
        return _NEUTRAL

    @classmethod
    def from_fields(cls, fields: Mapping[str, Iterable[float]]) -> MotionFrame:
        """A frame from any of the seven fields by name; missing fields and missing values are zero.

        Raises:
            ValueError: a name is unknown or a field is too long.
        """
        values = np.zeros(FRAME_SIZE, np.float32)
        for name, field in fields.items():
            if name not in FIELD_SLICES:
                raise ValueError(f"unknown motion field {name!r}; the fields are {', '.join(FIELD_SIZES)}")
            numbers = np.asarray(list(field), dtype=np.float32)
            if len(numbers) > FIELD_SIZES[name]:
                raise ValueError(f"{name} has {FIELD_SIZES[name]} values, not {len(numbers)}")
            start = FIELD_SLICES[name].start
            values[start : start + len(numbers)] = numbers
        return cls.adopt(values)

    def to_fields(self) -> dict[str, list[float]]:
        """The seven fields as plain lists, ready for JSON."""
        return {name: self.values[where].tolist() for name, where in FIELD_SLICES.items()}

    @property
    def translation(self) -> FloatArray:
        """Head translation, shape (3,), metres (x: subject's left, y: up, z: to the viewer)."""
        return self.values[FIELD_SLICES["translation"]]

    @property
    def rotation(self) -> FloatArray:
        """Global head rotation, shape (3,), axis-angle, radians (x: nod down, y: turn left, z: tilt)."""
        return self.values[FIELD_SLICES["rotation"]]

    @property
    def neck_pose(self) -> FloatArray:
        """Neck rotation, shape (3,), axis-angle in radians."""
        return self.values[FIELD_SLICES["neck_pose"]]

    @property
    def jaw_pose(self) -> FloatArray:
        """Jaw rotation, shape (3,), axis-angle in radians; positive x opens the mouth (0.4 is wide open)."""
        return self.values[FIELD_SLICES["jaw_pose"]]

    @property
    def eye_pose(self) -> FloatArray:
        """Eyeball rotations, shape (6,): left then right, axis-angle in radians (x: down, y: to the left)."""
        return self.values[FIELD_SLICES["eye_pose"]]

    @property
    def eye_lid(self) -> FloatArray:
        """Eyelids, shape (2,): left, right; 0 is open, 1 is shut."""
        return self.values[FIELD_SLICES["eye_lid"]]

    @property
    def expression(self) -> FloatArray:
        """FLAME expression coefficients, shape (100,), in standard deviations."""
        return self.values[FIELD_SLICES["expression"]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MotionFrame):
            return NotImplemented
        return self is other or bool(np.array_equal(self.values, other.values))

    def __hash__(self) -> int:
        return hash(self.values.tobytes())

    def __repr__(self) -> str:
        jaw, nod = float(self.jaw_pose[0]), float(self.rotation[0])
        return f"<MotionFrame jaw={jaw:.3f} nod={nod:.3f} |expression|={np.linalg.norm(self.expression):.2f}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return MotionFrame, (self.values.copy(),)


_NEUTRAL: Final = MotionFrame(np.zeros(FRAME_SIZE, np.float32))
