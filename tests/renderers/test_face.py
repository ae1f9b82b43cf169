from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers import Face, HeadlessSink, Image, make_face
from renderers.face import hearing


class GreyFace:
    size = (20, 10)

    def render(self, pose: Pose) -> Image:
        return np.full((10, 20, 3), 128, np.uint8)


def test_the_cartoon_is_made_in_the_size_asked_for() -> None:
    face = make_face("cartoon", (64, 48))
    assert isinstance(face, Face)
    assert face.size == (64, 48)
    assert face.render(Pose(0.0, PoseKind.IDLE, MotionFrame.neutral())).shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["null", None])
def test_the_null_face_is_no_face(name: str | None) -> None:
    assert make_face(name) is None


def test_a_face_of_the_users_own_is_taken_as_it_is() -> None:
    face = GreyFace()
    assert make_face(face, (512, 512)) is face


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigurationError, match="head, cartoon, flame, flame-mesh:FILE, null"):
        make_face("mona-lisa")


def test_something_that_is_no_face_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"render\(\)"):
        make_face(42)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(0, 512), (512,), 512, (15, 16), (9000, 16), ("a", "b"), None])
def test_an_impossible_size_is_refused(size: object) -> None:
    with pytest.raises(ConfigurationError, match="size must be"):
        make_face("cartoon", size)  # type: ignore[arg-type]


def test_a_face_may_take_the_sound_and_a_view_hands_it_on() -> None:
    class Ear(GreyFace):
        def __init__(self) -> None:
            self.hear = heard.append

    heard: list[AudioBlock] = []
    block = AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0)
    with HeadlessSink(face=Ear()) as sink:
        sink.sound(block)
    assert heard == [block]
    assert hearing(GreyFace()) is None
    with HeadlessSink(face=GreyFace()) as sink:
        assert not hasattr(sink, "sound")
