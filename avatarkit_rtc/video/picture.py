"""One picture of a video avatar."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError

PictureFormat: TypeAlias = Literal["i420", "bgra", "rgba", "rgb24"]
"""How a picture's pixels lie in memory; a view asks for one of them.

``i420`` is what the decoder gives: nothing is converted on the way. The others are converted by the network
library before Python sees the picture, at 0.7-2.5 ms for 1280 x 720.
"""

DEFAULT_FORMAT: Final[PictureFormat] = "i420"

CHANNELS: Final = {"bgra": 4, "rgba": 4, "rgb24": 3}
"""Bytes of a pixel, where they lie side by side."""

Pixels: TypeAlias = npt.NDArray[np.uint8]


def check_format(name: object) -> PictureFormat:
    """``name`` if it is a format.

    Raises:
        ConfigurationError: it is none.
    """
    for known in get_args(PictureFormat):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise ConfigurationError(
        f"a picture's format is one of {', '.join(get_args(PictureFormat))}, not {name!r}"
    )


def shaped(data: bytes | bytearray | memoryview, width: int, height: int, form: PictureFormat) -> Pixels:
    """The pixels in ``data`` as :attr:`Picture.data` has them; nothing is copied.

    Raises:
        ValueError: there are too few bytes, or too many.
    """
    pixels: Pixels = np.frombuffer(data, np.uint8)
    if form == "i420":
        expected = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
        if len(pixels) != expected:
            raise ValueError(f"{width} x {height} in I420 has {expected} bytes, not {len(pixels)}")
        return pixels
    return pixels.reshape(height, width, CHANNELS[form])


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as it is shown at one moment. Views share its pixels and must not change them."""

    t: float
    """Moment it is due, in monotonic seconds."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    format: PictureFormat
    """As the view asked for."""
    data: Pixels
    """The pixels: shape (height, width, 4) for ``bgra`` and ``rgba``, (height, width, 3) for ``rgb24``; for
    ``i420`` the three planes one after the other, shape (n,). See :meth:`planes`."""
    rotation: int = 0
    """By so many degrees, clockwise, it has to be turned to stand upright: 0, 90, 180 or 270."""
    presentation_time: float | None = None
    """When it is seen if the avatar's sound is played as it is received, on the time that it shares with the
    sound's blocks: see :attr:`avatarkit_rtc.Pose.presentation_time`. Never less than that of the picture
    before. None for a picture that no player gave."""

    def planes(self) -> tuple[Pixels, Pixels, Pixels]:
        """Brightness, shape (height, width), and the two colour planes, shape ((height + 1) // 2, (width + 1)
        // 2), of an ``i420`` picture; nothing is copied.

        Raises:
            ValueError: it has another format.
        """
        if self.format != "i420":
            raise ValueError(f"a picture in {self.format} has no planes")
        w, h = (self.width + 1) // 2, (self.height + 1) // 2
        y, u, v = np.split(self.data, [self.width * self.height, self.width * self.height + w * h])
        return y.reshape(self.height, self.width), u.reshape(h, w), v.reshape(h, w)

    def bgr(self) -> Pixels:
        """The picture upright in OpenCV's order, blue-green-red, shape (height, width, 3). Takes about a
        millisecond: on a thread of the caller's, where that matters.

        Raises:
            MissingDependencyError: it is ``i420``, and OpenCV cannot be loaded.
        """
        if self.format == "i420":
            image = self._of_planes("BGR")
        else:
            order = [0, 1, 2] if self.format == "bgra" else [2, 1, 0]
            image = self.data[:, :, order]
        return np.ascontiguousarray(np.rot90(image, -self.rotation // 90)) if self.rotation else image

    def converted(self, form: PictureFormat) -> Picture:
        """The same picture in another format; an odd last line or column is cut off.

        Raises:
            ValueError: it is neither ``i420`` nor in ``form`` already.
            MissingDependencyError: OpenCV cannot be loaded.
        """
        if form == self.format:
            return self
        if self.format != "i420":
            raise ValueError(f"a picture in {self.format} cannot be turned into {form}; only i420 can")
        data = self._of_planes("RGB" if form == "rgb24" else form.upper())
        return replace(self, data=data, format=form, width=data.shape[1], height=data.shape[0])

    def _of_planes(self, order: str) -> Pixels:
        try:
            import cv2
        except ImportError as error:
            raise MissingDependencyError(
                f"OpenCV could not be loaded ({error}): pip install opencv-python, and on Debian or Ubuntu "
                "apt-get install libgl1 libglib2.0-0; or ask for pictures in 'bgra'"
            ) from error
        width, height = self.width - self.width % 2, self.height - self.height % 2
        data = self.data
        if (width, height) != (self.width, self.height):  # OpenCV knows even sizes only
            y, u, v = self.planes()
            even = y[:height, :width], u[: height // 2, : width // 2], v[: height // 2, : width // 2]
            data = np.concatenate([plane.ravel() for plane in even])
        code = getattr(cv2, f"COLOR_YUV2{order}_I420")
        return np.asarray(cv2.cvtColor(data.reshape(height * 3 // 2, width), code), np.uint8)
