from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from renderers.flame import FlameMesh, read_flame
from tests.support.flame import make_fields, slow_vertices, write_npz, write_pickle


def random_frame(seed: int, *, turn: float = 0.3, expressions: int = 50) -> MotionFrame:
    random = np.random.default_rng(seed)
    return MotionFrame.from_fields(
        {
            "translation": random.normal(size=3) * 0.02,
            "rotation": random.normal(size=3) * turn,
            "neck_pose": random.normal(size=3) * turn,
            "jaw_pose": random.normal(size=3) * turn,
            "eye_pose": random.normal(size=6) * turn,
            "expression": random.normal(size=expressions),
        }
    )


def turns_of(frame: MotionFrame) -> np.ndarray:
    return np.concatenate([frame.rotation, frame.neck_pose, frame.jaw_pose, frame.eye_pose]).reshape(5, 3)


def test_vertices_are_those_of_the_slow_way_at_flames_own_size(tmp_path: Path) -> None:
    fields = make_fields()
    mesh = FlameMesh(read_flame(write_pickle(tmp_path / "generic_model.pkl", fields)))
    frame = random_frame(1)
    fast = mesh.vertices(frame)
    assert fast.shape == (5023, 3)
    assert fast.dtype == np.float32
    slow = slow_vertices(fields, frame.expression, turns_of(frame), frame.translation)
    assert np.abs(fast - slow).max() < 1e-5
    # And the pose is no small one.
    assert np.abs(slow - fields["v_template"]).max() > 0.05


@pytest.mark.parametrize("turn", [0.0, 1e-9, 1e-4, 0.3, 3.0])
@pytest.mark.parametrize("expressions", [0, 1, 50, 100])
def test_any_pose_is_that_of_the_slow_way(tmp_path: Path, turn: float, expressions: int) -> None:
    fields = make_fields(2, vertices=80) | {"f": np.zeros((1, 3), np.uint32)}
    mesh = FlameMesh(read_flame(write_npz(tmp_path / "flame.npz", fields)))
    for seed in range(3):
        frame = random_frame(seed, turn=turn, expressions=expressions)
        slow = slow_vertices(fields, frame.expression, turns_of(frame), frame.translation)
        assert np.abs(mesh.vertices(frame) - slow).max() < 1e-5


def test_a_model_with_fewer_expressions_leaves_out_the_others(tmp_path: Path) -> None:
    fields = make_fields(3, vertices=80) | {"f": np.zeros((1, 3), np.uint32)}
    fields["shapedirs"] = fields["shapedirs"][:, :, :350]
    mesh = FlameMesh(read_flame(write_npz(tmp_path / "flame.npz", fields)))
    assert mesh.expression_count == 50
    long, short = random_frame(1, expressions=100), random_frame(1, expressions=100)
    short = MotionFrame(np.concatenate([short.values[:70], np.zeros(50)]))
    assert np.array_equal(mesh.vertices(long), mesh.vertices(short))


def test_each_result_belongs_to_the_caller(tmp_path: Path) -> None:
    fields = make_fields(2, vertices=80) | {"f": np.zeros((1, 3), np.uint32)}
    mesh = FlameMesh(read_flame(write_npz(tmp_path / "flame.npz", fields)))
    first = mesh.vertices(random_frame(1))
    kept = first.copy()
    mesh.vertices(random_frame(2))
    assert np.array_equal(first, kept)
