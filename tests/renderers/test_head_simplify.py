"""Quads are joined where nobody can see it, and nowhere else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from renderers.head.assemble import grid_quads
from renderers.head.simplify import Joined, join_quads

SIDE = 9
NO_MOVES = np.zeros((0, SIDE * SIDE, 3), np.float32)


def sheet(bulge: float = 0.0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """A square of 8 x 8 quads, bent by ``bulge``, and its normals."""
    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), -np.linspace(-1, 1, SIDE))
    points = np.stack([x, y, -bulge * (x * x + y * y)], 2).reshape(-1, 3)
    normals = np.stack([2 * bulge * x, 2 * bulge * y, np.ones_like(x)], 2).reshape(-1, 3)
    return points.astype(np.float32), (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(
        np.float32
    )


def join(
    points: npt.NDArray[np.float32],
    normals: npt.NDArray[np.float32],
    moves: npt.NDArray[np.float32] = NO_MOVES,
    kinds: npt.NDArray[np.int64] | None = None,
    uv_seam: bool = False,
    tolerance: float = 0.01,
) -> Joined:
    quads = grid_quads(SIDE, SIDE)
    uvs = (points[:, :2] * 50)[quads]
    if uv_seam:
        uvs[points[quads][:, :, 0].mean(1) > 0] += 300
    if kinds is None:
        kinds = np.zeros(len(quads), np.int64)
    return join_quads(quads, uvs, kinds, points, moves, normals, np.full(len(points), tolerance, np.float32))


def area(points: npt.NDArray[np.float32], quads: npt.NDArray[np.intp]) -> float:
    a, b, c, d = (points[quads[:, corner], :2] for corner in range(4))
    cross = (c - a)[:, 0] * (d - b)[:, 1] - (c - a)[:, 1] * (d - b)[:, 0]
    assert (cross > 0).all()  # still counterclockwise
    return float(cross.sum() / 2)


def test_a_flat_sheet_becomes_few_quads_that_cover_the_same() -> None:
    points, normals = sheet()
    joined = join(points, normals)
    quads, uvs, origin = joined.quads, joined.uvs, joined.origin
    assert len(quads) <= 64 / 4
    assert abs(area(points, quads) - 4) < 1e-5
    assert np.allclose(uvs, (points[:, :2] * 50)[quads])
    assert origin.max() < 64


def test_a_bent_sheet_is_left_unless_the_tolerance_is_wide() -> None:
    points, normals = sheet(bulge=0.8)
    assert len(join(points, normals).quads) == 64
    normals[:] = (0, 0, 1)
    assert len(join(points, normals, tolerance=0.1).quads) < 40


def test_what_a_shape_bends_is_left() -> None:
    points, normals = sheet()
    bent = np.zeros((2, len(points), 3), np.float32)
    bent[1, :, 2] = 0.3 * np.sin(9 * points[:, 0]) * np.sin(9 * points[:, 1])
    assert len(join(points, normals, moves=bent).quads) > 40
    stiff = np.ones((2, len(points), 3), np.float32)
    assert len(join(points, normals, moves=stiff).quads) <= 16


def test_other_kinds_and_seams_of_the_texture_stay_apart() -> None:
    points, normals = sheet()
    kinds = (points[grid_quads(SIDE, SIDE)][:, :, 1].mean(1) > 0).astype(np.int64)
    joined = join(points, normals, kinds=kinds)
    quads, origin = joined.quads, joined.origin
    sides = points[quads][:, :, 1]
    assert ((sides >= -1e-6).all(1) | (sides <= 1e-6).all(1)).all()
    assert (kinds[origin] == (sides.mean(1) > 0)).all()
    halves = points[join(points, normals, uv_seam=True).quads][:, :, 0]
    assert ((halves >= -1e-6).all(1) | (halves <= 1e-6).all(1)).all()


def test_no_crack_opens_beside_what_was_joined() -> None:
    """However the sheet is bent afterwards, its quads still cover all of it."""
    points, normals = sheet()
    # Only the left half is joined: the vertices between the halves are in sides of joined quads.
    kinds = np.where(points[grid_quads(SIDE, SIDE)][:, :, 0].mean(1) > 0, np.arange(64), 0)
    joined = join(points, normals, kinds=kinds)
    assert joined.seams
    bent = points + 0.06 * np.random.default_rng(0).normal(size=points.shape).astype(np.float32)
    bent[:, 2] = 0
    rim = (np.abs(points[:, :2]) == 1).any(1)
    bent[rim] = points[rim]
    settled = joined.settle(bent)
    assert abs(area(settled, joined.quads) - 4) < 1e-5
    assert not np.array_equal(settled, bent)
    assert np.allclose(joined.settle(settled), settled, atol=1e-6)
