from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from renderers.canvas import Backend, Canvas, make_canvas, stroke

BLACK = np.zeros((60, 80, 3), np.uint8)
WHITE = (255, 255, 255)


@pytest.fixture(params=["opencv", "pillow"])
def canvas(request: pytest.FixtureRequest) -> Canvas:
    backend: Backend = request.param
    canvas = make_canvas(backend)
    canvas.begin(BLACK)
    return canvas


def covered(canvas: Canvas) -> float:
    """Area in pixels that is white."""
    return float(canvas.image()[..., 0].sum(dtype=np.int64)) / 255


def test_a_polygon_covers_its_area_and_has_soft_edges(canvas: Canvas) -> None:
    canvas.polygon(np.array([(10.0, 10.0), (50.0, 20.0), (20.0, 50.0)]), WHITE)
    assert covered(canvas) == pytest.approx(750, rel=0.08)
    levels = np.unique(canvas.image())
    assert len(levels) > 3


def test_colours_are_blue_green_red(canvas: Canvas) -> None:
    canvas.polygon(np.array([(0.0, 0.0), (80.0, 0.0), (80.0, 60.0), (0.0, 60.0)]), (10, 20, 30))
    assert canvas.image()[30, 40].tolist() == [10, 20, 30]


def test_a_polygon_follows_parts_of_a_pixel(canvas: Canvas) -> None:
    square = np.array([(10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0)])
    canvas.polygon(square, WHITE)
    x = np.arange(80)
    first = canvas.image()[20, :, 0].astype(float)
    canvas.begin(BLACK)
    canvas.polygon(square + np.array([0.5, 0.0]), WHITE)
    second = canvas.image()[20, :, 0].astype(float)
    moved = (second @ x) / second.sum() - (first @ x) / first.sum()
    assert moved == pytest.approx(0.5, abs=0.2)


def test_an_ellipse_covers_its_area(canvas: Canvas) -> None:
    canvas.ellipse((40.0, 30.0), (20.0, 10.0), WHITE)
    assert covered(canvas) == pytest.approx(np.pi * 200, rel=0.08)


def test_a_line_has_its_width(canvas: Canvas) -> None:
    canvas.polyline(np.array([(10.0, 30.0), (40.0, 30.0), (70.0, 30.0)]), WHITE, 6.0)
    assert canvas.image()[:, 40, 0].sum() / 255 == pytest.approx(6, abs=1.0)


def test_a_brush_stroke_tapers(canvas: Canvas) -> None:
    canvas.polyline(np.array([(10.0, 30.0), (40.0, 30.0), (70.0, 30.0)]), WHITE, np.array([2.0, 6.0, 12.0]))
    image = canvas.image()[..., 0]
    assert image[:, 15].sum() < image[:, 40].sum() < image[:, 65].sum()


def test_a_glow_is_strongest_in_the_middle_and_fades_to_nothing(canvas: Canvas) -> None:
    canvas.glow((40.0, 30.0), (20.0, 15.0), WHITE, 0.5)
    row = canvas.image()[30, :, 0].astype(int)
    assert row[40] == pytest.approx(127, abs=4)
    assert np.all(np.diff(row[40:61]) <= 0)
    assert row[61:].max() == 0


def test_a_glow_can_darken(canvas: Canvas) -> None:
    canvas.begin(np.full((60, 80, 3), 200, np.uint8))
    canvas.glow((40.0, 30.0), (20.0, 15.0), (0, 100, 255), 1.0)
    assert canvas.image()[30, 40].astype(int) == pytest.approx([0, 100, 255], abs=4)


def test_what_lies_outside_is_cut_off(canvas: Canvas) -> None:
    canvas.glow((-5.0, -5.0), (10.0, 10.0), WHITE, 1.0)
    canvas.glow((500.0, -500.0), (10.0, 10.0), WHITE, 1.0)
    canvas.polygon(np.array([(-1e9, -1e9), (1e9, -1e9), (1e9, 1e9)]), WHITE)
    canvas.ellipse((1e12, 0.0), (1e6, 1e6), WHITE)
    canvas.polyline(np.array([(0.0, 0.0), (0.0, 0.0), (1e12, 1e12)]), WHITE, 1e6)
    assert canvas.image().shape == (60, 80, 3)


def test_each_picture_starts_with_the_background_and_belongs_to_the_caller(canvas: Canvas) -> None:
    canvas.ellipse((40.0, 30.0), (20.0, 10.0), WHITE)
    first = canvas.image()
    kept = first.copy()
    canvas.begin(BLACK)
    assert canvas.image().max() == 0
    assert np.array_equal(first, kept)
    first[:] = 7
    canvas.begin(BLACK)
    assert canvas.image().max() == 0
    assert BLACK.max() == 0


def test_a_stroke_goes_around_its_path() -> None:
    outline = stroke(np.array([(0.0, 0.0), (10.0, 0.0)]), 2.0)
    assert outline[:, 0].min() == pytest.approx(-1, abs=0.1)
    assert outline[:, 0].max() == pytest.approx(11, abs=0.1)
    assert np.abs(outline[:, 1]).max() == pytest.approx(1)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="opencv and pillow"):
        make_canvas("crayon")  # type: ignore[arg-type]
