"""What a turned head must not show: hair of its far side over its face, the background through its hair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.face.face_pose import FacePose
from renderers.head import LOOKS, HeadFace
from renderers.head.person import make_person
from renderers.head.rig import Rig
from renderers.head.surface import Surface

SIZE = (256, 256)
TURNS = (-0.75, -0.5, 0.5, 0.75)


def turned(turn: float, nod: float = 0.0) -> FacePose:
    return FacePose(np.zeros(52, np.float32), np.array([nod, turn, 0.0], np.float32))


@pytest.mark.parametrize("look", ["anna", "mei"])
def test_hair_that_hangs_on_the_far_side_does_not_cross_the_face(look: str) -> None:
    person = make_person(LOOKS[look], SIZE)
    surface, rig = person.moving, Rig(person.mobile, SIZE)
    side = person.mobile.rest[surface.quads][:, :, 0].mean(1)
    hanging = surface.nearness > surface.nearness.max() - 0.01
    assert hanging.sum() > 50

    def draw(drawn: Surface, turn: float) -> npt.NDArray[np.uint8]:
        points, normals = rig.pose(turned(turn))
        image = np.full((*SIZE[::-1], 3), 128, np.uint8)
        replace(person, moving=drawn).painter().paint(rig.project(points), normals, image)
        return image

    total = 0
    for turn in TURNS:
        far = hanging & (side * turn > 0)
        # Drawn before all of the face, it cannot cross it.
        under, over = (
            draw(replace(surface, nearness=np.where(far, nearness, surface.nearness)), turn)
            for nearness in (2000.0, 4000.0)
        )
        image = draw(surface, turn)
        # From brow to chin; above, it lies over the hair of the head.
        rows = slice(100, 180)
        crossing, worst = (
            (np.abs(one[rows].astype(int) - under[rows]).max(2) > 24).sum() for one in (image, over)
        )
        assert crossing <= 3, turn
        total += int(worst)
    # Drawn after all of the face, it did.
    assert total > 10


@pytest.mark.parametrize("turn", TURNS)
def test_there_are_no_holes_in_a_turned_head(turn: float) -> None:
    cv2 = pytest.importorskip("cv2")
    for look in ("chloe", "ben"):
        for nod in (0.0, 0.3):
            cover = HeadFace(SIZE, look).draw(turned(turn, nod), alpha=True)[:, :, 3]
            # What is not reached from outside.
            outside = np.pad(np.where(cover < 255, 255, 0).astype(np.uint8), 1, constant_values=255)
            cv2.floodFill(outside, None, (0, 0), 128)
            assert (outside == 255).sum() < 3, (look, nod)
