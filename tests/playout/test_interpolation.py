from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.interpolation import EASE_OUT, blend, ease, ease_out, hermite
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
        np.testing.assert_allclose(frame.expression, 1.0 + 3 * weight, rtol=1e-5)


def test_a_curve_is_met_better_than_by_a_line() -> None:
    curve = [ramp(float(np.sin(x * 0.6))) for x in range(5)]
    made = hermite(curve[1], curve[3], before=curve[0], after=curve[4], span=2, weight=0.5)
    line = blend(curve[1], curve[3], 0.5)
    true = curve[2].values
    assert np.abs(made.values - true).max() < np.abs(line.values - true).max() / 1.5


def turned(angle: float) -> MotionFrame:
    """Head, neck, jaw and eyes turned about one oblique axis."""
    axis = np.array([1.0, 2.0, -2.0]) / 3.0
    turn = (angle * axis).tolist()
    return MotionFrame.from_fields(
        {"rotation": turn, "neck_pose": turn, "jaw_pose": turn, "eye_pose": turn + turn}
    )


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.9])
def test_a_turn_about_one_axis_goes_at_constant_speed(weight: float) -> None:
    made = blend(turned(-0.4), turned(1.6), weight)
    np.testing.assert_allclose(made.values, turned(-0.4 + 2.0 * weight).values, atol=1e-6)


def test_a_turn_goes_the_shorter_way() -> None:
    made = blend(turned(3.0), turned(-3.0), 0.5)
    np.testing.assert_allclose(np.linalg.norm(made.rotation), np.pi, atol=1e-5)


def test_a_turn_is_met_by_the_cubic_as_well() -> None:
    made = hermite(turned(0.2), turned(0.8), before=turned(-0.1), after=turned(1.1), span=2, weight=0.5)
    np.testing.assert_allclose(made.values, turned(0.5).values, atol=1e-6)


def test_a_face_that_has_to_stop_goes_on_a_little() -> None:
    assert ease_out(None, ramp(3.0), 1) == ramp(3.0)
    for held, further in ((1, EASE_OUT[0]), (2, EASE_OUT[1]), (9, EASE_OUT[1])):
        np.testing.assert_allclose(ease_out(ramp(2.0), ramp(3.0), held).expression, 3.0 + further)
        made = ease_out(turned(0.2), turned(0.4), held)
        np.testing.assert_allclose(made.values, turned(0.4 + 0.2 * further).values, atol=1e-6)
