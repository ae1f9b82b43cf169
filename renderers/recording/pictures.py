"""Pictures of a video avatar as the encoder takes them: in the file's size, with their proportions kept."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from renderers._stage import fit

if TYPE_CHECKING:
    from avatarkit_rtc.video.picture import Picture, Pixels
    from renderers.face import Image

WAIT_S: Final = 0.3
"""A picture waits for its sound no longer than until one comes that is so much later: there may be none."""

MAX_WAITING: Final = 12
"""Pictures that wait at most."""

_BLACK_Y, _BLACK_UV = 16, 128
_PYAV_FORMATS = {"i420": "yuv420p", "bgra": "bgra", "rgba": "rgba", "rgb24": "rgb24"}


class WaitingPictures:
    """Holds pictures until their sound has come, so that the file's sound track has it in its place: silence
    would be put there for what is missing. Pure."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Picture, float]] = deque()
        self._sound = -math.inf

    def put(self, picture: Picture, t: float) -> None:
        """A picture came whose time is ``t``."""
        self._waiting.append((picture, t))

    def sound(self, until: float) -> None:
        """Sound has come up to ``until``."""
        self._sound = max(self._sound, until)

    def released(self, *, all_of_them: bool = False) -> Iterator[tuple[Picture, float]]:
        """Those that need not wait any longer, in order, with their times."""
        while self._waiting:
            picture, t = self._waiting[0]
            late = self._waiting[-1][1] - t > WAIT_S or len(self._waiting) > MAX_WAITING
            if t > self._sound and not late and not all_of_them:
                return
            self._waiting.popleft()
            yield picture, t


def checked(image: object, size: tuple[int, int]) -> Image:
    """``image``, if it is a face's picture of that width and height: uint8, shape (height, width, 3), or with
    a fourth channel, which is left out.

    Raises:
        TypeError: it is no array of uint8.
        ValueError: its shape is another.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"a face draws an array of uint8, not {kind}")
    width, height = size
    if image.ndim != 3 or image.shape[:2] != (height, width) or image.shape[2] not in (3, 4):
        raise ValueError(f"the picture has the shape {image.shape}, not {(height, width, 3)}")
    return np.ascontiguousarray(image[:, :, :3])


class PictureFrames:
    """Makes frames of one size. Not thread-safe."""

    def __init__(self, av: Any, size: tuple[int, int]) -> None:
        """
        Args:
            av: the module PyAV.
            size: width and height of the file's pictures in pixels; one less where odd.
        """
        self._av = av
        self._size = size[0] // 2 * 2, size[1] // 2 * 2

    def frame(self, picture: Picture) -> Any:
        """``picture`` as a frame in ``yuv420p``; what it leaves free is black. Where it has the file's size
        and is ``i420`` nothing is converted."""
        frame = self._whole(picture)
        x, y, width, height = _even(fit((frame.width, frame.height), self._size))
        if (width, height) != (frame.width, frame.height) or frame.format.name != "yuv420p":
            frame = frame.reformat(width=width, height=height, format="yuv420p")
        if (width, height) == self._size:
            return frame
        return self._on_black(frame.to_ndarray(), x, y, width, height)

    def _whole(self, picture: Picture) -> Any:
        make = self._av.VideoFrame.from_ndarray
        if picture.rotation:
            return make(picture.bgr(), format="bgr24")
        if picture.format != "i420":
            return make(np.ascontiguousarray(picture.data), format=_PYAV_FORMATS[picture.format])
        width, height = picture.width, picture.height
        if width % 2 == 0 and height % 2 == 0:
            return make(picture.data.reshape(height * 3 // 2, width), format="yuv420p")
        return make(picture.bgr(), format="bgr24")

    def _on_black(self, small: Pixels, x: int, y: int, width: int, height: int) -> Any:
        full_width, full_height = self._size
        canvas = np.full(full_width * full_height * 3 // 2, _BLACK_UV, np.uint8)
        canvas[: full_width * full_height] = _BLACK_Y
        targets, sources = _planes(canvas, full_width, full_height), _planes(small.ravel(), width, height)
        for target, source, scale in zip(targets, sources, (1, 2, 2), strict=True):
            rows = slice(y // scale, (y + height) // scale)
            target[rows, x // scale : (x + width) // scale] = source
        shaped = canvas.reshape(full_height * 3 // 2, full_width)
        return self._av.VideoFrame.from_ndarray(shaped, format="yuv420p")


def _even(place: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x, y, width, height = place
    return x // 2 * 2, y // 2 * 2, max(2, width // 2 * 2), max(2, height // 2 * 2)


def _planes(data: Pixels, width: int, height: int) -> tuple[Pixels, Pixels, Pixels]:
    y, u, v = np.split(data, [width * height, width * height * 5 // 4])
    half = height // 2, width // 2
    return y.reshape(height, width), u.reshape(half), v.reshape(half)
