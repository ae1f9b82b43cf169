"""A model file of FLAME's form whose face is known: the default head, as another person with other
vertices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES
from renderers.head.asset import load_asset
from tests.support.flame import PARENTS, Fields

MEANT: tuple[str, ...] = (
    "mouthSmileLeft+mouthSmileRight",
    "mouthPucker",
    "mouthFunnel",
    "browInnerUp",
    "browDownLeft+browDownRight",
    "mouthLowerDownLeft+mouthLowerDownRight",
    "mouthUpperUpLeft+mouthUpperUpRight",
    "mouthStretchLeft+mouthStretchRight",
    "jawOpen",
    "mouthLeft",
)
"""What the first expressions are, at 2.5 each; those after them are mixtures."""

STRENGTH = 2.5

_Floats = npt.NDArray[np.float64]


def head_as_flame(seed: int = 0) -> tuple[Fields, _Floats]:
    """The arrays of a model file, and what each of its 100 expressions is, at 1, in ARKit's coefficients,
    shape (100, 52)."""
    asset, random = load_asset(), np.random.default_rng(seed)
    quads = asset.quads[asset.charts == asset.chart_names.index("head")]
    dense = np.zeros((len(ARKIT_NAMES), *asset.rest.shape))
    for row, (where, moves) in enumerate(asset.shapes):
        dense[row, where] = moves
    # Other vertices: the middles of the quads, and some of the corners.
    corners = np.unique(quads)
    corners = corners[random.random(len(corners)) < 0.4]

    def taken(values: npt.NDArray[np.floating]) -> _Floats:
        return np.concatenate([values[quads].mean(axis=1), values[corners]]).astype(np.float64)

    points = taken(asset.rest)
    shapes = np.stack([taken(each) for each in dense], axis=-1)
    meaning = np.zeros((100, len(ARKIT_NAMES)))
    for row, names in enumerate(MEANT):
        for name in names.split("+"):
            meaning[row, ARKIT_NAMES.index(name)] = 1 / STRENGTH
    moved = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("mouth", "brow", "cheek", "nose"))]
    meaning[len(MEANT) :, moved] = random.normal(size=(100 - len(MEANT), len(moved))) * 0.05
    # Another person: longer, with a lower mouth; and metres, elsewhere.
    eyes = asset.eyes[:, :3].astype(np.float64)
    balls = random.normal(size=(2, 300, 3))
    balls = asset.eyes[:, None, 3:] * balls / np.linalg.norm(balls, axis=2, keepdims=True) + eyes[:, None]
    joints = np.array([[0.0, -0.5, 0.0], [0.0, 0.0, 0.0], [0.0, eyes[0, 1] - 0.5, 0.45], *eyes])
    places = np.concatenate([points, *balls, joints])
    places[:, 1] += 0.06 * (places[:, 1] - eyes[0, 1])
    mouth = np.exp(-np.square(places - [0, eyes[0, 1] - 0.7, 1.3]).sum(axis=1) / 0.25)
    places[:, 1] -= 0.05 * mouth
    template = 0.1 * places * 1.07 + [0.001, -0.02, 0.03]
    n = len(template)
    expressions = np.zeros((n, 3, 100))
    expressions[: len(points)] = 0.107 * shapes @ meaning.T
    jaw = np.zeros(n)
    # How far the shape turns each place about the hinge: jawOpen is a turn of 0.43 rad.
    arms = np.linalg.norm((points - joints[2])[:, 1:], axis=1)
    jaw[: len(points)] = np.linalg.norm(shapes[:, :, ARKIT_NAMES.index("jawOpen")], axis=1) / (0.43 * arms)
    jaw = np.clip(jaw, 0, 1)
    weights = np.zeros((n, 5))
    weights[:, 2], weights[:, 1] = jaw, 1 - jaw
    for eye in (0, 1):
        begin = len(points) + 300 * eye
        weights[begin : begin + 300] = np.eye(5)[3 + eye]
    regressor = np.zeros((5, n))
    regressor[np.arange(5), np.arange(n - 5, n)] = 1.0
    fields: Fields = {
        "v_template": template,
        "f": np.concatenate([[[0, 1, 2]], random.integers(0, n, (100, 3))]).astype(np.uint32),
        "shapedirs": np.concatenate([np.zeros((n, 3, 300)), expressions], axis=2),
        "posedirs": np.zeros((n, 3, 36)),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(5)], np.int64),
    }
    return fields, meaning
