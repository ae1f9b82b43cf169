from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from avatarkit_rtc.video.picture import Picture, check_format, shaped
from tests.support.pictures import grey


def red(width: int = 6, height: int = 4) -> Picture:
    """By ITU-R BT.601 with 8 bits: Y 81, Cb 90, Cr 240."""
    count, colour = width * height, ((width + 1) // 2) * ((height + 1) // 2)
    data = np.array([81] * count + [90] * colour + [240] * colour, np.uint8)
    return Picture(1.0, width, height, "i420", data)


def test_the_planes_are_views_of_the_pixels() -> None:
    picture = red(5, 3)
    y, u, v = picture.planes()
    assert (y.shape, u.shape, v.shape) == ((3, 5), (2, 3), (2, 3))
    assert {int(plane[0, 0]) for plane in (y, u, v)} == {81, 90, 240}
    assert all(np.shares_memory(plane, picture.data) for plane in (y, u, v))
    with pytest.raises(ValueError, match="no planes"):
        picture.converted("bgra").planes()


@pytest.mark.parametrize("size", [(6, 4), (5, 3)])
def test_red_is_red_in_every_format(size: tuple[int, int]) -> None:
    picture = red(*size)
    expected = {"bgra": [0, 0, 254, 255], "rgba": [254, 0, 0, 255], "rgb24": [254, 0, 0]}
    for form, pixel in expected.items():
        converted = picture.converted(check_format(form))
        assert converted.data[0, 0].tolist() == pytest.approx(pixel, abs=1)
        assert converted.data.shape[:2] == (converted.height, converted.width)
        assert converted.bgr()[0, 0].tolist() == pytest.approx([0, 0, 254], abs=1)
    assert picture.bgr().shape == (size[1] // 2 * 2, size[0] // 2 * 2, 3)
    assert picture.converted("i420") is picture
    with pytest.raises(ValueError, match="only i420"):
        picture.converted("bgra").converted("rgba")


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))]
)
def test_a_turned_picture_stands_upright(rotation: int, corner: tuple[int, int]) -> None:
    data = np.zeros((4, 6, 4), np.uint8)
    data[0, 0] = 255  # upper left as sent
    upright = replace(grey(0.0), width=6, height=4, format="bgra", data=data, rotation=rotation).bgr()
    assert upright.shape == ((4, 6, 3) if rotation in (0, 180) else (6, 4, 3))
    assert np.argwhere(upright[:, :, 0]).tolist() == [
        [corner[0] % upright.shape[0], corner[1] % upright.shape[1]]
    ]


def test_bytes_are_not_copied_and_have_to_fit() -> None:
    raw = bytearray(4 * 2 * 4)
    assert np.shares_memory(shaped(raw, 4, 2, "bgra"), np.frombuffer(raw, np.uint8))
    assert shaped(bytes(4 * 2 * 3), 4, 2, "rgb24").shape == (2, 4, 3)
    assert shaped(bytes(12), 4, 2, "i420").shape == (12,)
    with pytest.raises(ValueError, match="12 bytes"):
        shaped(bytes(11), 4, 2, "i420")
    with pytest.raises(ConfigurationError, match="rgb24"):
        check_format("yuyv")


def test_without_opencv_the_message_says_what_to_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "cv2":
            raise ImportError("libGL.so.1")
        return known(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="'bgra'"):
        red().bgr()
    assert replace(red(), format="bgra", data=np.zeros((4, 6, 4), np.uint8)).bgr().shape == (4, 6, 3)
