"""From a look to geometry: the person's mesh with hair, eyeballs and teeth, and how all of it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers.head.assemble import (
    BEFORE,
    BEHIND,
    PARTS,
    Builder,
    add_body,
    add_eyes,
    add_sheet,
    add_teeth,
)
from renderers.head.asset import Asset, Floats, Indices, load_asset
from renderers.head.hair_shape import AXIS_Z, CUTS, hanging_hair, knot, thickness
from renderers.head.looks import HeadLook
from renderers.head.surface import Window

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

_TONGUE_TIP: Final = (0.0, -0.09, 0.24)
"""Decimetres by which the tongue's tip comes out further than in the asset."""


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
    under: npt.NDArray[np.bool_]
    """Which quads are behind the shoulders, though these do not move and they do, shape (m,)."""
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
    upper_lip: npt.NDArray[np.bool_]
    """Which vertices are of the upper lip, shape (n,)."""
    around_eyes: npt.NDArray[np.bool_]
    """Which vertices are of eyeballs, lids and what is around them, shape (n,)."""
    rings: tuple[Indices, Indices, Indices]
    """Vertices around the openings of mouth, left and right eye."""
    lip_middles: tuple[int, int]
    """The vertices where upper and lower lip meet in the middle."""
    height: float
    """From chin to crown, without hair."""

    def windows(self, quads: Indices, origin: Indices) -> tuple[Window, ...]:
        """Mouth and eyes, as openings before what is seen through them.

        Args:
            quads: Those that are drawn, shape (k, 4).
            origin: The index of the figure's quad that each is, or is joined of.
        """
        part = self.parts[origin]
        mouth = [PARTS.index(name) for name in ("tongue", "upper_teeth", "lower_teeth", "cavity")]
        behind = [np.isin(part, mouth)]
        for ball in self.eye_balls:
            own = (quads[:, 0] >= ball.start) & (quads[:, 0] < ball.stop)
            behind.append(own & (part == PARTS.index("eye")))
        return tuple(Window(ring, np.flatnonzero(own)) for ring, own in zip(self.rings, behind, strict=True))

    def full_moves(self) -> Floats:
        """What each shape adds to each vertex, shape (52, n, 3)."""
        full = np.zeros((len(self.moves), len(self.rest), 3), np.float32)
        full[:, self.moving] = self.moves[:, : 3 * len(self.moving)].reshape(len(full), -1, 3)
        return full

    @property
    def hidden(self) -> npt.NDArray[np.bool_]:
        """Which vertices are within the mouth, where the mesh may be coarse, shape (n,)."""
        inside = self.parts == PARTS.index("cavity")
        hidden = np.zeros(len(self.rest), np.bool_)
        hidden[self.quads[inside]] = True
        hidden[self.quads[~inside]] = False
        return hidden

    def still_quads(self) -> npt.NDArray[np.bool_]:
        """Which quads neither a shape nor the head's turning moves, shape (m,)."""
        moved = np.zeros(len(self.rest), np.bool_)
        moved[self.moving] = True
        moved |= self.turning[:, 0] > 0
        return np.asarray(~np.any(moved[self.quads], axis=1), dtype=np.bool_)


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
    body += _outwards(body, bare_normals) * hair[:, None]
    body[asset.hanging[:, 0]] = body[asset.hanging[:, 1:]].mean(1)
    builder = Builder(asset, body)
    add_body(builder, asset, covered_ears=cut.hang is not None)
    eye_local, eye_balls = add_eyes(builder, eyes)
    teeth = add_teeth(builder, asset, body)
    if cut.hang is not None:
        scalp = on_head & (asset.turning > 0.9) & (asset.ears < 0.1)
        add_sheet(builder, hanging_hair(body[scalp], cut), BEFORE)
    if cut.bun:
        add_sheet(builder, knot(), BEHIND)
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
        under=np.concatenate(builder.under),
        turning=np.concatenate(builder.turning)[:, None].astype(np.float32),
        moving=moving,
        moves=moves,
        eyes=eyes,
        eye_balls=eye_balls,
        eye_local=eye_local,
        lashes=asset.lashes,
        hair=grown,
        attributes=attributes,
        upper_lip=_padded(_upper_lip(asset), len(rest)),
        around_eyes=_around_eyes(np.concatenate(builder.canonical), asset),
        rings=_rings(asset),
        lip_middles=_lip_middles(asset),
        height=float(np.ptp(asset.rest[on_head & (asset.turning > 0.99)][:, 1])),
    )


def _outwards(body: Floats, normals: Floats) -> Floats:
    """Which way hair stands off: from the skin and from the middle of the head, so that it never folds."""
    away = body - np.array([0.0, 1.55, AXIS_Z], np.float32)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    way = normals + 1.3 * away
    return np.asarray(way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6))


def _padded(mask: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.bool_]:
    return np.asarray(np.pad(mask, (0, count - len(mask))), dtype=np.bool_)


def _upper_lip(asset: Asset) -> npt.NDArray[np.bool_]:
    """Vertices of the asset that are of a lip, and that stay when the jaw opens."""
    where, moves = asset.shapes[ARKIT_INDEX["jawOpen"]]
    drop = np.zeros(len(asset.rest), np.float32)
    drop[where] = -moves[:, 1]
    return np.asarray((asset.lips > 0.05) & (drop < 0.06), dtype=np.bool_)


def _around_eyes(canonical: Floats, asset: Asset) -> npt.NDArray[np.bool_]:
    away = np.min([np.linalg.norm(canonical - eye[:3], axis=1) for eye in asset.eyes], axis=0)
    return np.asarray((away < 2.2 * asset.eyes[0, 3]) & (canonical[:, 2] > 1.0), dtype=np.bool_)


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


def _further_out(asset: Asset) -> Floats:
    """What the asset's tongue lacks, which ends at the lips when it is out: shape (n, 3)."""
    more = np.zeros_like(asset.rest)
    tongue = np.unique(asset.quads[asset.charts == asset.chart_names.index("tongue")])
    depth = asset.rest[tongue, 2]
    forward = np.clip((depth - depth.min()) / np.ptp(depth), 0, 1)[:, None] ** 2
    more[tongue] = forward * np.array(_TONGUE_TIP, np.float32)
    return more


def _moves(
    asset: Asset, rest: Floats, quads: Indices, normals: Floats, teeth: tuple[slice, slice]
) -> tuple[Indices, Floats]:
    """Vertices that shapes move, and by how much, their normals too."""
    full = np.zeros((len(asset.shapes), len(rest), 3), np.float32)
    for number, (where, moves) in enumerate(asset.shapes):
        full[number, where] = moves
        if number == ARKIT_INDEX["tongueOut"]:
            full[number, : len(asset.rest)] += _further_out(asset)
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
