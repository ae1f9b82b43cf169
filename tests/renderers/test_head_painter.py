"""The painter hides, shades and smooths as it should, on meshes of a few quads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from renderers.head.painter import Painter
from renderers.head.surface import Surface, Window
from renderers.head.touches import Glint, Stroke

SIDE = 64
RED, GREEN, BLUE, WHITE = range(4)
"""Squares of the texture, 16 texels each."""


def texture() -> npt.NDArray[np.uint8]:
    image = np.zeros((16, 64, 4), np.uint8)
    for number, color in enumerate(((0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255))):
        image[:, 16 * number : 16 * number + 16, :3] = color
    return image


def balls() -> npt.NDArray[np.uint8]:
    """Twice as bright for what faces up as for what faces down."""
    image = np.zeros((65, 65, 4), np.uint8)
    image[..., :3] = np.linspace(160, 80, 65)[:, None, None]
    return image


class Scene:
    """Squares in the picture."""

    def __init__(self) -> None:
        self.points: list[list[float]] = []
        self.normals: list[tuple[float, float, float]] = []
        self.colors: list[int] = []
        self.nearness: list[float] = []

    def add(
        self,
        box: tuple[float, float, float, float],
        color: int,
        distance: float = 5.0,
        normal: tuple[float, float, float] = (0.0, 0.0, 1.0),
        nearness: float = 0.0,
        behind: bool = False,
    ) -> None:
        left, top, right, bottom = box
        corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
        self.points += [[x, y, distance] for x, y in (corners[::-1] if behind else corners)]
        self.normals += [(normal[0], normal[1], -normal[2] if behind else normal[2])] * 4
        self.colors.append(color)
        self.nearness.append(nearness)

    def surface(self, windows: tuple[Window, ...] = ()) -> Surface:
        count = len(self.colors)
        uvs = np.array([[[16 * color + 8.0, 8.0]] * 4 for color in self.colors], np.float32)
        flags = np.ones(count, np.bool_)
        return Surface(
            quads=np.arange(4 * count).reshape(count, 4),
            uvs=uvs,
            balls=np.full((count, 2), 32.0, np.float32),
            nearness=np.array(self.nearness, np.float32),
            shiny=flags,
            lashed=flags,
            windows=windows,
        )

    def paint(
        self,
        background: int = 0,
        alpha: npt.NDArray[np.uint8] | None = None,
        windows: tuple[Window, ...] = (),
        glints: tuple[Glint, ...] = (),
        strokes: tuple[Stroke, ...] = (),
        emerging: Sequence[int] = (),
        emerged: bool = False,
        under: npt.NDArray[np.bool_] | None = None,
        solid: npt.NDArray[np.bool_] | None = None,
        walls: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.uint8]:
        surface = replace(
            self.surface(windows),
            emerging=np.array(emerging, np.intp),
            emerged=2000.0,
            under=under,
            walls=walls,
            beyond=-500.0,
        )
        painter = Painter((SIDE, SIDE), surface, texture(), balls(), 30.0, 1.0)
        image = np.full((SIDE, SIDE, 3), background, np.uint8)
        points, normals = np.array(self.points, np.float32), np.array(self.normals, np.float32)
        painter.paint(points, normals, image, alpha, glints, strokes, emerged=emerged, solid=solid)
        return image


def test_what_is_nearer_hides_what_is_behind_it() -> None:
    for near, far in ((RED, GREEN), (GREEN, RED)):
        scene = Scene()
        scene.add((10, 10, 40, 40), near, distance=4.0)
        scene.add((20, 20, 50, 50), far, distance=6.0)
        image = scene.paint()
        channel = {RED: 2, GREEN: 1}
        assert image[30, 30].argmax() == channel[near]
        assert image[45, 45].argmax() == channel[far]


def test_nearness_goes_before_distance() -> None:
    scene = Scene()
    scene.add((10, 10, 40, 40), RED, distance=4.0)
    scene.add((10, 10, 40, 40), BLUE, distance=6.0, nearness=1000.0)
    assert scene.paint()[25, 25].argmax() == 0


def test_what_is_seen_from_behind_is_not_drawn() -> None:
    scene = Scene()
    scene.add((10, 10, 40, 40), RED, behind=True)
    assert not scene.paint().any()


def test_light_comes_by_the_normal() -> None:
    scene = Scene()
    for number, up in enumerate((0.9, 0.0, -0.9)):
        scene.add((5 + 18 * number, 10, 20 + 18 * number, 50), WHITE, normal=(0.0, up, 0.4))
    image = scene.paint().astype(int)
    bright = [int(image[30, 12 + 18 * number, 1]) for number in range(3)]
    assert bright[0] >= 250 > bright[1] > bright[2] + 40


def test_edges_are_smooth_and_cover_what_they_say() -> None:
    scene = Scene()
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
    scene = Scene()
    scene.add((10.5, 10, 40, 40), RED)
    image = scene.paint(background).astype(int)
    assert abs(image[25, 10, 0] - (image[25, 25, 0] + background) / 2) < 4
    assert image[5, 5, 0] == background


def test_what_lies_outside_of_its_window_is_left_out() -> None:
    scene = Scene()
    scene.add((10, 10, 20, 20), RED)
    scene.add((40, 40, 50, 50), GREEN)
    ring = np.arange(0, 4)  # the corners of the first square
    image = scene.paint(windows=(Window(ring, np.array([0, 1])),))
    assert image[15, 15].any()
    assert not image[45, 45].any()


def test_a_wall_behind_all_that_a_window_shows_does_not_hide_it() -> None:
    for distance, seen in ((4.0, RED), (5.05, RED), (9.0, GREEN)):
        scene = Scene()
        scene.add((20, 20, 40, 40), RED, distance=distance, nearness=1000.0)
        scene.add((10, 10, 30, 50), GREEN, distance=5.0)
        # Beside the window it stays where it is.
        scene.add((44, 20, 54, 40), RED, distance=distance, nearness=1000.0)
        scene.add((44, 20, 60, 40), BLUE, distance=3.0)
        ring = np.arange(4, 8)  # the corners of the green one
        walls = np.array([True, False, True, False])
        image = scene.paint(windows=(Window(ring, np.array([1])),), walls=walls)
        assert image[30, 25].argmax() == {RED: 2, GREEN: 1}[seen]
        assert image[30, 50].argmax() == 2
        # Without walls nothing of that.
        assert scene.paint(windows=(Window(ring, np.array([1])),))[30, 25].argmax() == 2


def test_what_emerges_from_its_window_goes_before_the_rest() -> None:
    scene = Scene()
    scene.add((10, 10, 50, 30), RED, nearness=1000.0)
    scene.add((20, 20, 40, 45), GREEN, distance=6.0)
    window = Window(np.arange(0, 4), np.array([1]))
    # Beyond the window, and before it.
    scene.add((25, 50, 35, 60), GREEN)
    scene.points[4 + 1][1] = scene.points[4 + 2][1] = 45.0
    for emerged in (False, True):
        image = scene.paint(windows=(window,), emerging=(1,), emerged=emerged)
        assert image[25, 30].argmax() == (1 if emerged else 2)
    outside = Window(np.arange(0, 4), np.array([2]))
    assert not scene.paint(windows=(outside,), emerging=(2,))[55, 30].any()
    assert scene.paint(windows=(outside,), emerging=(2,), emerged=True)[55, 30].any()


def test_what_is_under_the_picture_is_seen_beside_what_is_solid_there() -> None:
    scene = Scene()
    scene.add((10, 10, 50, 50), RED)
    scene.add((10, 40, 50, 50), GREEN, distance=4.0)
    solid = np.zeros((SIDE, SIDE), np.bool_)
    solid[:, 30:] = True
    image = scene.paint(200, under=np.array([True, False]), solid=solid)
    assert image[20, 20].argmax() == 2
    assert (image[10:38, 31:49] == 200).all()
    assert image[45, 40].argmax() == 1


def test_a_twisted_quad_leaves_no_hole() -> None:
    scene = Scene()
    scene.add((10, 10, 40, 40), RED)
    scene.points[2] = [14.0, 16.0, 5.0]  # the corner at the bottom right, pulled in beyond the diagonal
    image = scene.paint()
    assert image[14, 14, 2] > 100
    assert image[13, 30, 2] > 100 or image[30, 13, 2] > 100


def test_sides_that_cross_cost_the_smaller_part_only() -> None:
    scene = Scene()
    scene.add((10, 10, 40, 40), WHITE)
    # Upwards, to the left, and down again, across the first side: they meet at about (21, 48).
    scene.points = [[20.0, 50.0, 5.0], [34.0, 10.0, 5.0], [12.0, 12.0, 5.0], [22.0, 51.0, 5.0]]
    image = scene.paint()
    assert (image[20, 17:29] > 100).all()
    assert (image[40, 20:23] > 100).all()


def test_what_faces_the_viewer_is_filled_even_if_it_is_seen_from_behind() -> None:
    scene = Scene()
    scene.add((10, 10, 40, 40), RED, behind=True)
    scene.normals = [(0.0, 0.0, 1.0)] * 4
    assert (scene.paint()[12:38, 12:38, 2] > 100).all()


def test_nothing_within_the_picture_is_nothing_drawn() -> None:
    scene = Scene()
    scene.add((-90, -90, -70, -70), RED)
    assert (scene.paint(7) == 7).all()
    far = Scene()
    far.add((-1000, -1000, 2000, 2000), GREEN)
    assert (far.paint()[:, :, 1] > 100).all()


def test_glints_and_strokes_stay_on_what_may_have_them() -> None:
    scene = Scene()
    scene.add((10, 10, 32, 54), BLUE)
    outline = np.array([[20.0, 40.0], [50.0, 40.0], [50.0, 44.0], [20.0, 44.0]])
    stroke = Stroke(outline, (0, 0, 200), 1.0)
    glint = Glint(30.0, 20.0, 4.0, 1.0)
    image = scene.paint(glints=(glint, Glint(500.0, -90.0, 3.0, 1.0)), strokes=(stroke,))
    assert image[20, 29].min() > 200
    assert not image[20, 36].any()
    assert tuple(image[42, 25]) == (0, 0, 200)
    assert not image[42, 40].any()
