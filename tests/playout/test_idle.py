from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.idle import BLINK_EVERY_S, IdleMotion, breathing
from tests.support.frames import face, ramp


def test_the_default_breathes_and_blinks_and_stays_near_neutral() -> None:
    poses = [breathing(step * 0.02) for step in range(int(4 * BLINK_EVERY_S / 0.02))]
    values = np.array([pose.values for pose in poses])
    lids = np.array([pose.eye_lid[0] for pose in poses])
    assert 0 < np.ptp([pose.rotation[0] for pose in poses]) < 0.05
    assert lids.max() > 0.9
    assert (lids == 0).mean() > 0.9
    assert np.count_nonzero(np.diff((lids > 0).astype(int)) == 1) == 4
    assert np.abs(np.diff(values, axis=0)).max() < 0.4
    assert IdleMotion().pose(1.5) == breathing(1.5)


def test_a_still_pose() -> None:
    assert IdleMotion(face(1)).pose(7.0) is IdleMotion(face(1)).pose(9.0)


def test_a_clip_goes_there_and_back_without_a_seam() -> None:
    idle = IdleMotion([ramp(0), ramp(1), ramp(2)])
    assert [float(idle.pose(step * 0.04).values[0]) for step in range(9)] == pytest.approx(
        [0, 1, 2, 1, 0, 1, 2, 1, 0], abs=1e-5
    )
    assert idle.pose(0.02) == ramp(0.5)


def test_a_clip_of_one_frame_is_a_still_pose() -> None:
    assert IdleMotion([face(1)]).pose(3.0) == face(1)


def test_a_function_of_time() -> None:
    assert IdleMotion(ramp).pose(2.5) == ramp(2.5)


def test_a_function_that_fails_is_counted_and_neutral_stands_in() -> None:
    def broken(t: float) -> Any:
        if t > 1:
            raise RuntimeError("no more")
        return "not a frame"

    idle = IdleMotion(broken)
    assert idle.pose(0.0) == idle.pose(2.0) == MotionFrame.neutral()
    assert idle.errors == 2


@pytest.mark.parametrize(
    ("spec", "error"), [([], ValueError), (["x"], TypeError), ("x", TypeError), (3, TypeError)]
)
def test_refuses_what_is_no_idle_motion(spec: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        IdleMotion(spec)
