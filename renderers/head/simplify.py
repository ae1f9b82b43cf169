"""Joins quads whose common edge a picture of some size does not show: fewer to draw, the same picture."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats, Indices

_PASSES: Final = 3
_NORMAL: Final = 0.15
"""A normal may differ by so much, as a vector, from what it would be without its vertex."""
_TEXELS: Final = 1.0
"""A place in the texture may differ by so many texels."""


def join_quads(
    quads: Indices,
    uvs: Floats,
    kinds: npt.NDArray[np.int64],
    points: Floats,
    moves: Floats,
    normals: Floats,
    tolerance: Floats,
) -> tuple[Indices, Floats, Indices]:
    """Quads with as many joined in pairs, and pairs of pairs, as ``tolerance`` allows.

    Two quads side by side become one when the two vertices between them lie within ``tolerance`` of straight
    lines between the outer ones, at rest and in each shape.

    Args:
        quads: Shape (m, 4).
        uvs: Their corners in the texture, texels, shape (m, 4, 2).
        kinds: Only quads of the same kind are joined, shape (m,).
        points: Vertices, shape (n, 3).
        moves: What each shape adds to them, shape (s, n, 3).
        normals: Shape (n, 3).
        tolerance: Of each vertex, in the unit of ``points``, shape (n,).

    Returns:
        Quads, shape (k, 4), their corners in the texture, and the index of a quad of ``quads`` for each whose
        kind it has.
    """
    origin: Indices = np.arange(len(quads))
    for _ in range(_PASSES):
        first, second, turn, back = _neighbours(quads)
        # Counterclockwise, the two quads are a b c d and c b e f, with b c between them.
        here = np.take_along_axis(quads[first], (turn[:, None] + np.array([3, 0, 1, 2])) % 4, axis=1)
        there = np.take_along_axis(quads[second], (back[:, None] + np.array([2, 3])) % 4, axis=1)
        uv_here = uvs[first[:, None], (turn[:, None] + np.array([3, 0, 1, 2])) % 4]
        uv_there = uvs[second[:, None], (back[:, None] + np.array([2, 3])) % 4]
        uv_seam = uvs[second[:, None], (back[:, None] + np.array([1, 0])) % 4]
        a, b, c, d = here.T
        e, f = there.T
        fits = kinds[origin[first]] == kinds[origin[second]]
        # No seam of the texture between them.
        fits &= np.abs(uv_seam - uv_here[:, [1, 2]]).max((1, 2)) < 0.5
        for middle, start, end, uv in (
            (b, a, e, (uv_here[:, 1], uv_here[:, 0], uv_there[:, 0])),
            (c, d, f, (uv_here[:, 2], uv_here[:, 3], uv_there[:, 1])),
        ):
            fits &= _straight(middle, start, end, points, moves, normals, tolerance, uv)
        chosen = _apart(np.flatnonzero(fits), first, second, len(quads))
        if not len(chosen):
            break
        joined = np.stack([a, e, f, d], axis=1)[chosen]
        joined_uvs = np.stack([uv_here[:, 0], uv_there[:, 0], uv_there[:, 1], uv_here[:, 3]], axis=1)[chosen]
        kept = np.ones(len(quads), np.bool_)
        kept[first[chosen]] = kept[second[chosen]] = False
        quads = np.concatenate([quads[kept], joined])
        uvs = np.concatenate([uvs[kept], joined_uvs])
        origin = np.concatenate([origin[kept], origin[first[chosen]]])
    return quads, uvs, origin


def _neighbours(quads: Indices) -> tuple[Indices, Indices, Indices, Indices]:
    """Pairs of quads with a common edge: their indices, and at which of its corners each has it begin."""
    start, end = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    size = int(quads.max()) + 1
    forward, backward = start * size + end, end * size + start
    order = np.argsort(forward)
    at = np.searchsorted(forward[order], backward)
    at = np.minimum(at, len(order) - 1)
    other = order[at]
    own = np.arange(len(forward))
    found = (forward[other] == backward) & (own < other)
    one, two = own[found], other[found]
    return one // 4, two // 4, one % 4, two % 4


def _straight(
    middle: Indices,
    start: Indices,
    end: Indices,
    points: Floats,
    moves: Floats,
    normals: Floats,
    tolerance: Floats,
    uv: tuple[Floats, Floats, Floats],
) -> npt.NDArray[np.bool_]:
    """Where ``middle`` can go without being missed on the line from ``start`` to ``end``."""
    way = points[end] - points[start]
    part = np.einsum("ij,ij->i", points[middle] - points[start], way) / np.maximum((way * way).sum(1), 1e-12)
    fits = (part > 0.15) & (part < 0.85)
    part = part[:, None]

    def off(values: Floats) -> Floats:
        between = values[start] + part * (values[end] - values[start])
        return np.asarray(np.linalg.norm(values[middle] - between, axis=1))

    allowed = tolerance[middle]
    fits &= off(points) < allowed
    fits &= off(normals) < _NORMAL
    fits &= np.linalg.norm(uv[0] - (uv[1] + part * (uv[2] - uv[1])), axis=1) < _TEXELS
    for move in moves:
        left = np.flatnonzero(fits)
        between = move[start[left]] + part[left] * (move[end[left]] - move[start[left]])
        fits[left] = np.linalg.norm(move[middle[left]] - between, axis=1) < allowed[left]
    return np.asarray(fits, dtype=np.bool_)


def _apart(candidates: Indices, first: Indices, second: Indices, count: int) -> Indices:
    """Those of the pairs ``candidates``, in their order, of which no quad is in one before."""
    taken = np.zeros(count, np.bool_)
    chosen = []
    for candidate in candidates.tolist():
        one, two = first[candidate], second[candidate]
        if not (taken[one] or taken[two]):
            taken[one] = taken[two] = True
            chosen.append(candidate)
    return np.array(chosen, dtype=np.intp)
