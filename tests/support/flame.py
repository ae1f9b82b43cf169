"""A made-up model file of FLAME's form and size, and its vertices worked out the slow way."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

VERTICES, TRIANGLES, COLUMNS = 5023, 9976, 400
PARENTS = (-1, 0, 1, 1, 1)

Fields = dict[str, npt.NDArray[Any]]


def make_fields(seed: int = 0, *, vertices: int = VERTICES) -> Fields:
    """The arrays of a model file, dense: a lumpy ball with random shapes, weights and joints."""
    random = np.random.default_rng(seed)
    direction = random.normal(size=(vertices, 3))
    template = 0.1 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    weights = random.random((vertices, 5)) ** 4
    regressor = np.zeros((5, vertices))
    for row in regressor:
        row[random.choice(vertices, 20, replace=False)] = random.random(20) + 0.1
    return {
        "v_template": template,
        "f": random.integers(0, vertices, (TRIANGLES, 3)).astype(np.uint32),
        "shapedirs": random.normal(size=(vertices, 3, COLUMNS)) * 2e-3,
        "posedirs": random.normal(size=(vertices, 3, 36)) * 1e-3,
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.int64),
    }


def write_npz(path: Path, fields: Fields) -> Path:
    np.savez(path, **fields)
    return path


def write_pickle(path: Path, fields: Fields, *, protocol: int = 2) -> Path:
    """As FLAME's makers write it: with arrays of chumpy's and a sparse matrix of scipy's, neither of which is
    installed here: classes of their names are made for as long as the file is written."""
    modules: dict[str, types.ModuleType] = {}

    def module(name: str) -> types.ModuleType:
        return modules.setdefault(name, types.ModuleType(name))

    def stub(module_name: str, name: str) -> Any:
        made = type(name, (), {"__module__": module_name})
        setattr(module(module_name), name, made)
        return made

    ch, csc = stub("chumpy.ch", "Ch"), stub("scipy.sparse.csc", "csc_matrix")
    for name in ("chumpy", "scipy", "scipy.sparse"):
        module(name)
    written: dict[str, Any] = dict(fields)
    for name in ("v_template", "shapedirs", "posedirs", "weights"):
        written[name] = ch()
        written[name].__dict__.update(x=fields[name], _dirty_vars=set(), _itr=None)
    dense = fields["J_regressor"]
    columns, rows = np.nonzero(dense.T)
    sparse = csc()
    sparse.__dict__.update(
        data=dense[rows, columns],
        indices=rows.astype(np.int32),
        indptr=np.searchsorted(columns, np.arange(dense.shape[1] + 1)).astype(np.int32),
        _shape=dense.shape,
        maxprint=50,
    )
    written["J_regressor"] = sparse
    written["bs_style"] = "lbs"
    kept = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        path.write_bytes(pickle.dumps(written, protocol))
    finally:
        for name, before in kept.items():
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
    return path


def rotation(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rodrigues' formula, as in the books."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: npt.NDArray[np.float64] = (
        np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    )
    return turned


def slow_vertices(
    fields: Fields, expression: npt.NDArray[Any], turns: npt.NDArray[Any], translation: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Linear blend skinning, vertex by vertex and joint by joint, in double precision."""
    template, shapes, corrections = fields["v_template"], fields["shapedirs"], fields["posedirs"]
    regressor, weights = fields["J_regressor"], fields["weights"]
    count = len(template)
    rotations = [rotation(np.asarray(turn, np.float64)) for turn in turns]
    feature = [float(element) for turned in rotations[1:] for element in (turned - np.eye(3)).ravel()]
    shaped = np.zeros((count, 3))
    for vertex in range(count):
        shaped[vertex] = template[vertex]
        for k, coefficient in enumerate(expression):
            if coefficient:
                shaped[vertex] += coefficient * shapes[vertex, :, 300 + k]
    joints = np.zeros((5, 3))
    for joint in range(5):
        for vertex in np.flatnonzero(regressor[joint]):
            joints[joint] += regressor[joint, vertex] * shaped[vertex]
    corrected = shaped.copy()
    for vertex in range(count):
        for k, value in enumerate(feature):
            corrected[vertex] += value * corrections[vertex, :, k]
    places: list[npt.NDArray[np.float64]] = []
    for joint, parent in enumerate(PARENTS):
        place = np.eye(4)
        place[:3, :3] = rotations[joint]
        place[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        places.append(place if parent < 0 else places[parent] @ place)
    result = np.zeros((count, 3))
    for vertex in range(count):
        for joint in range(5):
            from_joint = corrected[vertex] - joints[joint]
            there = places[joint] @ np.array([*from_joint, 1.0])
            result[vertex] += weights[vertex, joint] * there[:3]
        result[vertex] += translation
    return result
