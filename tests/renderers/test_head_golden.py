"""The head's pictures look as they did when somebody looked at them.

The pictures beside this file were drawn by this very code, and looked at. After a change that is meant to be
seen, ``python tests/renderers/test_head_golden.py`` from the checkout draws them anew: look at them, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers.head import LOOKS, HeadFace

GOLDEN = Path(__file__).parent / "golden"
SIZE = (144, 144)

POSES: dict[str, dict[str, float]] = {
    "jaw_open": {"jawOpen": 0.55},
    "smile": {"mouthSmile": 0.8, "cheekSquint": 0.4, "jawOpen": 0.06},
    "oo": {"mouthPucker": 0.7, "mouthFunnel": 0.35, "jawOpen": 0.12},
    "ee": {"mouthStretch": 0.55, "mouthSmile": 0.3, "jawOpen": 0.14, "mouthLowerDown": 0.3},
    "eyes_shut": {"eyeBlink": 1.0},
    "brows_up": {"browInnerUp": 0.9, "browOuterUp": 0.7, "eyeWide": 0.6},
}
TURNS = {"turned_left": (0.0, 0.35, 0.0), "turned_right": (0.0, -0.35, 0.0), "nodding": (0.3, 0.0, 0.1)}
NAMES = [*(f"look_{name}" for name in LOOKS), *POSES, *TURNS, "gaze"]


def draw(name: str) -> npt.NDArray[np.uint8]:
    values = np.zeros(52, np.float32)
    for shape, value in POSES.get(name, {}).items():
        for side in ("", "Left", "Right"):
            if shape + side in ARKIT_INDEX:
                values[ARKIT_INDEX[shape + side]] = value
    gaze = [[0.1, 0.35, 0.0]] * 2 if name == "gaze" else [[0.0, 0.0, 0.0]] * 2
    turn = TURNS.get(name, (0.0, 0.0, 0.0))
    look = name.removeprefix("look_") if name.startswith("look_") else "anna"
    pose = FacePose(values, np.array(turn, np.float32), np.array(gaze, np.float32))
    return HeadFace(SIZE, look).draw(pose)


def alike(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    """Whether two pictures show the same, as a whole and in the middle of the face."""
    difference = np.abs(one.astype(int) - other).max(2)
    parts = (difference, difference[44:110, 42:102])
    return all(part.mean() < 1.0 and (part > 24).mean() < 0.006 for part in parts)


@pytest.mark.parametrize("name", NAMES)
def test_it_looks_as_it_was_looked_at(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    expected = cv2.imread(str(GOLDEN / f"head_{name}.png"))
    # Other versions of OpenCV fill and look up a little differently; another face differs by far more.
    assert alike(draw(name), expected)


def test_the_pictures_differ_by_more_than_is_allowed() -> None:
    """Or the test above could not fail."""
    neutral = draw("look_anna")
    for name in NAMES:
        if name != "look_anna":
            assert not alike(draw(name), neutral), name


def main() -> None:
    import cv2

    GOLDEN.mkdir(exist_ok=True)
    for name in NAMES:
        cv2.imwrite(str(GOLDEN / f"head_{name}.png"), draw(name))


if __name__ == "__main__":
    main()
