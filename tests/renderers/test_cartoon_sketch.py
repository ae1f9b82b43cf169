from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.face import frame_pose
from avatarkit_rtc.motion.frame import MotionFrame
from renderers.canvas import make_canvas, stroke
from renderers.cartoon_rig import features
from renderers.cartoon_shapes import FACE, Projection, rows
from renderers.cartoon_sketch import Sketch, outlined


def turned(size: tuple[int, int] = (512, 512)) -> Projection:
    frame = MotionFrame.from_fields({"rotation": [0.2, -0.3, 0.15], "translation": [0.03, 0.02, 0.1]})
    return Projection(features(frame_pose(frame)), size)


def test_strokes_outlined_together_are_those_outlined_alone() -> None:
    random = np.random.default_rng(3)
    paths = [random.uniform(0, 100, (count, 2)) for count in (2, 9, 3, 25)]
    widths = [random.uniform(1, 9, len(path)) for path in paths]
    together = outlined(paths, np.concatenate(widths))
    for outline, path, width in zip(together, paths, widths, strict=True):
        assert outline == pytest.approx(stroke(path, width))


@pytest.mark.parametrize("silhouette", [0.0, 0.4, 1.0])
def test_rows_are_projected_as_the_points_they_are_of(silhouette: float) -> None:
    to = turned()
    assert to.rows(rows(FACE, silhouette)) == pytest.approx(to.head(FACE, silhouette))
    moved = to.head(FACE + np.array([4.0, -9.0, 0.0]), silhouette) - to.head(FACE, silhouette)
    assert moved == pytest.approx(np.tile(to.turned(4.0, -9.0, silhouette), (len(FACE), 1)))


@pytest.mark.parametrize("backend", ["opencv", "pillow"])
def test_shapes_and_glows_are_painted_in_the_order_they_were_sketched(backend: str) -> None:
    canvas = make_canvas(backend)  # type: ignore[arg-type]
    canvas.begin(np.zeros((64, 64, 3), np.uint8))
    square = np.array([(0.0, 0.0), (64.0, 0.0), (64.0, 64.0), (0.0, 64.0)])
    sketch = Sketch(turned((64, 64)))
    sketch.glow(np.array([[16.0, 16.0]]), (9.0, 9.0), (0, 0, 255), 1.0)
    sketch.fill(square, (90, 90, 90))
    sketch.glow(np.array([[48.0, 48.0]]), (9.0, 9.0), (255, 0, 0), 1.0)
    sketch.stroke(np.array([(0.0, 32.0), (64.0, 32.0)]), (0, 255, 0), 6.0)
    sketch.paint(canvas)
    image = canvas.image().astype(int)
    assert image[16, 16] == pytest.approx([90, 90, 90], abs=2), "the first glow lies under the square"
    assert image[48, 48] == pytest.approx([255, 0, 0], abs=12)
    assert image[32, 32] == pytest.approx([0, 255, 0], abs=2)
