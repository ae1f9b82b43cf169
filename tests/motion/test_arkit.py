from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.motion.arkit import GAZE_FULL, JAW_ASIDE, JAW_WIDE, jaw_opening, jaw_rotation, to_arkit
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from avatarkit_rtc.motion.frame import FRAME_SIZE, MotionFrame


def of(**fields: list[float]) -> dict[str, float]:
    """The coefficients that are not zero."""
    values = to_arkit(MotionFrame.from_fields(fields))
    assert values.shape == (52,)
    assert values.dtype == np.float32
    return {name: float(value) for name, value in zip(ARKIT_NAMES, values, strict=True) if value}


def test_the_names_are_arkits_52_in_alphabetical_order() -> None:
    assert len(ARKIT_NAMES) == 52
    assert list(ARKIT_NAMES) == sorted(ARKIT_NAMES)
    assert ARKIT_INDEX["jawOpen"] == 24


def test_a_resting_frame_has_no_coefficients() -> None:
    assert of() == {}


def test_the_jaw_opens_and_goes_aside() -> None:
    assert of(jaw_pose=[0.4]) == {"jawOpen": 1.0}
    assert of(jaw_pose=[-0.1]) == {}
    assert of(jaw_pose=[0.0, JAW_ASIDE / 2]) == {"jawLeft": pytest.approx(0.5)}
    assert of(jaw_pose=[0.0, -1.0]) == {"jawRight": 1.0}


def test_the_little_that_real_jaws_move_can_be_seen() -> None:
    assert jaw_opening(0.035) > 0.25
    assert all(jaw_opening(x) < jaw_opening(x + 0.01) for x in np.arange(0, 0.38, 0.01))


def test_lids_blink_and_open_wide() -> None:
    assert of(eye_lid=[1.0, 0.25]) == {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 0.25}
    assert of(eye_lid=[-0.5, 2.0]) == {"eyeWideLeft": 0.5, "eyeBlinkRight": 1.0}


@pytest.mark.parametrize(
    ("turn", "names"),
    [
        ([GAZE_FULL, 0.0, 0.0], ("eyeLookDownLeft", "eyeLookDownRight")),
        ([-GAZE_FULL, 0.0, 0.0], ("eyeLookUpLeft", "eyeLookUpRight")),
        ([0.0, GAZE_FULL, 0.0], ("eyeLookInRight", "eyeLookOutLeft")),
        ([0.0, -GAZE_FULL, 0.0], ("eyeLookInLeft", "eyeLookOutRight")),
    ],
)
def test_eyes_look_where_they_are_turned(turn: list[float], names: tuple[str, str]) -> None:
    assert of(eye_pose=turn + turn) == {name: pytest.approx(1.0) for name in names}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_any_numbers_give_coefficients_between_0_and_1(value: float) -> None:
    values = to_arkit(MotionFrame(np.full(FRAME_SIZE, value, np.float32)))
    assert np.all((values >= 0) & (values <= 1))


@pytest.mark.parametrize("opening", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_jaw_can_be_had_for_an_opening(opening: float) -> None:
    assert jaw_opening(jaw_rotation(opening)) == pytest.approx(opening)
    assert jaw_rotation(-1) == 0
    assert jaw_rotation(2) == pytest.approx(JAW_WIDE)
