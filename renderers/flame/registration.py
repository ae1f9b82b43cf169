"""Lays FLAME's resting face over that of the default head: which place is which.

The two have other vertices, other sizes and other people's features, and no list of pairs is shipped. So
FLAME's face is first brought over by its eyeballs, then by what is nearest (iterative closest points, Besl &
McKay 1992, with a similarity by Umeyama 1991), then bent smoothly. How far a place follows the jaw counts as
a fourth coordinate: it keeps the lips apart, which touch.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.floating[Any]]

JAW_REACH: Final = 0.5
"""Decimetres that a place that follows the jaw wholly is away from one that does not."""

_ROUNDS: Final = 25
_NEAREST_SHARE: Final = 0.8
"""So many of the pairs, the nearest ones, have a say: the others have no counterpart."""

_BENDS_DM: Final = (0.6, 0.4, 0.3, 0.2, 0.2)
"""Width of the smooth bending, decimetres, from coarse to fine."""

_NEIGHBOURS: Final = 3


class Surface(NamedTuple):
    """Places on a face at rest."""

    points: _Floats
    """Shape (n, 3)."""
    jaw: _Floats
    """How far each follows the jaw, shape (n,), 0 to 1."""
    eyes: _Floats
    """Centres of the left and the right eyeball, shape (2, 3)."""


class Registration(NamedTuple):
    """Where the places of one face are on another."""

    turn: _Floats
    """Rotation and scale that bring displacements of the other over, shape (3, 3)."""
    sources: npt.NDArray[np.intp]
    """For each place, three of the other's, shape (n, 3)."""
    shares: _Floats
    """And how much of each, shape (n, 3), adding up to 1."""
    distance: _Floats
    """Distance of each place from its nearest one of the other's, laid over; shape (n,), decimetres."""


def register(target: Surface, source: Surface) -> Registration:
    """Find for each place of ``target`` (decimetres) where it is on ``source`` (any unit)."""
    scale, turn, shift = _by_eyes(target.eyes, source.eyes)
    eyes = 0.1 * len(target.points)  # as heavy as a tenth of all places
    for _ in range(_ROUNDS):
        laid = scale * source.points @ turn.T + shift
        pairs, apart = _nearest(target, Surface(laid, source.jaw, source.eyes))
        kept = apart <= np.quantile(apart, _NEAREST_SHARE)
        scale, turn, shift = _similarity(
            np.concatenate([source.points[pairs[kept]], source.eyes]),
            np.concatenate([target.points[kept], target.eyes]),
            np.concatenate([np.ones(int(kept.sum())), [eyes, eyes]]),
        )
    laid = scale * source.points @ turn.T + shift
    for width in _BENDS_DM:
        pairs, apart = _nearest(target, Surface(laid, source.jaw, source.eyes))
        kept = apart <= np.quantile(apart, 0.95)
        laid = laid + _bend(laid, laid[pairs[kept]], target.points[kept] - laid[pairs[kept]], width)
    away = _distances(target, Surface(laid, source.jaw, source.eyes))
    sources = np.argpartition(away, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    squared = np.take_along_axis(away, sources, axis=1)
    shares = 1.0 / (squared + 1e-4)
    return Registration(
        turn=scale * turn,
        sources=sources,
        shares=shares / shares.sum(axis=1, keepdims=True),
        distance=np.sqrt(squared.min(axis=1)),
    )


def _by_eyes(target: _Floats, source: _Floats) -> tuple[float, _Floats, _Floats]:
    scale = float(np.linalg.norm(target[0] - target[1]) / np.linalg.norm(source[0] - source[1]))
    return scale, np.eye(3), target.mean(axis=0) - scale * source.mean(axis=0)


def _distances(target: Surface, source: Surface) -> _Floats:
    """Squared distance of each place to each of the other's, the jaw's coordinate included."""
    a = np.column_stack([target.points, JAW_REACH * target.jaw])
    b = np.column_stack([source.points, JAW_REACH * source.jaw])
    squared: _Floats = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squared, 0.0)


def _nearest(target: Surface, source: Surface) -> tuple[npt.NDArray[np.intp], _Floats]:
    away = _distances(target, source)
    pairs = away.argmin(axis=1)
    return pairs, np.sqrt(np.take_along_axis(away, pairs[:, None], axis=1)[:, 0])


def _similarity(source: _Floats, target: _Floats, weights: _Floats) -> tuple[float, _Floats, _Floats]:
    """Scale, rotation and shift that bring ``source`` nearest to ``target`` (Umeyama 1991)."""
    weights = weights / weights.sum()
    from_middle, to_middle = weights @ source, weights @ target
    a, b = source - from_middle, target - to_middle
    left, strengths, right = np.linalg.svd((b * weights[:, None]).T @ a)
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = (left * handed) @ right
    scale = float((strengths * handed).sum() / (weights @ np.square(a).sum(axis=1)))
    return scale, turn, to_middle - scale * turn @ from_middle


def _bend(points: _Floats, places: _Floats, moves: _Floats, width: float) -> _Floats:
    """``moves`` known at ``places``, spread smoothly over ``points``."""
    squared = np.square(points).sum(axis=1)[:, None] + np.square(places).sum(axis=1) - 2 * points @ places.T
    spread = np.exp(-np.maximum(squared, 0.0) / (2 * width * width))
    bent: _Floats = spread @ moves / (spread.sum(axis=1, keepdims=True) + 0.05)
    return bent
