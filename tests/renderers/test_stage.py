from __future__ import annotations

import numpy as np
import pytest

from renderers import Image
from renderers._stage import DIMMED, Stage, fit


def plain(width: int, height: int, value: int = 200) -> Image:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("picture", "window", "place"),
    [
        ((100, 100), (100, 100), (0, 0, 100, 100)),
        ((100, 100), (300, 200), (50, 0, 200, 200)),
        ((100, 100), (60, 200), (0, 70, 60, 60)),
        ((200, 100), (100, 100), (0, 25, 100, 50)),
        ((8000, 16), (16, 16), (0, 7, 16, 1)),
    ],
)
def test_a_picture_keeps_its_proportions_in_the_middle(
    picture: tuple[int, int], window: tuple[int, int], place: tuple[int, int, int, int]
) -> None:
    assert fit(picture, window) == place


def test_where_nothing_is_to_be_done_nothing_is_copied() -> None:
    picture = plain(64, 48)
    assert Stage().compose(picture, (64, 48)) is picture


def test_what_the_picture_leaves_free_has_the_colour_of_the_bars() -> None:
    stage = Stage((10, 20, 30))
    whole = stage.compose(plain(50, 50), (200, 100))
    assert whole.shape == (100, 200, 3)
    assert (whole[:, 50:150] == 200).all()
    assert (whole[:, :50] == (10, 20, 30)).all()
    assert (whole[:, 150:] == (10, 20, 30)).all()


def test_bars_are_clean_again_after_a_resize_and_after_figures() -> None:
    stage = Stage()
    picture = plain(50, 50)
    panel = stage.panel(["1234567890 1234567890", "x"], 100)
    covered = stage.compose(picture, (300, 100), panel=panel).copy()
    assert covered[: panel.shape[0], :100].max() > 150, "letters on the bar"
    assert (stage.compose(picture, (300, 100))[:, :100] == 0).all()
    assert (stage.compose(picture, (100, 300))[:100] == 0).all()


def test_a_large_picture_is_averaged_and_not_picked_from() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    small = Stage().compose(stripes, (100, 100))
    assert np.abs(small.astype(int) - 100).max() <= 2


@pytest.mark.parametrize("gone", [0.5, 1.0])
def test_a_still_is_dimmed_and_has_a_sign_in_its_corner(gone: float) -> None:
    picture = plain(400, 300)
    still = Stage().compose(picture, (400, 300), gone=gone)
    dark = round(200 * (1 - DIMMED * gone))
    assert np.abs(still[:200].astype(int) - dark).max() <= 1
    corner = still[-40:, -40:]
    assert corner.max() > dark + 20
    assert (picture == 200).all(), "the face's own picture is left as it is"


def test_a_sign_that_does_not_fit_is_left_out() -> None:
    still = Stage().compose(plain(20, 20), (20, 20), gone=1.0)
    assert np.ptp(still) == 0


def test_a_panel_larger_than_the_window_is_cut() -> None:
    stage = Stage()
    panel = stage.panel(["a long line of figures that does not fit"] * 9, 1000)
    whole = stage.compose(plain(60, 60), (60, 60), panel=panel)
    assert whole.shape == (60, 60, 3)
    assert whole.min() < 100
