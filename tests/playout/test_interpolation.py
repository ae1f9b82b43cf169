from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.playout.interpolation import blend, ease, hermite
from tests.support.frames import ramp


def test_blending_ends_exactly_where_it_should() -> None:
    a, b = ramp(1.0), ramp(3.0)
    assert blend(a, b, 0.0) is a
    assert blend(a, b, 1.0) is b
    assert blend(a, b, 0.25) == ramp(1.5)


def test_easing_is_flat_at_both_ends() -> None:
    assert [ease(x) for x in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert ease(0.01) < 0.001


@pytest.mark.parametrize("neighbours", [(None, None), (0.0, 5.0), (0.0, None), (None, 5.0)])
def test_a_straight_line_stays_one(neighbours: tuple[float | None, float | None]) -> None:
    before, after = (None if each is None else ramp(each) for each in neighbours)
    for weight in (0.0, 1 / 3, 2 / 3, 1.0):
        frame = hermite(ramp(1.0), ramp(4.0), before=before, after=after, span=3, weight=weight)
        np.testing.assert_allclose(frame.values, 1.0 + 3 * weight, rtol=1e-5)


def test_a_curve_is_met_better_than_by_a_line() -> None:
    curve = [ramp(float(np.sin(x * 0.6))) for x in range(5)]
    made = hermite(curve[1], curve[3], before=curve[0], after=curve[4], span=2, weight=0.5)
    line = blend(curve[1], curve[3], 0.5)
    true = curve[2].values
    assert np.abs(made.values - true).max() < np.abs(line.values - true).max() / 1.5
