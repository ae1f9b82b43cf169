"""What is shipped of the head is whole, and is said to be free."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from renderers.head.asset import ASSET_NAME, load_asset


def test_the_names_are_arkits_52() -> None:
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52
    assert list(ARKIT_NAMES) == sorted(ARKIT_NAMES)
    assert all(ARKIT_NAMES[index] == name for name, index in ARKIT_INDEX.items())


def test_all_numbers_are_finite_and_all_indices_exist() -> None:
    asset = load_asset()
    count = len(asset.rest)
    assert 4000 < count < 7000
    assert 4000 < len(asset.quads) < 7000
    assert asset.quad_uvs.shape == (len(asset.quads), 4, 2)
    assert asset.charts.max() < len(asset.chart_names)
    for array in (asset.rest, asset.quad_uvs, asset.eyes, asset.light, *asset.morphs.values()):
        assert np.isfinite(array).all()
    for indices in (asset.quads, asset.lashes, asset.teeth, asset.hanging):
        assert indices.min() >= 0
        assert indices.max() < count
    for mask in (asset.lips, asset.lids, asset.ears, asset.light, asset.turning):
        assert mask.shape == (count,)
        assert mask.min() >= 0
        assert mask.max() <= 1
    assert {"male", "old", "african", "asian", "caucasian", "heavy"} <= set(asset.morphs)
    # A head is some 22 cm high; the eyes are its middle, 5 to 7 cm apart.
    assert 20 < 10 * (asset.rest[:, 1].max() - 0.3) < 24
    assert 0.5 < asset.eyes[0, 0] - asset.eyes[1, 0] < 0.7


def test_every_shape_moves_something_where_it_should() -> None:
    asset = load_asset()
    assert len(asset.shapes) == 52
    moved = {}
    for name, (where, moves) in zip(ARKIT_NAMES, asset.shapes, strict=True):
        assert len(where) == len(np.unique(where)) == len(moves) > 0
        assert np.isfinite(moves).all()
        weight = np.abs(moves).sum(1, keepdims=True)
        moved[name] = (asset.rest[where] * weight).sum(0) / weight.sum()
    # The subject's left is +x; the left shape is the right one's mirror image.
    for name in ARKIT_NAMES:
        if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
            assert moved[name][0] > 0.02, name
            assert moved[name.removesuffix("Left") + "Right"][0] < -0.02, name
    assert moved["browInnerUp"][1] > moved["eyeBlinkLeft"][1] > moved["mouthSmileLeft"][1]
    _, jaw = asset.shapes[ARKIT_INDEX["jawOpen"]]
    assert jaw[:, 1].min() < -0.2  # decimetres, down


def test_the_mesh_is_closed_but_for_eyes_and_the_bottom() -> None:
    asset = load_asset()
    head = asset.quads[
        np.isin(asset.charts, [asset.chart_names.index(n) for n in ("head", "torso", "cavity")])
    ]
    edges = np.sort(np.stack([head, np.roll(head, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    pairs, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 2
    hanging = set(asset.hanging.ravel().tolist())
    for edge in pairs[counts == 1]:
        place = asset.rest[edge].mean(0)
        near_eye = min(np.linalg.norm(place - eye[:3]) for eye in asset.eyes) < 0.35
        below = place[1] < -0.4 or abs(place[0]) > 1.3 or place[2] < -0.1
        assert near_eye or below or set(edge.tolist()) & hanging, place


def test_it_is_small_and_its_notice_says_whose_it_was() -> None:
    assets = resources.files("renderers").joinpath("assets")
    with resources.as_file(assets.joinpath(ASSET_NAME)) as path:
        assert path.stat().st_size < 320_000
    notice = assets.joinpath("NOTICE.txt").read_text(encoding="utf-8")
    for words in ("CC0", "MakeHuman", "Mika Suominen", "tools/build_head.py"):
        assert words in notice
    assert Path(__file__).parents[2].joinpath("tools", "build_head.py").exists()
