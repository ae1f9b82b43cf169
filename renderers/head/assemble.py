"""Puts a figure together: the body's quads, eyeballs, teeth and sheets of hair."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Asset, Floats, Indices
from renderers.head.hair_shape import Sheet

MATERIALS: Final = ("skin", "hair", "cloth", "eye", "wet", "inside")
"""What a quad is made of, for its light."""

PARTS: Final = ("head", "torso", "cavity", "tongue", "eye", "upper_teeth", "lower_teeth", "sheet", "lining")
"""What a quad belongs to, for its place in the texture; ``lining`` is the inner side of a sheet of hair."""

BEHIND, BODY, INSIDE, FACE, BEFORE = range(5)
"""Layers from back to front; ``BEFORE`` is before what of ``FACE`` is near it only."""

_EYE_GRID: Final = 7
_EYE_REACH: Final = 1.15
"""Radians from the iris' middle to the sides of what is drawn of an eyeball."""
_STAYS: Final = 0.16
"""Vertices that turn by less than this part of the head's turn stay: shoulders and collar do not
move, and are drawn once and for all."""
_NAPE: Final = 0.25
"""Height of the nape, decimetres."""
_BEHIND_SHOULDERS: Final = -0.3
"""Height below which shoulders hide all that hangs behind them, decimetres."""
_BEHIND_NECK: Final = (0.85, 1.0, 1.0)
"""What hangs behind the neck and stays is narrower: it shall not be seen beside the hair of a turned head."""
_LOCK: Final = 5
"""Columns of a sheet of hair that hang before the shoulders, on each side: an odd number."""
_FLATTER: Final = 0.40
_TOOTH_COLUMNS, _TOOTH_ROWS = 17, 4


class Builder:
    """Collects vertices and quads of the parts."""

    def __init__(self, asset: Asset, rest: Floats) -> None:
        self.places = [rest]
        self.canonical = [asset.rest]
        self.turning = [np.asarray(np.clip((asset.turning - _STAYS) / (1 - _STAYS), 0, 1), dtype=np.float32)]
        self.count = len(rest)
        self.quads: list[npt.NDArray[np.intp]] = []
        self.uvs: list[Floats] = []
        self.parts: list[npt.NDArray[np.int32]] = []
        self.materials: list[npt.NDArray[np.int32]] = []
        self.layers: list[npt.NDArray[np.int32]] = []
        self.under: list[npt.NDArray[np.bool_]] = []

    def vertices(self, places: Floats, turning: Floats | float = 1.0) -> slice:
        start, self.count = self.count, self.count + len(places)
        self.places.append(places.astype(np.float32))
        self.canonical.append(places.astype(np.float32))
        self.turning.append(np.broadcast_to(np.asarray(turning, np.float32), (len(places),)))
        return slice(start, self.count)

    def add(
        self,
        quads: Indices,
        uvs: Floats,
        part: str,
        material: str,
        layer: int | Indices,
        under: bool = False,
    ) -> None:
        count = len(quads)
        self.quads.append(quads.astype(np.intp))
        self.uvs.append(uvs.astype(np.float32))
        self.parts.append(np.full(count, PARTS.index(part), np.int32))
        self.materials.append(np.full(count, MATERIALS.index(material), np.int32))
        self.under.append(np.full(count, under))
        self.layers.append(np.broadcast_to(np.asarray(layer, np.int32), (count,)).copy())


def grid_quads(rows: int, columns: int) -> Indices:
    """Quads of a grid of vertices (row by row), counterclockwise when rows go down and columns right."""
    index = np.arange(rows * columns).reshape(rows, columns)
    return np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=2).reshape(-1, 4)


HEAD_UV: Final = (0.612, 0.144, 0.388, 0.680)
"""The head in MakeHuman's texture: lowest u and v, and how far it goes in both."""
TORSO_BOX: Final = (-2.6, -2.0, 5.2, 2.9)
"""What the torso's texture shows from the front: lowest x and y, width and height, decimetres."""


def add_body(builder: Builder, asset: Asset, covered_ears: bool) -> None:
    chart = {name: asset.charts == index for index, name in enumerate(asset.chart_names)}
    quads, uv = asset.quads, asset.quad_uvs
    if covered_ears:
        chart["head"] &= asset.ears[quads].max(1) < 0.1
    solid = asset.turning[quads].min(1) > 0.93
    head = chart["head"]
    low_u, low_v, wide_u, wide_v = HEAD_UV
    head_uv = np.stack([(uv[head, :, 1] - low_v) / wide_v, (uv[head, :, 0] - low_u) / wide_u], 2)
    builder.add(quads[head], head_uv, "head", "skin", np.where(solid[head], FACE, BODY))
    torso = chart["torso"]
    left, bottom, width, height = TORSO_BOX
    places = asset.rest[quads[torso]]
    torso_uv = np.stack([(places[:, :, 0] - left) / width, 1 - (places[:, :, 1] - bottom) / height], 2)
    builder.add(quads[torso], torso_uv, "torso", "cloth", BODY)
    for name in ("cavity", "tongue"):
        places = asset.rest[quads[chart[name]]]
        # From the side: the colour goes by how deep in the mouth it is.
        side_uv = np.stack([(1.45 - places[:, :, 2]) / 1.1, (1.2 - places[:, :, 1]) / 0.9], 2)
        if name == "tongue":
            side_uv = np.stack([places[:, :, 0] / 0.7 + 0.5, (1.4 - places[:, :, 2]) / 0.9], 2)
        builder.add(
            quads[chart[name]], np.clip(side_uv, 0, 1), name, "inside" if name == "cavity" else "wet", INSIDE
        )


def add_eyes(builder: Builder, eyes: Floats) -> tuple[Floats, tuple[slice, slice]]:
    line = np.linspace(-1, 1, _EYE_GRID)
    # A square of great circles: even quads in the middle of the ball, none at a pole.
    across, up = np.meshgrid(np.tan(line * _EYE_REACH), -np.tan(line * _EYE_REACH))
    local = np.stack([across, up, np.ones_like(across)], 2).reshape(-1, 3)
    local /= np.linalg.norm(local, axis=1, keepdims=True)
    quads = grid_quads(_EYE_GRID, _EYE_GRID)
    uv = np.stack([local[:, 0], -local[:, 1]], 1) / 2 + 0.5
    balls = []
    for eye in eyes:
        where = builder.vertices(eyeball(local, eye))
        builder.add(quads + where.start, uv[quads], "eye", "eye", INSIDE)
        balls.append(where)
        # Flesh behind the corners, where some people's lids are wider than their eyeballs.
        corners = np.array([[-1.35, 0.8, 0], [-1.35, -0.8, 0], [1.35, -0.8, 0], [1.35, 0.8, 0]])
        flesh = builder.vertices(corners * eye[3] + eye[:3] + np.array([0, 0, 0.3 * eye[3]]))
        patch = np.arange(flesh.start, flesh.stop)[None]
        builder.add(patch, np.full((1, 4, 2), 0.02), "eye", "eye", INSIDE)
    return local.astype(np.float32), (balls[0], balls[1])


def eyeball(directions: Floats, eye: Floats) -> Floats:
    """Points of an eyeball (centre and radius, shape (4,)) in ``directions``, unit vectors, shape (n, 3).

    The mean person's lids stand off a round eyeball at the corners, so it is drawn flatter to both sides.
    """
    points = directions * eye[3] + eye[:3]
    points[:, 2] += _FLATTER * eye[3] * directions[:, 0] ** 2
    return np.asarray(points, dtype=np.float32)


def add_teeth(builder: Builder, asset: Asset, body: Floats) -> tuple[slice, slice]:
    """Two arches where the asset has its (plain) teeth."""
    quads = grid_quads(_TOOTH_ROWS, _TOOTH_COLUMNS)
    columns = np.linspace(-1, 1, _TOOTH_COLUMNS)
    turn = columns * math.radians(82)
    slices = []
    for row, (gum, edge, back) in enumerate(((0.975, 0.712, 0.045), (0.530, 0.700, 0.070))):
        mean, here = asset.rest[asset.teeth[row]], body[asset.teeth[row]]
        shift = (here - mean).mean(0)
        front = float(mean[:, 2].max()) - back
        half = float(np.abs(mean[:, 0]).max()) - 0.02
        x = half * np.sin(turn)
        z = front - 0.50 * (1 - np.cos(turn))
        points = []
        for part in np.linspace(0, 1, _TOOTH_ROWS):
            # The rows of teeth bend up at the sides, and their roots lie deeper than their edges.
            y = (gum + (edge - gum) * part) + 0.045 * (1 - np.cos(turn))
            points.append(np.stack([x, y, z - 0.03 * (1 - part)], 1))
        grid = np.stack(points) if row == 0 else np.stack(points[::-1])
        uv = np.stack(
            np.broadcast_arrays((columns + 1) / 2, np.linspace(0, 1, _TOOTH_ROWS)[:, None]), 2
        ).reshape(-1, 2)
        where = builder.vertices(grid.reshape(-1, 3) + shift)
        builder.add(quads + where.start, uv[quads], PARTS[5 + row], "wet", INSIDE)
        slices.append(where)
    return slices[0], slices[1]


def add_sheet(builder: Builder, sheet: Sheet, layer: int) -> None:
    """A sheet of hair; one that hangs (layer ``BEFORE``) with its dark inner side."""
    rows, columns = sheet.points.shape[:2]
    points = sheet.points.reshape(-1, 3)
    where = builder.vertices(points, sheet.turning.ravel())
    quads = grid_quads(rows, columns)
    a, b, c, d = (points[quads[:, corner]] for corner in range(4))
    outward = (a + c) / 2 - points.mean(0)
    # Which way round the grid goes, is a matter of how it was made.
    flipped = bool((outward * np.cross(c - a, d - b))[:, [0, 2]].sum() < 0)
    uv = sheet.canonical_uv.reshape(-1, 2)[quads]
    outside = quads[:, ::-1] if flipped else quads
    builder.add(outside + where.start, uv[:, ::-1] if flipped else uv, "sheet", "hair", layer)
    if layer != BEFORE:
        return
    height = sheet.points[:, columns // 2, 1]
    # Dark all over, so every other row and column will do. What hangs behind the shoulders is hidden by them,
    # but for its upper end; the locks in front hang before them.
    back = np.flatnonzero(height > _BEHIND_SHOULDERS)
    strands = [(back, slice(None), BEHIND, bool(height.min() < _NAPE))]
    if height.min() < _BEHIND_SHOULDERS:
        low = np.flatnonzero(height < _NAPE + 0.3)
        strands += [(low, slice(0, _LOCK), BODY, False), (low, slice(columns - _LOCK, None), BODY, False)]

    def inside(rows: Indices, across: slice, depth: int, under: bool, stays: bool = False) -> None:
        kept = [*rows[:-1:2].tolist(), int(rows[-1])]
        grid, turning = sheet.points[kept][:, across][:, ::2], sheet.turning[kept][:, across][:, ::2]
        if stays:
            grid, turning = grid * np.array(_BEHIND_NECK, np.float32), np.zeros_like(turning)
        own = builder.vertices(grid.reshape(-1, 3), turning.ravel())
        quads = grid_quads(*grid.shape[:2])
        quads = (quads if flipped else quads[:, ::-1]) + own.start
        builder.add(quads, np.full((len(quads), 4, 2), 0.5, np.float32), "lining", "hair", depth, under=under)

    for strand in strands:
        inside(*strand)
    if len(strands) > 1:
        # Drawn with the shoulders, behind them: what is seen beside the neck when the head nods.
        neck = np.flatnonzero((height < _NAPE + 0.4) & (height > _BEHIND_SHOULDERS))
        inside(neck, slice(None), BEHIND, under=False, stays=True)
