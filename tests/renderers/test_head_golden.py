"""The head's pictures look as they did when somebody looked at them.

The pictures beside this file were drawn by this very code, and looked at. After a change that is meant to be
seen, ``PYTHONPATH=. python tests/renderers/test_head_golden.py`` from the checkout draws them anew: look at
them, too.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers.head import LOOKS, HeadFace
from renderers.head.person import make_person
from renderers.head.rig import Rig
from tests.support.golden import Box, alike

GOLDEN = Path(__file__).parent / "golden"
SIZE = (144, 144)
TURNED_SIZE = (256, 256)
"""Of the turned heads: what goes wrong at their far side is small."""

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


def posed(name: str) -> tuple[str, tuple[int, int], FacePose]:
    """The look, the size of the picture and the pose."""
    values = np.zeros(52, np.float32)
    for shape, value in POSES.get(name, {}).items():
        for side in ("", "Left", "Right"):
            if shape + side in ARKIT_INDEX:
                values[ARKIT_INDEX[shape + side]] = value
    gaze = [[0.1, 0.35, 0.0]] * 2 if name == "gaze" else [[0.0, 0.0, 0.0]] * 2
    turn = TURNS.get(name, (0.0, 0.0, 0.0))
    look = name.removeprefix("look_") if name.startswith("look_") else "anna"
    pose = FacePose(values, np.array(turn, np.float32), np.array(gaze, np.float32))
    return look, TURNED_SIZE if name in TURNS else SIZE, pose


def draw(name: str) -> npt.NDArray[np.uint8]:
    look, size, pose = posed(name)
    return HeadFace(size, look).draw(pose)


def windows(name: str) -> list[Box]:
    """Where in the picture mouth and eyes are: rows and columns."""
    look, size, pose = posed(name)
    person = make_person(LOOKS[look], size)
    rig = Rig(person.mobile, size)
    screen = rig.project(rig.pose(pose)[0])
    boxes = []
    for window in person.moving.windows:
        left, top = np.floor(screen[window.ring, :2].min(0)).astype(int) - 1
        right, bottom = np.ceil(screen[window.ring, :2].max(0)).astype(int) + 1
        boxes.append((slice(top, bottom), slice(left, right)))
    return boxes


@pytest.mark.parametrize("name", NAMES)
def test_it_looks_as_it_was_looked_at(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    expected = cv2.imread(str(GOLDEN / f"head_{name}.png"))
    assert alike(draw(name), expected, windows(name))


def test_the_pictures_differ_by_more_than_is_allowed() -> None:
    """Or the test above could not fail."""
    neutral = draw("look_anna")
    for name in NAMES:
        if name != "look_anna":
            assert not alike(draw(name), neutral), name


def test_an_eye_alone_that_is_wrong_is_seen() -> None:
    for name in ("look_anna", "turned_left"):
        picture = draw(name)
        for box in windows(name):
            wrong = picture.copy()
            # Skin over half of it.
            part = wrong[box]
            part[:, : part.shape[1] // 2] = picture[box][-1, -1]
            assert not alike(wrong, picture, windows(name)), (name, box)


@pytest.mark.parametrize("look", LOOKS)
def test_the_far_side_of_a_turned_head_does_not_cover_its_eyes(look: str) -> None:
    """An eye is drawn as on a head that ends behind the eyes."""
    size = TURNED_SIZE
    person = make_person(LOOKS[look], size)
    painter, rig = person.painter(), Rig(person.mobile, size)
    # All that is at least 0.35 decimetres behind the middle of the eyes.
    behind = person.mobile.rest[person.moving.quads][:, :, 2].max(1) < person.mobile.eyes[:, 2].mean() - 0.35
    assert 100 < behind.sum() < 0.7 * len(behind)
    # Far below all layers: whatever else is there is drawn over it.
    bare = replace(person.moving, nearness=np.where(behind, -9000.0, person.moving.nearness))
    without = replace(person, moving=bare).painter()
    for turn in (-0.5, -0.35, 0.35, 0.5):
        points, normals = rig.pose(FacePose(np.zeros(52, np.float32), np.array([0.0, turn, 0.0], np.float32)))
        screen = rig.project(points)
        pictures = []
        for each in (painter, without):
            image = np.full((*size[::-1], 3), 128, np.uint8)
            each.paint(screen, normals, image)
            pictures.append(image)
        difference = np.abs(pictures[0].astype(int) - pictures[1]).max(2)
        for ball in person.mobile.eye_balls:
            # Five by five of its seven by seven vertices: the iris and the white beside it.
            inner = screen[ball].reshape(7, 7, 3)[1:-1, 1:-1, :2].reshape(-1, 2)
            (left, top), (right, bottom) = (
                np.floor(inner.min(0)).astype(int),
                np.ceil(inner.max(0)).astype(int),
            )
            assert (difference[top:bottom, left:right] > 24).mean() < 0.02, (turn, ball)


def main() -> None:
    import cv2

    GOLDEN.mkdir(exist_ok=True)
    for name in NAMES:
        cv2.imwrite(str(GOLDEN / f"head_{name}.png"), draw(name))


if __name__ == "__main__":
    main()
