"""Reading a FLAME model file: a pickle as its makers publish it, or an ``.npz`` with the same names.

A pickle is a program. This one is run by an interpreter that knows numpy's arrays, and stand-ins for scipy's
sparse matrices and chumpy's arrays, and refuses everything else; neither scipy nor chumpy is needed.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError
from renderers.flame.sparse import SparseMatrix

JOINTS: Final = ("root", "neck", "jaw", "left eye", "right eye")
"""Names of FLAME's joints, in its order."""

SHAPE_COUNT: Final = 300
"""Columns of ``shapedirs`` that are identities; expressions come after them."""

EXPRESSION_COUNT: Final = 100

_LARGEST_BYTES: Final = 2_000_000_000
_WANTED: Final = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class FlameModel:
    """What stands in a FLAME model file; n is 5023 in all editions."""

    template: npt.NDArray[np.float64]
    """Vertices at rest, shape (n, 3), metres (x: subject's left, y: up, z: to the viewer)."""
    faces: npt.NDArray[np.int64]
    """Triangles, shape (m, 3), numbers of vertices."""
    expressions: npt.NDArray[np.float64]
    """Displacement of each vertex by each expression coefficient, shape (n, 3, e), e at most 100."""
    pose_corrections: npt.NDArray[np.float64]
    """Displacement by each element of the rotation matrices of neck, jaw and eyes, less the identity; shape
    (n, 3, 36)."""
    joint_regressor: npt.NDArray[np.float64]
    """Joints from vertices, shape (5, n)."""
    weights: npt.NDArray[np.float64]
    """How much each vertex follows each joint, shape (n, 5)."""
    parents: tuple[int, ...]
    """The joint each joint hangs on; -1 for the root."""


def read_flame(path: str | os.PathLike[str]) -> FlameModel:
    """Read a FLAME model file.

    Args:
        path: a pickle (``generic_model.pkl``, ``flame2023_Open.pkl``, …) or an ``.npz``, with the arrays
            ``v_template``, ``f``, ``shapedirs``, ``posedirs``, ``J_regressor``, ``weights`` and
            ``kintree_table``.

    Raises:
        ConfigurationError: the file cannot be read, is no FLAME model, or is a pickle that asks for a class
            that no model needs; nothing of it has been run then.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise ConfigurationError(f"{file} is too large for a FLAME model")
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the FLAME model {file}: {error.strerror or error}") from error
    try:
        fields = _read_npz(data) if data[:4] == b"PK\x03\x04" else _read_pickle(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error.__cause__
    # What a broken pickle makes its interpreter do cannot be listed.
    except Exception as error:
        raise ConfigurationError(
            f"{file} is neither a pickle nor an .npz of a FLAME model ({type(error).__name__}: {error})"
        ) from error
    try:
        return _model(fields)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error.__cause__


class ChumpyArray:
    """Stands in for chumpy's arrays, which keep their numbers under ``x``."""

    x: Any = None

    def __setstate__(self, state: Any) -> None:
        self.x = state.get("x") if isinstance(state, Mapping) else None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array:
        return np.array(self.x, dtype=dtype)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "chumpy" or module.startswith("chumpy."):
            return ChumpyArray
        if module == "scipy.sparse" or module.startswith("scipy.sparse."):
            return SparseMatrix.stand_in(name)
        known = _KNOWN.get((module, name))
        if known is None:
            raise ConfigurationError(
                f"refused: this pickle asks for {module}.{name}, which no FLAME model needs. Get the "
                "file from https://flame.is.tue.mpg.de again"
            )
        return known


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into pickles for Python 2; ``codecs.encode`` itself can do more than that."""
    if encoding not in ("latin1", "latin-1"):
        raise ConfigurationError(f"refused: this pickle asks for the codec {encoding}")
    return text.encode("latin1")


def _reconstructor(kind: Any, _base: Any, _state: Any) -> Any:
    """An empty object of one of the stand-ins, as old pickles make them."""
    if kind is not ChumpyArray and not (isinstance(kind, type) and issubclass(kind, SparseMatrix)):
        raise ConfigurationError(f"refused: this pickle makes an object of {kind!r}")
    return kind.__new__(kind)


def _known() -> dict[tuple[str, str], Any]:
    reconstruct: Any = np.zeros(1).__reduce__()[0]
    scalar: Any = np.float64(0.0).__reduce__()[0]
    from_buffer: Any = np.zeros(1).__reduce_ex__(5)[0]
    known: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode,
        ("copy_reg", "_reconstructor"): _reconstructor,
        ("copyreg", "_reconstructor"): _reconstructor,
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        known[module, "_reconstruct"] = reconstruct
        known[module, "scalar"] = scalar
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        known[module, "_frombuffer"] = from_buffer
    for module in ("__builtin__", "builtins"):
        known[module, "object"] = object
        known[module, "set"] = set
    return known


_KNOWN: Final = _known()


def _read_pickle(data: bytes) -> Mapping[str, Any]:
    fields = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    if not isinstance(fields, dict):
        raise ConfigurationError(f"this pickle holds a {type(fields).__name__}, not a FLAME model")
    return fields


def _read_npz(data: bytes) -> Mapping[str, Any]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name in _WANTED}
    except (zipfile.BadZipFile, ValueError) as error:
        raise ConfigurationError(f"this .npz cannot be read: {error}") from error


def _model(fields: Mapping[str, Any]) -> FlameModel:
    missing = [name for name in _WANTED if name not in fields]
    if missing:
        raise ConfigurationError(f"no FLAME model: {', '.join(missing)} missing")
    template = _numbers(fields, "v_template", (None, 3))
    n = len(template)
    shapes = _numbers(fields, "shapedirs", (n, 3, None))
    if shapes.shape[2] <= SHAPE_COUNT:
        raise ConfigurationError(
            f"shapedirs has {shapes.shape[2]} columns; a FLAME model has {SHAPE_COUNT} identities "
            "and then its expressions"
        )
    faces = _numbers(fields, "f", (None, 3)).astype(np.int64)
    if len(faces) and not 0 <= faces.min() <= faces.max() < n:
        raise ConfigurationError("f names vertices that do not exist")
    parents = _numbers(fields, "kintree_table", (2, len(JOINTS)))[0].astype(np.uint32).astype(np.int32)
    parents[0] = -1  # the root's own entry is a number that cannot be
    if any(not 0 <= parent < joint for joint, parent in enumerate(parents.tolist()) if joint):
        raise ConfigurationError("kintree_table: a joint hangs on one that comes later")
    return FlameModel(
        template=template,
        faces=faces,
        expressions=shapes[:, :, SHAPE_COUNT : SHAPE_COUNT + EXPRESSION_COUNT],
        pose_corrections=_numbers(fields, "posedirs", (n, 3, 9 * (len(JOINTS) - 1))),
        joint_regressor=_numbers(fields, "J_regressor", (len(JOINTS), n)),
        weights=_numbers(fields, "weights", (n, len(JOINTS))),
        parents=tuple(parents.tolist()),
    )


def _numbers(fields: Mapping[str, Any], name: str, shape: tuple[int | None, ...]) -> npt.NDArray[np.float64]:
    value = fields[name]
    try:
        dense = value.to_dense() if isinstance(value, SparseMatrix) else value
        array = np.array(dense, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} is no array of numbers") from error
    fits = array.ndim == len(shape) and all(
        wanted in (None, side) for wanted, side in zip(shape, array.shape, strict=True)
    )
    if not fits or not np.isfinite(array).all():
        wanted_shape = ", ".join("any" if side is None else str(side) for side in shape)
        raise ConfigurationError(
            f"{name} has shape {array.shape}, not ({wanted_shape}), or holds numbers that are not finite"
        )
    return array
