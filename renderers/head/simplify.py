"""Joins quads whose common edge a picture of some size does not show: fewer to draw, the same picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats, Indices

_PASSES: Final = 6
_NORMAL: Final = 0.2
"""A normal may differ by so much, as a vector, from what it would be without its vertex."""
_CORNER: Final = 0.4
"""Sine of the angle by which each corner of a joined quad has to stick out, or it would be folded soon."""
_CORNER_MOVED: Final = 0.2
"""The same in each shape."""
_TEXELS: Final = 2.0
"""A place in the texture may differ by so many texels."""


@dataclass(frozen=True, slots=True, eq=False)
class Seam:
    """Vertices in the sides of joined quads, and where on them: there they have to stay, or cracks open."""

    middles: Indices
    """Shape (k,)."""
    starts: Indices
    ends: Indices
    """The vertices at both ends of each one's side, shape (k,)."""
    parts: Floats
    """How far from start to end each lies, 0 to 1, shape (k,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Fewer quads, and what holds them together."""

    quads: Indices
    """Shape (k, 4)."""
    uvs: Floats
    """Their corners in the texture, shape (k, 4, 2)."""
    origin: Indices
    """For each the index of one of the given quads, whose kind it has, shape (k,)."""
    seams: tuple[Seam, ...]
    """In an order in which none changes what an earlier one was made from."""

    def settle(self, values: Floats) -> Floats:
        """A copy of ``values``, one of each vertex, shape (n, ...), linear along the joined quads' sides."""
        settled = values.copy()
        for seam in self.seams:
            part = seam.parts.reshape(-1, *[1] * (values.ndim - 1))
            start, end = settled[seam.starts], settled[seam.ends]
            settled[seam.middles] = start + part * (end - start)
        return settled


def join_quads(
    quads: Indices,
    uvs: Floats,
    kinds: npt.NDArray[np.int64],
    points: Floats,
    moves: Floats,
    normals: Floats,
    tolerance: Floats,
) -> Joined:
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
    """
    origin: Indices = np.arange(len(quads))
    seams = _Seams()
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
        parts = []
        for middle, start, end, uv in (
            (b, a, e, (uv_here[:, 1], uv_here[:, 0], uv_there[:, 0])),
            (c, d, f, (uv_here[:, 2], uv_here[:, 3], uv_there[:, 1])),
        ):
            along, straight = _straight(middle, start, end, points, moves, normals, tolerance, uv)
            fits &= straight
            parts.append(along)
        fits[fits] = _square(np.stack([a, e, f, d], axis=1)[fits], points, moves)
        sides = [
            np.stack([first, second], axis=1),
            np.stack([b, a, e], axis=1),
            np.stack([c, d, f], axis=1),
            np.stack(parts, axis=1),
        ]
        chosen = seams.choose(np.flatnonzero(fits), *sides)
        if not len(chosen):
            break
        joined = np.stack([a, e, f, d], axis=1)[chosen]
        joined_uvs = np.stack([uv_here[:, 0], uv_there[:, 0], uv_there[:, 1], uv_here[:, 3]], axis=1)[chosen]
        kept = np.ones(len(quads), np.bool_)
        kept[first[chosen]] = kept[second[chosen]] = False
        quads = np.concatenate([quads[kept], joined])
        uvs = np.concatenate([uvs[kept], joined_uvs])
        origin = np.concatenate([origin[kept], origin[first[chosen]]])
    return Joined(quads, uvs, origin, seams.levels())


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
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """How far ``middle`` lies on the line from ``start`` to ``end``, and where it may go there unnoticed."""
    way = points[end] - points[start]
    along = np.einsum("ij,ij->i", points[middle] - points[start], way) / np.maximum((way * way).sum(1), 1e-12)
    fits = (along > 0.15) & (along < 0.85)
    part = along[:, None]

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
    return along, np.asarray(fits, dtype=np.bool_)


def _square(quads: Indices, points: Floats, moves: Floats) -> npt.NDArray[np.bool_]:
    """Which ``quads`` have four corners that stick out, at rest and in each shape, shape (m,)."""
    square = _sharpest(points[quads]) > _CORNER
    for move in moves:
        left = np.flatnonzero(square)
        square[left] = _sharpest(points[quads[left]] + move[quads[left]]) > _CORNER_MOVED
    return square


def _sharpest(corners: Floats) -> Floats:
    """Sine of the angle at the corner of each quad, shape (m, 4, 3), that sticks out least, shape (m,)."""
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    side = np.roll(corners, -1, axis=1) - corners
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-9)
    turn = np.cross(np.roll(side, 1, axis=1), side)
    return np.asarray(np.einsum("mci,mi->mc", turn, normal).min(1))


class _Seams:
    """Which vertices lie in the side of a joined quad, while quads are being joined."""

    def __init__(self) -> None:
        self._sides: dict[int, tuple[int, int, float]] = {}

    def choose(
        self, candidates: Indices, pairs: Indices, left: Indices, right: Indices, parts: Floats
    ) -> Indices:
        """Those of ``candidates``, in their order, that can be joined together.

        No quad is joined twice, and a vertex lies in one side only, whose ends do not hang on it.

        Args:
            candidates: Rows of the others.
            pairs: The two quads, shape (p, 2).
            left, right: Middle, start and end of both of their sides, shape (p, 3).
            parts: Where the middles lie on them, shape (p, 2).
        """
        taken: set[int] = set()
        chosen = []
        rows = (table[candidates].tolist() for table in (pairs, left, right, parts))
        for candidate, (one, two), own, other, along in zip(candidates.tolist(), *rows, strict=True):
            if one in taken or two in taken or not (self._lies(*own) and self._lies(*other)):
                continue
            before = self._sides.get(own[0])
            self._sides.setdefault(own[0], (own[1], own[2], along[0]))
            # The second side may hang on the first.
            if not self._lies(*other):
                if before is None:
                    del self._sides[own[0]]
                continue
            self._sides.setdefault(other[0], (other[1], other[2], along[1]))
            taken.update((one, two))
            chosen.append(candidate)
        return np.array(chosen, dtype=np.intp)

    def levels(self) -> tuple[Seam, ...]:
        """All sides; those whose ends lie in other sides come after these."""
        depths: dict[int, int] = {}

        def depth(vertex: int) -> int:
            if vertex not in self._sides:
                return 0
            if vertex not in depths:
                start, end, _ = self._sides[vertex]
                depths[vertex] = 1 + max(depth(start), depth(end))
            return depths[vertex]

        by_depth: dict[int, list[int]] = {}
        for vertex in self._sides:
            by_depth.setdefault(depth(vertex), []).append(vertex)
        return tuple(self._seam(by_depth[level]) for level in sorted(by_depth))

    def _seam(self, vertices: Iterable[int]) -> Seam:
        middles = list(vertices)
        starts, ends, parts = zip(*(self._sides[vertex] for vertex in middles), strict=True)
        return Seam(
            np.array(middles, np.intp),
            np.array(starts, np.intp),
            np.array(ends, np.intp),
            np.array(parts, np.float32),
        )

    def _lies(self, middle: int, start: int, end: int) -> bool:
        """Whether ``middle`` can lie in the side from ``start`` to ``end``, or does."""
        side = self._sides.get(middle)
        if side is not None:
            return {side[0], side[1]} == {start, end}
        hanging = [start, end]
        while hanging:
            vertex = hanging.pop()
            if vertex == middle:
                return False
            if vertex in self._sides:
                hanging.extend(self._sides[vertex][:2])
        return True
