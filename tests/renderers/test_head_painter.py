"""The painter shades and smooths as it should, on meshes of a few quads."""

from __future__ import annotations

import numpy as np
import pytest

from renderers.head.touches import Glint, Stroke
from tests.support.squares import BLUE, GREEN, RED, SIDE, WHITE, Squares


def test_light_comes_by_the_normal() -> None:
    scene = Squares()
    for number, up in enumerate((0.9, 0.0, -0.9)):
        scene.add((5 + 18 * number, 10, 20 + 18 * number, 50), WHITE, normal=(0.0, up, 0.4))
    image = scene.paint().astype(int)
    bright = [int(image[30, 12 + 18 * number, 1]) for number in range(3)]
    assert bright[0] >= 250 > bright[1] > bright[2] + 40


def test_edges_are_smooth_and_cover_what_they_say() -> None:
    scene = Squares()
    scene.add((10.5, 10, 40, 40.25), WHITE)
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    image = scene.paint(alpha=alpha)
    full = int(image[25, 25, 0])
    assert abs(int(image[25, 10, 0]) - full / 2) < 4  # half of this column is covered
    assert abs(int(alpha[25, 10]) - 128) < 4
    assert alpha[25, 25] == 255
    assert alpha[25, 9] == alpha[9, 25] == 0
    # The sum is the area, to a row of cells.
    assert abs(alpha.sum() / 255 - 29.5 * 30.25) < 30


@pytest.mark.parametrize("background", [0, 100, 255])
def test_edges_mix_with_what_was_there(background: int) -> None:
    scene = Squares()
    scene.add((10.5, 10, 40, 40), RED)
    image = scene.paint(background).astype(int)
    assert abs(image[25, 10, 0] - (image[25, 25, 0] + background) / 2) < 4
    assert image[5, 5, 0] == background


def test_what_is_under_the_picture_is_seen_beside_what_is_solid_there() -> None:
    scene = Squares()
    scene.add((10, 10, 50, 50), RED)
    scene.add((10, 40, 50, 50), GREEN, distance=4.0)
    solid = np.zeros((SIDE, SIDE), np.bool_)
    solid[:, 30:] = True
    image = scene.paint(200, under=np.array([True, False]), solid=solid)
    assert image[20, 20].argmax() == 2
    assert (image[10:38, 31:49] == 200).all()
    assert image[45, 40].argmax() == 1


def test_a_twisted_quad_leaves_no_hole() -> None:
    scene = Squares()
    scene.add((10, 10, 40, 40), RED)
    scene.points[2] = [14.0, 16.0, 5.0]  # the corner at the bottom right, pulled in beyond the diagonal
    image = scene.paint()
    assert image[14, 14, 2] > 100
    assert image[13, 30, 2] > 100 or image[30, 13, 2] > 100


def test_sides_that_cross_cost_the_smaller_part_only() -> None:
    scene = Squares()
    scene.add((10, 10, 40, 40), WHITE)
    # Upwards, to the left, and down again, across the first side: they meet at about (21, 48).
    scene.points = [[20.0, 50.0, 5.0], [34.0, 10.0, 5.0], [12.0, 12.0, 5.0], [22.0, 51.0, 5.0]]
    image = scene.paint()
    assert (image[20, 17:29] > 100).all()
    assert (image[40, 20:23] > 100).all()


def test_nothing_within_the_picture_is_nothing_drawn() -> None:
    scene = Squares()
    scene.add((-90, -90, -70, -70), RED)
    assert (scene.paint(7) == 7).all()
    far = Squares()
    far.add((-1000, -1000, 2000, 2000), GREEN)
    assert (far.paint()[:, :, 1] > 100).all()


def test_glints_and_strokes_stay_on_what_may_have_them() -> None:
    scene = Squares()
    scene.add((10, 10, 32, 54), BLUE)
    outline = np.array([[20.0, 40.0], [50.0, 40.0], [50.0, 44.0], [20.0, 44.0]])
    stroke = Stroke(outline, (0, 0, 200), 1.0)
    glint = Glint(30.0, 20.0, 4.0, 1.0)
    image = scene.paint(glints=(glint, Glint(500.0, -90.0, 3.0, 1.0)), strokes=(stroke,))
    assert image[20, 29].min() > 200
    assert not image[20, 36].any()
    assert tuple(image[42, 25]) == (0, 0, 200)
    assert not image[42, 40].any()
