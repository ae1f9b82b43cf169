"""What hides what: by distance, by nearness, and through windows."""

from __future__ import annotations

import numpy as np

from renderers.head.surface import Window
from tests.support.squares import BLUE, GREEN, RED, Squares


def test_what_is_nearer_hides_what_is_behind_it() -> None:
    for near, far in ((RED, GREEN), (GREEN, RED)):
        scene = Squares()
        scene.add((10, 10, 40, 40), near, distance=4.0)
        scene.add((20, 20, 50, 50), far, distance=6.0)
        image = scene.paint()
        channel = {RED: 2, GREEN: 1}
        assert image[30, 30].argmax() == channel[near]
        assert image[45, 45].argmax() == channel[far]


def test_nearness_goes_before_distance() -> None:
    scene = Squares()
    scene.add((10, 10, 40, 40), RED, distance=4.0)
    scene.add((10, 10, 40, 40), BLUE, distance=6.0, nearness=1000.0)
    assert scene.paint()[25, 25].argmax() == 0


def test_what_is_seen_from_behind_is_not_drawn() -> None:
    scene = Squares()
    scene.add((10, 10, 40, 40), RED, behind=True)
    assert not scene.paint().any()


def test_what_lies_outside_of_its_window_is_left_out() -> None:
    scene = Squares()
    scene.add((10, 10, 20, 20), RED)
    scene.add((40, 40, 50, 50), GREEN)
    ring = np.arange(0, 4)  # the corners of the first square
    image = scene.paint(windows=(Window(ring, np.array([0, 1])),))
    assert image[15, 15].any()
    assert not image[45, 45].any()


def test_a_wall_behind_all_that_a_window_shows_does_not_hide_it() -> None:
    for distance, seen in ((4.0, RED), (5.05, RED), (9.0, GREEN)):
        scene = Squares()
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
    scene = Squares()
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


def test_what_faces_the_viewer_is_filled_even_if_it_is_seen_from_behind() -> None:
    scene = Squares()
    scene.add((10, 10, 40, 40), RED, behind=True)
    scene.normals = [(0.0, 0.0, 1.0)] * 4
    assert (scene.paint()[12:38, 12:38, 2] > 100).all()
