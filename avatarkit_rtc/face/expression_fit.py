"""FLAME's expression in ARKit's coefficients: the part of a fit that runs with every frame.

A fit (``avatarkit-rtc face fit``, :mod:`renderers.flame.fit`) compares how FLAME's expressions move
the skin with how the shapes of the default head do. What a frame needs of that is small: how the shapes
overlap, and how much each expression goes into the direction of each shape. The coefficients are those
between 0 and 1 that come nearest to the frame's displacements (a bounded least squares problem, solved by
projected gradient descent with momentum, Beck & Teboulle 2009).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.arkit import JAW_ASIDE
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from avatarkit_rtc.motion.frame import FIELD_SIZES, FloatArray

VERSION: Final = 1
"""Of the stored form. Another one is not read."""

INPUTS: Final = FIELD_SIZES["expression"]
"""Expression coefficients."""

JAW_OPEN: Final = 0.43
"""Radians of the jaw (24.6 degrees) that ``jawOpen`` 1 is on the default head: no fit is needed for that."""

_AGAIN: Final = "run avatarkit-rtc face fit FILE again"
_STEPS: Final = 40
_SPARSE: Final = 0.01
"""A shape takes part if it explains more than this much of itself: few clear shapes, not all a little (the
lasso, Tibshirani 1996)."""
_ABSURD: Final = 50.0
_OPEN, _LEFT, _RIGHT = (ARKIT_INDEX[name] for name in ("jawOpen", "jawLeft", "jawRight"))


class ExpressionFit:
    """Coefficients from an expression; an :class:`~avatarkit_rtc.face.ExpressionMap`. About 0.2 ms each."""

    def __init__(
        self,
        names: tuple[str, ...],
        overlap: npt.NDArray[np.floating[Any]],
        pull: npt.NDArray[np.floating[Any]],
        about: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            names: the shapes in use, k of ARKit's.
            overlap: how the shapes' displacements go together, shape (k, k), positive definite.
            pull: how those of each input go into the direction of each shape, shape (k, 100).
            about: what the fit was made of.

        Raises:
            ConfigurationError: the shapes do not fit together, or a name is not ARKit's.
        """
        k = len(names)
        if not k or any(name not in ARKIT_INDEX for name in names):
            raise ConfigurationError("a fit needs shapes of ARKit's names")
        if overlap.shape != (k, k) or pull.shape != (k, INPUTS):
            raise ConfigurationError(f"a fit of {k} shapes has not {overlap.shape} and {pull.shape} numbers")
        if not (np.isfinite(overlap).all() and np.isfinite(pull).all() and np.diag(overlap).min() > 0):
            raise ConfigurationError("a fit has numbers that cannot be")
        self.names: Final = names
        """The shapes in use."""
        self.about: Final = dict(about or {})
        """What the fit was made of, in words."""
        self._overlap, self._pull = overlap, pull
        self._columns = np.array([ARKIT_INDEX[name] for name in names])
        # Shapes of the same size let the descent go straight.
        scale = np.sqrt(np.diag(overlap))
        self._scale = scale.astype(np.float64)
        self._matrix = (overlap / np.outer(scale, scale)).astype(np.float64)
        self._right = (pull / scale[:, None]).astype(np.float64)
        self._threshold = _SPARSE * self._scale
        self._step = 1.0 / float(np.linalg.eigvalsh(self._matrix).max())

    def coefficients(self, expression: FloatArray, jaw_pose: FloatArray) -> FloatArray:
        """ARKit's coefficients, shape (52,), 0 to 1; those that no expression moves stay 0.

        Args:
            expression: FLAME's, shape (100,).
            jaw_pose: rotation of the jaw, shape (3,), axis-angle in radians.
        """
        said, jaw = (
            np.clip(np.nan_to_num(each), -_ABSURD, _ABSURD).astype(np.float64)
            for each in (expression, jaw_pose)
        )
        target = self._right @ said - self._threshold
        value = ahead = np.clip(target, 0.0, self._scale)
        momentum = 1.0
        for _ in range(_STEPS):
            stepped = np.clip(ahead - self._step * (self._matrix @ ahead - target), 0.0, self._scale)
            further = (1 + (1 + 4 * momentum * momentum) ** 0.5) / 2
            ahead = stepped + ((momentum - 1) / further) * (stepped - value)
            value, momentum = stepped, further
        result = np.zeros(len(ARKIT_NAMES), np.float32)
        result[self._columns] = value / self._scale
        result[_OPEN] += max(0.0, jaw[0]) / JAW_OPEN
        result[_LEFT if jaw[1] > 0 else _RIGHT] += abs(jaw[1]) / JAW_ASIDE
        return np.minimum(result, np.float32(1.0))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to a file, by way of a temporary one.

        Raises:
            OSError: it cannot be written.
        """
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.stem}-{os.getpid()}.npz")
        try:
            np.savez_compressed(
                beside,
                version=VERSION,
                names=np.array(self.names),
                overlap=self._overlap.astype(np.float32),
                pull=self._pull.astype(np.float32),
                about=np.array([f"{key}={value}" for key, value in self.about.items()], dtype=np.str_),
            )
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ExpressionFit:
        """Read what :meth:`save` wrote.

        Raises:
            ConfigurationError: there is no such file, or it is of another kind or version.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                if int(stored["version"]) != VERSION:
                    raise ConfigurationError(f"{path} is of another version; {_AGAIN}")
                about = dict(str(line).partition("=")[::2] for line in stored["about"])
                names = tuple(str(name) for name in stored["names"])
                return cls(names, stored["overlap"], stored["pull"], about)
        except OSError as error:
            raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error
        except ConfigurationError:
            raise
        # numpy raises whatever the broken place in an archive leads to.
        except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError) as error:
            raise ConfigurationError(f"{path} is no fit of FLAME; {_AGAIN}") from error
