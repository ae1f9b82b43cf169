"""The cartoon's pictures look as they did when somebody looked at them.

``PYTHONPATH=. python tests/renderers/test_cartoon_golden.py`` from the checkout draws them anew: look, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers.cartoon import CartoonFace
from renderers.face import Image
from tests.support.golden import alike

GOLDEN = Path(__file__).parent / "golden"
SIDE = 160
EYES, MOUTH = (slice(60, 92), slice(40, 120)), (slice(92, 124), slice(56, 104))
"""Rows and columns."""

POSES: dict[str, dict[str, float]] = {
    "neutral": {},
    "open": {"jawOpen": 0.6},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "turned": {},
}


def draw(name: str) -> Image:
    values = np.zeros(52, np.float32)
    for shape, value in POSES[name].items():
        values[ARKIT_INDEX[shape]] = value
    turn = np.array([0.0, 0.4 if name == "turned" else 0.0, 0.0], np.float32)
    return CartoonFace((SIDE, SIDE), backend="opencv").draw(FacePose(values, turn))


@pytest.mark.parametrize("name", POSES)
def test_the_cartoon_looks_as_it_was_looked_at(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    assert alike(draw(name), cv2.imread(str(GOLDEN / f"cartoon_{name}.png")), (EYES, MOUTH))


def test_the_cartoons_differ_by_more_than_is_allowed_and_where_they_should() -> None:
    pictures = {name: draw(name) for name in POSES}
    for name, box in (("open", MOUTH), ("blink", EYES), ("turned", EYES), ("turned", MOUTH)):
        difference = np.abs(pictures[name][box].astype(int) - pictures["neutral"][box]).max(2)
        assert (difference > 24).mean() > 0.08, name
        assert not alike(pictures[name], pictures["neutral"]), name


def main() -> None:
    import cv2

    for name in POSES:
        cv2.imwrite(str(GOLDEN / f"cartoon_{name}.png"), draw(name), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
