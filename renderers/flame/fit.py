"""Fits FLAME's expressions to the shapes of the default head, once, and keeps the result.

The user's model file tells how each expression coefficient moves the skin; the default head's
shapes move a skin of their own. Both faces are laid over one another (:mod:`~renderers.flame.registration`),
and the displacements are compared by least squares, with the lips counting most.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face.expression_fit import INPUTS, VERSION, ExpressionFit
from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES
from renderers.flame.mesh import FlameMesh
from renderers.flame.model_file import JOINTS, FlameModel, read_flame
from renderers.flame.registration import Registration, Surface, register
from renderers.head.asset import Asset, load_asset

_Floats = npt.NDArray[np.floating[Any]]

EYE_JOINTS: Final = [JOINTS.index("left eye"), JOINTS.index("right eye")]

_LEFT_OUT: Final = ("eyeLook", "eyeBlink", "eyeWide", "jawForward", "tongueOut")
"""Gaze and lids have numbers of their own in a stream; FLAME has no tongue."""

_MOVES_DM: Final = 0.008
"""A place that no shape moves further than this is not compared."""
_LIPS_COUNT: Final = 4.0
_RIDGE: Final = 0.005
"""Keeps shapes that are alike from pulling against each other."""
_JAW_TEST: Final = 0.12
"""Radians by which the jaw is turned to see what follows it."""


class FitReport(NamedTuple):
    """How well it went."""

    places: int
    """Places of the skin that were compared."""
    distance_mm: float
    """Median distance of the two faces, laid over one another."""
    explained: float
    """Share of the movement of the skin by expressions that the shapes can make, 0 to 1."""


def fit_expression(model: FlameModel) -> tuple[ExpressionFit, FitReport]:
    """Fit ``model`` to the default head; takes a few seconds.

    Raises:
        ConfigurationError: the model is no upright face that looks to the viewer.
    """
    asset = load_asset()
    mesh = FlameMesh(model)
    names = tuple(name for name in ARKIT_NAMES if not name.startswith(_LEFT_OUT))
    places, shapes = _head(asset, names)
    found = _lay_over(asset, places, mesh)
    moves = np.zeros((*model.template.shape, INPUTS))
    moves[:, :, : mesh.expression_count] = model.expressions
    brought = np.einsum("ns,nsci->nci", found.shares, moves[found.sources])
    said = np.einsum("dc,nci->ndi", found.turn, brought).reshape(-1, brought.shape[2])
    weights = np.repeat((1 + _LIPS_COUNT * asset.lips[places]) * _trust(found.distance), 3)
    overlap = shapes @ (shapes * weights).T
    pull = (shapes * weights) @ said
    overlap[np.diag_indices(len(names))] *= 1 + _RIDGE
    fit = ExpressionFit(names, overlap, pull, {"skin": f"{len(model.template)} vertices"})
    explained = _explained(fit, shapes, said, weights)
    return fit, FitReport(len(places), 100 * float(np.median(found.distance)), explained)


def _head(asset: Asset, names: tuple[str, ...]) -> tuple[npt.NDArray[np.intp], _Floats]:
    """The places of the head's skin that are compared, and how each shape moves them, shape (k, 3 n)."""
    dense = np.zeros((len(names), *asset.rest.shape))
    for row, name in enumerate(names):
        where, moves = asset.shapes[ARKIT_NAMES.index(name)]
        dense[row, where] = moves
    skin = np.zeros(len(asset.rest), bool)
    skin[asset.quads[asset.charts == asset.chart_names.index("head")]] = True
    moved = np.sqrt(np.square(dense).sum(axis=2)).max(axis=0) > _MOVES_DM
    # Skin only, and not the back of the lips.
    places = np.flatnonzero(skin & moved & (asset.light > 0.15))
    return places, dense[:, places].reshape(len(names), -1)


def _jaw_movement(mesh: FlameMesh) -> _Floats:
    """How far each of FLAME's vertices goes when the jaw opens, shape (n,)."""
    turns = np.zeros((len(JOINTS), 3), np.float32)
    turns[JOINTS.index("jaw"), 0] = _JAW_TEST
    nothing = np.zeros(1, np.float32)
    movement: _Floats = np.linalg.norm(mesh.pose(nothing, turns) - mesh.pose(nothing, -turns), axis=1)
    return movement


def _lay_over(asset: Asset, places: npt.NDArray[np.intp], mesh: FlameMesh) -> Registration:
    joints = mesh.model.joint_regressor @ mesh.model.template
    eyes = joints[EYE_JOINTS]
    between = eyes[0] - eyes[1]
    if between[0] < 0.7 * float(np.linalg.norm(between)) or not between[0] > 0:
        raise ConfigurationError(
            "the FLAME model's eyes are not side by side, the left one to the left (+x): it is turned"
        )
    opening = _jaw_movement(mesh)
    jaw_shape, jaw = asset.shapes[ARKIT_NAMES.index("jawOpen")], np.zeros(len(asset.rest))
    jaw[jaw_shape[0]] = np.linalg.norm(jaw_shape[1], axis=1)
    # Of FLAME the front of the face, without the eyeballs: nothing at the back can be meant.
    near = mesh.model.template[:, 2] > eyes[:, 2].mean() - 1.2 * between[0]
    eyeballs = mesh.model.weights[:, EYE_JOINTS].sum(axis=1) > 0.5
    chosen = np.flatnonzero(near & ~eyeballs)
    if len(chosen) < 50:
        raise ConfigurationError("the FLAME model has no face before its eyes: it is turned")
    found = register(
        Surface(asset.rest[places].astype(np.float64), _follows(jaw)[places], asset.eyes[:, :3]),
        Surface(mesh.model.template[chosen], _follows(opening)[chosen], eyes),
    )
    return found._replace(sources=chosen[found.sources])


def _follows(movement: _Floats) -> _Floats:
    """How far a place follows the jaw, 0 to 1, from how far it moves."""
    most = float(np.quantile(movement, 0.98)) or 1.0
    follows: _Floats = np.clip(movement / most, 0.0, 1.0)
    return follows


def _trust(distance: _Floats) -> _Floats:
    trusted: _Floats = np.exp(-np.square(distance / 0.15))
    return trusted


def _explained(fit: ExpressionFit, shapes: _Floats, said: _Floats, weights: _Floats) -> float:
    """Share of the energy of single expressions, two standard deviations each way, that the fit makes."""
    columns = [ARKIT_NAMES.index(name) for name in fit.names]
    whole = left = 0.0
    for index in range(50):
        for strength in (-2.0, 2.0):
            expression = np.zeros(INPUTS, np.float32)
            expression[index] = strength
            wanted = strength * said[:, index]
            made = fit.coefficients(expression, np.zeros(3, np.float32))[columns] @ shapes
            whole += float(weights @ np.square(wanted))
            left += float(weights @ np.square(wanted - made))
    return max(0.0, 1.0 - left / whole) if whole > 0 else 0.0


# -- kept fits -----------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where fits are kept: ``$XDG_CACHE_HOME/avatarkit-rtc``, else ``~/.cache/avatarkit-rtc``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "avatarkit-rtc"


def last_fit() -> Path:
    """The fit that was made last, which the ``flame`` face takes without a file."""
    return cache_folder() / "flame.npz"


def fit_file(path: str | os.PathLike[str]) -> tuple[ExpressionFit, FitReport]:
    """Fit the model in ``path`` and keep the fit, as that of this file and as the last one.

    Raises:
        ConfigurationError: no FLAME model, or the cache cannot be written.
    """
    model = read_flame(path)
    fit, report = fit_expression(model)
    fit.about["model"] = Path(path).name
    try:
        fit.save(_kept(path))
        fit.save(last_fit())
    except OSError as error:
        raise ConfigurationError(
            f"the fit cannot be kept in {cache_folder()}: {error.strerror or error}; set XDG_CACHE_HOME"
        ) from error
    return fit, report


def load_fit(path: str | os.PathLike[str] | None = None) -> ExpressionFit:
    """The fit of the model in ``path``, made now if it was not kept; or without one the last fit.

    Raises:
        ConfigurationError: there is no fit yet, or the file is no FLAME model.
    """
    if path is None:
        if not last_fit().exists():
            raise ConfigurationError(
                "the face flame needs FLAME's model file once: download it from https://flame.is.tue.mpg.de "
                "(FLAME 2023 Open is CC BY 4.0) and run avatarkit-rtc face fit FILE"
            )
        return ExpressionFit.load(last_fit())
    kept = _kept(path)
    return ExpressionFit.load(kept) if kept.exists() else fit_file(path)[0]


def _kept(path: str | os.PathLike[str]) -> Path:
    """Where the fit of a file is kept: by its contents, so that a newer edition is fitted anew."""
    digest = hashlib.sha256(f"{VERSION} {len(load_asset().rest)} ".encode())
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ConfigurationError(f"cannot read the FLAME model {path}: {error.strerror or error}") from error
    return cache_folder() / f"flame-{digest.hexdigest()[:16]}.npz"
