"""Stands in for scipy's compressed sparse matrices in a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError


class SparseMatrix:
    """A matrix as ``csc_matrix`` and ``csr_matrix`` keep it; see :meth:`stand_in`."""

    by_column: ClassVar[bool]

    data: Any = None
    indices: Any = None
    indptr: Any = None
    shape: Any = None

    @staticmethod
    def stand_in(name: str) -> type[SparseMatrix]:
        """What stands in for the class ``name`` of ``scipy.sparse``.

        Raises:
            ConfigurationError: for that there is none.
        """
        kinds: dict[str, type[SparseMatrix]] = {"csc": _ByColumn, "csr": _ByRow}
        kind = kinds.get(name.removesuffix("_matrix").removesuffix("_array"))
        if kind is None:
            raise ConfigurationError(f"refused: this pickle asks for scipy.sparse.{name}")
        return kind

    def __setstate__(self, state: Any) -> None:
        # Pickled as its attributes, or as a pair of None and these.
        if isinstance(state, tuple) and len(state) == 2:
            state = state[1]
        if isinstance(state, Mapping):
            for name in ("data", "indices", "indptr"):
                setattr(self, name, state.get(name))
            self.shape = state.get("_shape", state.get("shape"))

    def to_dense(self) -> npt.NDArray[np.float64]:
        """All of it.

        Raises:
            ValueError: the parts do not fit together.
        """
        data, indices, indptr = (np.asarray(part) for part in (self.data, self.indices, self.indptr))
        rows, columns = (int(side) for side in self.shape)
        if not (0 < rows * columns <= 100_000_000 and data.ndim == indices.ndim == indptr.ndim == 1):
            raise ValueError("no sparse matrix")
        lines, across = (columns, rows) if self.by_column else (rows, columns)
        counts = np.diff(indptr)
        if len(counts) != lines or counts.min() < 0 or counts.sum() != len(data) or len(indices) != len(data):
            raise ValueError("no sparse matrix")
        if len(indices) and not 0 <= indices.min() <= indices.max() < across:
            raise ValueError("no sparse matrix")
        dense = np.zeros((lines, across))
        # Several entries of one place add up, as in scipy.
        np.add.at(dense, (np.repeat(np.arange(lines), counts), indices), data)
        return dense.T if self.by_column else dense


class _ByColumn(SparseMatrix):
    by_column = True


class _ByRow(SparseMatrix):
    by_column = False
