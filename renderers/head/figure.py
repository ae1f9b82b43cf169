"""From a look to geometry: the person's mesh with hair, eyeballs and teeth, and how all of it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers.head.asset import Asset, Floats, Indices, load_asset
from renderers.head.hair_shape import CUTS, Sheet, hanging_hair, knot, thickness
from renderers.head.looks import HeadLook
from renderers.head.painter import Window

MATERIALS: Final = ("skin", "hair", "cloth", "eye", "wet", "inside")
"""What a quad is made of, for its light."""

PARTS: Final = ("head", "torso", "cavity", "tongue", "eye", "upper_teeth", "lower_teeth", "sheet", "lining")
"""What a quad belongs to, for its place in the texture; ``lining`` is the inner side of a sheet of hair."""

BEHIND, BODY, INSIDE, FACE, BEFORE = range(5)
"""Layers from back to front."""

FRIENDLY: Final = {
    "mouthSmileLeft": 0.42,
    "mouthSmileRight": 0.42,
    "cheekSquintLeft": 0.10,
    "cheekSquintRight": 0.10,
    "browInnerUp": 0.10,
    "browOuterUpLeft": 0.05,
    "browOuterUpRight": 0.05,
    "mouthPressLeft": 0.05,
    "mouthPressRight": 0.05,
}
"""The rest face, as coefficients on top of the mean person's, which looks stern."""

_EYE_GRID: Final = 7
_EYE_REACH: Final = 1.02
"""Radians from the iris' middle to the sides of what is drawn of an eyeball."""
_NAPE: Final = 0.25
"""Height of the nape, decimetres."""
_FLATTER: Final = 0.40
_TOOTH_COLUMNS, _TOOTH_ROWS = 17, 4


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A person, ready to be posed. Decimetres as in :class:`~renderers.head.asset.Asset`."""

    rest: Floats
    """Vertices at rest, shape (n, 3): the asset's, then the eyeballs, the teeth and the hair."""
    canonical: Floats
    """Where they are on the mean person, bald, shape (n, 3): what the texture is painted by."""
    normals: Floats
    """Unit normals at rest, shape (n, 3)."""
    quads: Indices
    """Shape (m, 4), counterclockwise from outside."""
    uvs: Floats
    """Place of each corner within its part's texture, shape (m, 4, 2), 0 to 1, v down."""
    parts: npt.NDArray[np.int32]
    """Index into :data:`PARTS`, shape (m,)."""
    materials: npt.NDArray[np.int32]
    """Index into :data:`MATERIALS`, shape (m,)."""
    layers: npt.NDArray[np.int32]
    """Shape (m,)."""
    turning: Floats
    """How far each vertex goes along with the head, shape (n, 1)."""
    moving: Indices
    """Vertices that shapes move, shape (k,)."""
    moves: Floats
    """How they move and how their normals change at coefficient 1, shape (52, 6 k): k times x, y, z, then k
    times the normal's."""
    eyes: Floats
    """Centre and radius of both eyeballs, shape (2, 4)."""
    eye_balls: tuple[slice, slice]
    """Vertices of the left and the right eyeball."""
    eye_local: Floats
    """A unit eyeball that looks to the viewer, shape (e, 3)."""
    lashes: Indices
    """As in the asset."""
    hair: Floats
    """How far hair stands off at each vertex, shape (n,)."""
    attributes: Floats
    """Lips, lids, ears, light (as in the asset) of each vertex, shape (n, 4)."""
    rings: tuple[Indices, Indices, Indices]
    """Vertices around the openings of mouth, left and right eye."""
    lip_middles: tuple[int, int]
    """The vertices where upper and lower lip meet in the middle."""
    height: float
    """From chin to crown, without hair."""

    def windows(self, chosen: npt.NDArray[np.bool_]) -> tuple[Window, ...]:
        """Mouth and eyes, as openings before what is seen through them, for the ``chosen`` quads."""
        numbers = np.cumsum(chosen) - 1
        part = np.where(chosen, self.parts, -1)
        mouth = np.isin(
            part, [PARTS.index(name) for name in ("tongue", "upper_teeth", "lower_teeth", "cavity")]
        )
        behind = [mouth]
        for ball in self.eye_balls:
            first = self.quads[:, 0]
            behind.append((part == PARTS.index("eye")) & (first >= ball.start) & (first < ball.stop))
        return tuple(
            Window(ring, numbers[np.flatnonzero(own)]) for ring, own in zip(self.rings, behind, strict=True)
        )

    def still_quads(self) -> npt.NDArray[np.bool_]:
        """Which quads neither a shape nor the head's turning moves, shape (m,)."""
        moved = np.zeros(len(self.rest), np.bool_)
        moved[self.moving] = True
        moved |= self.turning[:, 0] > 0
        return np.asarray(~np.any(moved[self.quads], axis=1), dtype=np.bool_)


class _Builder:
    """Collects vertices and quads of the parts."""

    def __init__(self, asset: Asset, rest: Floats) -> None:
        self.places = [rest]
        self.canonical = [asset.rest]
        # What hardly turns stays where it is: it is drawn once and for all.
        self.turning = [np.asarray(np.clip((asset.turning - 0.04) / 0.96, 0, 1), dtype=np.float32)]
        self.count = len(rest)
        self.quads: list[npt.NDArray[np.intp]] = []
        self.uvs: list[Floats] = []
        self.parts: list[npt.NDArray[np.int32]] = []
        self.materials: list[npt.NDArray[np.int32]] = []
        self.layers: list[npt.NDArray[np.int32]] = []

    def vertices(self, places: Floats, turning: Floats | float = 1.0) -> slice:
        start, self.count = self.count, self.count + len(places)
        self.places.append(places.astype(np.float32))
        self.canonical.append(places.astype(np.float32))
        self.turning.append(np.broadcast_to(np.asarray(turning, np.float32), (len(places),)))
        return slice(start, self.count)

    def add(self, quads: Indices, uvs: Floats, part: str, material: str, layer: int | Indices) -> None:
        count = len(quads)
        self.quads.append(quads.astype(np.intp))
        self.uvs.append(uvs.astype(np.float32))
        self.parts.append(np.full(count, PARTS.index(part), np.int32))
        self.materials.append(np.full(count, MATERIALS.index(material), np.int32))
        self.layers.append(np.broadcast_to(np.asarray(layer, np.int32), (count,)).copy())


def grid_quads(rows: int, columns: int) -> Indices:
    """Quads of a grid of vertices (row by row), counterclockwise when rows go down and columns right."""
    index = np.arange(rows * columns).reshape(rows, columns)
    return np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=2).reshape(-1, 4)


def vertex_normals(places: Floats, quads: Indices) -> Floats:
    """Unit normals of the vertices, shape (n, 3): the mean of the quads around, by their area."""
    a, b, c, d = (places[quads[:, corner]] for corner in range(4))
    cross = np.cross(c - a, d - b)
    normals = np.empty_like(places)
    for axis in range(3):
        normals[:, axis] = np.bincount(quads.ravel(), np.repeat(cross[:, axis], 4), minlength=len(places))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return normals


def build_figure(look: HeadLook) -> Figure:
    """The person that ``look`` tells of (some 150 ms)."""
    asset = load_asset()
    cut = CUTS[look.hair]
    morphs = _morph_weights(look)
    body = asset.rest.copy()
    eyes = asset.eyes.copy()
    for name, weight in morphs.items():
        body += np.float32(weight) * asset.morphs[name]
        eyes += np.float32(weight) * asset.eye_morphs[name]
    for name, weight in FRIENDLY.items():
        where, moves = asset.shapes[ARKIT_INDEX[name]]
        body[where] += np.float32(weight) * moves
    tongue_vertices = np.unique(asset.quads[asset.charts == asset.chart_names.index("tongue")])
    # The mean mouth is a little too full of it.
    body[tongue_vertices] -= np.array([0, 0.02, 0.06], np.float32)
    bare_normals = vertex_normals(body, asset.quads)
    on_head = np.zeros(len(body), np.bool_)
    on_head[np.unique(asset.quads[asset.charts == asset.chart_names.index("head")])] = True
    hair = thickness(asset.rest, asset.ears, cut) * on_head
    body += bare_normals * hair[:, None]
    body[asset.hanging[:, 0]] = body[asset.hanging[:, 1:]].mean(1)
    builder = _Builder(asset, body)
    _add_body(builder, asset, covered_ears=cut.hang is not None)
    eye_local, eye_balls = _add_eyes(builder, eyes)
    teeth = _add_teeth(builder, asset, body)
    if cut.hang is not None:
        scalp = on_head & (asset.turning > 0.9) & (asset.ears < 0.1)
        _add_sheet(builder, hanging_hair(body[scalp], cut), BEFORE)
    if cut.bun:
        _add_sheet(builder, knot(), BEHIND)
    rest = np.concatenate(builder.places)
    quads = np.concatenate(builder.quads)
    normals = vertex_normals(rest, quads)
    moving, moves = _moves(asset, rest, quads, normals, teeth)
    attributes = np.zeros((len(rest), 4), np.float32)
    attributes[:, 3] = 1
    attributes[: len(body)] = np.stack([asset.lips, asset.lids, asset.ears, asset.light], 1)
    grown = np.zeros(len(rest), np.float32)
    grown[: len(body)] = hair
    return Figure(
        rest=rest,
        canonical=np.concatenate(builder.canonical),
        normals=normals,
        quads=quads,
        uvs=np.concatenate(builder.uvs),
        parts=np.concatenate(builder.parts),
        materials=np.concatenate(builder.materials),
        layers=np.concatenate(builder.layers),
        turning=np.concatenate(builder.turning)[:, None].astype(np.float32),
        moving=moving,
        moves=moves,
        eyes=eyes,
        eye_balls=eye_balls,
        eye_local=eye_local,
        lashes=asset.lashes,
        hair=grown,
        attributes=attributes,
        rings=_rings(asset),
        lip_middles=_lip_middles(asset),
        height=float(np.ptp(asset.rest[on_head & (asset.turning > 0.99)][:, 1])),
    )


def _rings(asset: Asset) -> tuple[Indices, Indices, Indices]:
    """Vertices around the openings: where skin meets the mouth's inside, and where it ends at the eyes."""
    head, cavity = (asset.charts == asset.chart_names.index(name) for name in ("head", "cavity"))
    mouth = np.intersect1d(asset.quads[head], asset.quads[cavity])
    sides = np.sort(
        np.stack([asset.quads[head], np.roll(asset.quads[head], -1, 1)], 2).reshape(-1, 2), axis=1
    )
    edges, counts = np.unique(sides, axis=0, return_counts=True)
    rim = np.unique(edges[counts == 1])
    eyes = []
    for eye in asset.eyes:
        near = np.linalg.norm(asset.rest[rim] - eye[:3], axis=1) < 1.6 * eye[3]
        eyes.append(rim[near])
    return mouth, eyes[0], eyes[1]


def _lip_middles(asset: Asset) -> tuple[int, int]:
    """The two vertices of the midline that are parted most by an open jaw, of those that touch at rest."""
    where, moves = asset.shapes[ARKIT_INDEX["jawOpen"]]
    drop = np.zeros(len(asset.rest), np.float32)
    drop[where] = -moves[:, 1]
    x, y, z = asset.rest.T
    # Where the lips meet the mean person's midline is 1.39 to 1.43 decimetres before the neck's joint.
    middle = np.flatnonzero((np.abs(x) < 0.01) & (np.abs(y - 0.725) < 0.03) & (z > 1.36) & (asset.lips > 0.2))
    upper, lower = middle[np.argmin(drop[middle])], middle[np.argmax(drop[middle])]
    return int(upper), int(lower)


def _morph_weights(look: HeadLook) -> dict[str, float]:
    return {
        "male": look.sex,
        "old": 0.8 * look.age,
        "african": look.african,
        "asian": look.asian,
        "caucasian": look.caucasian,
        "heavy": look.heavy,
        "oval": 0.25 - 0.45 * look.sex if look.sex < 0 else 0.25 * (1 - look.sex),
        "eyes": 1.5 - 0.5 * look.sex,
    }


HEAD_UV: Final = (0.612, 0.144, 0.388, 0.680)
"""The head in MakeHuman's texture: lowest u and v, and how far it goes in both."""
TORSO_BOX: Final = (-2.6, -2.0, 5.2, 2.9)
"""What the torso's texture shows from the front: lowest x and y, width and height, decimetres."""


def _add_body(builder: _Builder, asset: Asset, covered_ears: bool) -> None:
    chart = {name: asset.charts == index for index, name in enumerate(asset.chart_names)}
    quads, uv = asset.quads, asset.quad_uvs
    if covered_ears:
        chart["head"] &= asset.ears[quads].mean(1) < 0.6
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


def _add_eyes(builder: _Builder, eyes: Floats) -> tuple[Floats, tuple[slice, slice]]:
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
    return local.astype(np.float32), (balls[0], balls[1])


def eyeball(directions: Floats, eye: Floats) -> Floats:
    """Points of an eyeball (centre and radius, shape (4,)) in ``directions``, unit vectors, shape (n, 3).

    The mean person's lids stand off a round eyeball at the corners, so it is drawn flatter to both sides.
    """
    points = directions * eye[3] + eye[:3]
    points[:, 2] += _FLATTER * eye[3] * directions[:, 0] ** 2
    return np.asarray(points, dtype=np.float32)


def _add_teeth(builder: _Builder, asset: Asset, body: Floats) -> tuple[slice, slice]:
    """Two arches where the asset has its (plain) teeth."""
    quads = grid_quads(_TOOTH_ROWS, _TOOTH_COLUMNS)
    columns = np.linspace(-1, 1, _TOOTH_COLUMNS)
    turn = columns * math.radians(82)
    slices = []
    for row, (gum, edge, back) in enumerate(((0.965, 0.700, 0.030), (0.555, 0.745, 0.055))):
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


def _add_sheet(builder: _Builder, sheet: Sheet, layer: int) -> None:
    rows, columns = sheet.points.shape[:2]
    where = builder.vertices(sheet.points.reshape(-1, 3), sheet.turning.ravel())
    quads = grid_quads(rows, columns) + where.start
    uv = sheet.canonical_uv.reshape(-1, 2)[grid_quads(rows, columns)]
    centre = sheet.points.reshape(-1, 3).mean(0)
    a, _, c, _ = (sheet.points.reshape(-1, 3)[grid_quads(rows, columns)[:, k]] for k in range(4))
    outward = ((a + c) / 2 - centre)[:, [0, 2]]
    cross = np.cross(
        c - a,
        sheet.points.reshape(-1, 3)[grid_quads(rows, columns)[:, 3]]
        - sheet.points.reshape(-1, 3)[grid_quads(rows, columns)[:, 1]],
    )[:, [0, 2]]
    if (outward * cross).sum() < 0:
        quads, uv = quads[:, ::-1], uv[:, ::-1]
    builder.add(quads, uv, "sheet", "hair", layer)
    if layer == BEFORE:
        # Behind shoulders and back, which are drawn before, there is no inner side to be seen.
        above = sheet.points.reshape(-1, 3)[grid_quads(rows, columns)][:, :, 1].min(1) > _NAPE
        builder.add(quads[above, ::-1], uv[above, ::-1], "lining", "hair", BEHIND)


def _moves(
    asset: Asset, rest: Floats, quads: Indices, normals: Floats, teeth: tuple[slice, slice]
) -> tuple[Indices, Floats]:
    """Vertices that shapes move, and by how much, their normals too."""
    full = np.zeros((len(asset.shapes), len(rest), 3), np.float32)
    for number, (where, moves) in enumerate(asset.shapes):
        full[number, where] = moves
        for row, arch in enumerate(teeth):
            own = np.c_[asset.rest[asset.teeth[row]], np.ones(asset.teeth.shape[1])]
            if not np.any(full[number, asset.teeth[row]]):
                continue
            # The arch moves as a stiff body does: the affine map nearest to what the asset's teeth do.
            affine = np.linalg.lstsq(own, full[number, asset.teeth[row]], rcond=None)[0]
            full[number, arch] = np.c_[rest[arch], np.ones(arch.stop - arch.start)] @ affine
    moving = np.flatnonzero(np.abs(full).max((0, 2)) > 0)
    turned = np.empty((len(full), len(moving), 3), np.float32)
    for number, moves in enumerate(full):
        # Half of the shape: normals are not linear, and half is what is mostly shown.
        turned[number] = (vertex_normals(rest + 0.5 * moves, quads) - normals)[moving] * 2
    flat = np.concatenate([full[:, moving].reshape(52, -1), turned.reshape(52, -1)], axis=1)
    return moving, np.ascontiguousarray(flat, dtype=np.float32)
