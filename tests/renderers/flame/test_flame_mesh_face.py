from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import FRAME_SIZE, MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers.face import Face, Image, make_face
from renderers.flame import FlameMeshFace, read_flame
from tests.support.flame import Fields, make_fields, write_npz
from tests.support.golden import alike

GOLDEN = Path(__file__).parents[1] / "golden" / "flame_mesh.png"


def ball() -> Fields:
    """A ball with a triangle mesh, counterclockwise from outside, that hangs on the root alone."""
    rows, columns = 18, 36
    up = np.linspace(0.02, np.pi - 0.02, rows)
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    y, angle = np.meshgrid(np.cos(up), around, indexing="ij")
    radius = np.sqrt(1 - y**2)
    points = 0.1 * np.stack([radius * np.sin(angle), y, radius * np.cos(angle)], axis=-1).reshape(-1, 3)
    index = np.arange(rows * columns).reshape(rows, columns)
    right, below = np.roll(index, -1, axis=1)[:-1], index[1:]
    both = np.roll(index, -1, axis=1)[1:]
    here = index[:-1]
    faces = np.concatenate(
        [np.stack([here, below, both], -1).reshape(-1, 3), np.stack([here, both, right], -1).reshape(-1, 3)]
    )
    fields = make_fields(vertices=len(points))
    weights = np.zeros((len(points), 5))
    weights[:, 0] = 1
    return fields | {
        "v_template": points,
        "f": faces.astype(np.uint32),
        "weights": weights,
        "posedirs": 0 * fields["posedirs"],
        "shapedirs": np.repeat(np.eye(1, 400, 300)[None] * 0.03, len(points), axis=0) * [[[1], [0], [0]]],
        "J_regressor": np.full((5, len(points)), 1 / len(points)),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_npz(tmp_path_factory.mktemp("flame") / "ball.npz", ball())


def draw(model: Path, **fields: list[float]) -> Image:
    face = FlameMeshFace(read_flame(model), (160, 120))
    return face.render(Pose(0.0, PoseKind.RECEIVED, MotionFrame.from_fields(fields)))


def seen(image: Image) -> np.ndarray:
    """Where the mesh is."""
    return np.abs(image.astype(int) - image[0, 0]).max(axis=2) > 12


def golden(model: Path) -> Image:
    """The made-up model, turned and its one expression put on."""
    return draw(model, rotation=[0.1, 0.5, 0.2], expression=[0.8])


def test_the_mesh_looks_as_it_was_looked_at(model: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    expected = cv2.imread(str(GOLDEN))
    middle = (slice(40, 80), slice(60, 100))
    assert alike(golden(model), expected, [middle])
    assert not alike(draw(model), expected)


def test_a_mesh_is_drawn_in_the_middle_and_lit_from_the_upper_left(model: Path) -> None:
    image = draw(model)
    assert image.shape == (120, 160, 3)
    rows, columns = np.nonzero(seen(image))
    assert columns.mean() == pytest.approx(79.5, abs=1)
    assert rows.mean() == pytest.approx(59.5, abs=1)
    assert 80 < np.ptp(rows) < 100
    upper_left, lower_right = image[40, 60].mean(), image[80, 100].mean()
    assert upper_left > lower_right + 40


def test_translation_and_expression_move_it(model: Path) -> None:
    middle = np.nonzero(seen(draw(model)))[1].mean()
    for fields in ({"translation": [0.03, 0, 0]}, {"expression": [1.0]}):
        assert np.nonzero(seen(draw(model, **fields)))[1].mean() > middle + 5
    nearer = seen(draw(model, translation=[0, 0, 0.1])).sum()
    assert nearer > 1.3 * seen(draw(model)).sum()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, -1e30])
def test_any_numbers_are_drawn_somehow(model: Path, value: float) -> None:
    face = FlameMeshFace(read_flame(model), (64, 64))
    with np.errstate(all="ignore"):
        image = face.render(Pose(0.0, PoseKind.IDLE, MotionFrame(np.full(FRAME_SIZE, value, np.float32))))
    assert image.shape == (64, 64, 3)


def test_it_is_a_face_by_name_with_its_file(model: Path) -> None:
    face = make_face(f"flame-mesh:{model}", (64, 48))
    assert isinstance(face, FlameMeshFace)
    assert isinstance(face, Face)
    assert face.size == (64, 48)
    with pytest.raises(ConfigurationError, match="flame-mesh:FILE"):
        make_face("flame-mesh")


def main() -> None:
    """Draw the golden picture anew: ``PYTHONPATH=. python tests/renderers/flame/test_flame_mesh_face.py``."""
    import tempfile

    import cv2

    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(str(GOLDEN), golden(write_npz(Path(folder) / "ball.npz", ball())))


if __name__ == "__main__":
    main()
