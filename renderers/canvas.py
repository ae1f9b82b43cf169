"""A few anti-aliased drawing primitives on two backends: OpenCV, and Pillow where OpenCV cannot be loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from renderers.face import Image

Color: TypeAlias = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""
Points: TypeAlias = npt.NDArray[np.floating[Any]]
"""Shape (n, 2): x to the right and y down, in pixels; (0, 0) is the corner of the first pixel."""

Polygon: TypeAlias = tuple[int, Color, bool]
"""Number of points, colour, and whether the edge is smoothed where the backend can tell."""

Backend: TypeAlias = Literal["auto", "opencv", "pillow"]

_LIMIT: Final = 16384.0
"""Pixels; coordinates are cut here, far outside of any picture, so that fixed-point numbers cannot wrap."""

_QUARTER_TURN: Final = np.array([-1.0, 1.0])
_CAP: Final = np.linspace(0, math.pi, 7)[1:-1, None]
_CAP_COS, _CAP_SIN = np.cos(_CAP), np.sin(_CAP)


class Canvas(Protocol):
    """Draws onto one picture. ``begin`` first, then shapes from back to front, then ``image``."""

    def begin(self, background: Image) -> None:
        """Start a new picture with a copy of ``background``."""

    def polygon(self, points: Points, color: Color) -> None:
        """A filled polygon."""

    def polygons(self, points: Points, shapes: Sequence[Polygon]) -> None:
        """Filled polygons from back to front; ``points`` are those of all of them, one after the other."""

    def ellipse(self, center: tuple[float, float], radii: tuple[float, float], color: Color) -> None:
        """A filled ellipse with its axes along x and y."""

    def polyline(self, points: Points, color: Color, width: float | Sequence[float] | Points) -> None:
        """An open line; ``width`` in pixels is one number, or one per point for a brush stroke."""

    def glow(
        self, center: tuple[float, float], radii: tuple[float, float], color: Color, alpha: float
    ) -> None:
        """A soft spot: ``alpha`` (0 to 1) in the middle, fading to nothing at ``radii``."""

    def image(self) -> Image:
        """The picture as drawn. The caller owns it."""


def stroke(points: Points, width: float | Sequence[float] | Points) -> Points:
    """The outline of a brush stroke along ``points``, with round ends; shape (m, 2).

    One polygon instead of a thick line: OpenCV's lines have whole-pixel widths, Pillow's no round joints.
    """
    path = np.asarray(points, dtype=np.float64)
    half = np.broadcast_to(np.asarray(width, dtype=np.float64), (len(path),)) / 2
    along = np.empty_like(path)
    along[1:-1] = path[2:] - path[:-2]
    along[0], along[-1] = path[1] - path[0], path[-1] - path[-2]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    normal = along[:, ::-1] * _QUARTER_TURN
    end = path[-1] + half[-1] * (_CAP_COS * normal[-1] + _CAP_SIN * along[-1])
    start = path[0] - half[0] * (_CAP_COS * normal[0] + _CAP_SIN * along[0])
    offset = half[:, None] * normal
    left, right = path + offset, path - offset
    return np.concatenate([left, end, right[::-1], start])


@lru_cache(maxsize=256)
def _unit_circle(count: int) -> Points:
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _ellipse_points(center: tuple[float, float], radii: tuple[float, float]) -> Points:
    count = int(min(96, max(16, 3 * math.sqrt(max(*radii, 1.0)))))
    points: Points = _unit_circle(count) * np.asarray(radii) + np.asarray(center)
    return points


@lru_cache(maxsize=128)
def _glow_mask(radius_x: int, radius_y: int, peak: int) -> npt.NDArray[np.uint8]:
    """Shape (2 radius_y, 2 radius_x), 0 to ``peak``: (1 - r^2)^2, which has no visible edge."""
    x = (np.arange(2 * radius_x, dtype=np.float32) + 0.5 - radius_x) / radius_x
    y = (np.arange(2 * radius_y, dtype=np.float32) + 0.5 - radius_y) / radius_y
    mask = np.maximum(0, 1 - (x[None, :] ** 2 + y[:, None] ** 2)) ** 2
    weights: npt.NDArray[np.uint8] = np.rint(mask * peak).astype(np.uint8)
    return weights


@lru_cache(maxsize=128)
def _glow_layers(
    radius_x: int, radius_y: int, peak: int, color: Color
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """What of each channel stays, 0 to 255, and what comes to it."""
    mask = _glow_mask(radius_x, radius_y, peak)[..., None].astype(np.float32)
    comes: npt.NDArray[np.uint8] = np.rint(mask / 255 * np.array(color, np.float32)).astype(np.uint8)
    return np.repeat(255 - mask, 3, axis=2).astype(np.uint8), comes


def _glow_place(
    center: tuple[float, float], radii: tuple[float, float], scale: int
) -> tuple[int, int, int, int]:
    """Left and top edge and the radii of a glow on a picture ``scale`` times as large."""
    radius_x, radius_y = (min(2048, max(1, round(radius * scale))) for radius in radii)
    x, y = (round(min(_LIMIT, max(-_LIMIT, at)) * scale) for at in center)
    return x - radius_x, y - radius_y, radius_x, radius_y


class OpenCVCanvas:
    """Draws with OpenCV, twice as large each way, and shrinks.

    OpenCV's anti-aliasing alone draws each edge as a soft line, which shows as bumps along a curve.
    """

    _SCALE = 2
    _SHIFT = 4

    def __init__(self) -> None:
        """Raises ImportError where OpenCV or a library it needs is missing."""
        import cv2

        self._cv2 = cv2
        self._background: Image | None = None
        self._large: Image = np.zeros((1, 1, 3), np.uint8)
        self._picture: Image = self._large

    def begin(self, background: Image) -> None:
        """See :meth:`Canvas.begin`."""
        if self._background is not background:
            self._background = background
            height, width = background.shape[:2]
            size = (width * self._SCALE, height * self._SCALE)
            self._large = np.asarray(
                self._cv2.resize(background, size, interpolation=self._cv2.INTER_LINEAR), np.uint8
            )
            self._picture = self._large.copy()
        else:
            np.copyto(self._picture, self._large)

    def polygon(self, points: Points, color: Color) -> None:
        """See :meth:`Canvas.polygon`."""
        self.polygons(points, [(len(points), color, True)])

    def polygons(self, points: Points, shapes: Sequence[Polygon]) -> None:
        """See :meth:`Canvas.polygons`."""
        # A pixel's centre is at whole numbers in OpenCV.
        scaled = np.minimum(np.maximum(points, -_LIMIT), _LIMIT)
        scaled *= self._SCALE << self._SHIFT
        scaled -= 0.5 * (1 << self._SHIFT)
        fixed = np.rint(scaled, out=scaled).astype(np.int32)
        fill, smoothed, plain = self._cv2.fillPoly, self._cv2.LINE_AA, self._cv2.LINE_8
        start = 0
        for count, color, smooth in shapes:
            outline = fixed[start : start + count]
            fill(self._picture, [outline], color, smoothed if smooth else plain, self._SHIFT)
            start += count

    def ellipse(self, center: tuple[float, float], radii: tuple[float, float], color: Color) -> None:
        """See :meth:`Canvas.ellipse`."""
        self.polygon(_ellipse_points(center, radii), color)

    def polyline(self, points: Points, color: Color, width: float | Sequence[float] | Points) -> None:
        """See :meth:`Canvas.polyline`."""
        self.polygon(stroke(points, width), color)

    def glow(
        self, center: tuple[float, float], radii: tuple[float, float], color: Color, alpha: float
    ) -> None:
        """See :meth:`Canvas.glow`."""
        left, top, radius_x, radius_y = _glow_place(center, radii, self._SCALE)
        height, width = self._picture.shape[:2]
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + 2 * radius_x, width), min(top + 2 * radius_y, height)
        if x0 >= x1 or y0 >= y1:
            return
        stays, comes = _glow_layers(radius_x, radius_y, round(255 * min(1.0, max(0.0, alpha))), color)
        part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        region = self._picture[y0:y1, x0:x1]
        self._cv2.multiply(region, stays[part], region, 1 / 255)
        self._cv2.add(region, comes[part], region)

    def image(self) -> Image:
        """See :meth:`Canvas.image`."""
        height, width = self._picture.shape[:2]
        size = (width // self._SCALE, height // self._SCALE)
        return np.asarray(self._cv2.resize(self._picture, size, interpolation=self._cv2.INTER_AREA), np.uint8)


class PillowCanvas:
    """Draws with Pillow, three times as large each way, and shrinks: Pillow itself does not smooth edges."""

    _SCALE = 3

    def __init__(self) -> None:
        """Raises ImportError where Pillow is missing."""
        from PIL import Image as PillowImage
        from PIL import ImageDraw

        self._images, self._drawing = PillowImage, ImageDraw
        self._background: Image | None = None
        self._large: Any = None
        self._picture: Any = None
        self._draw: Any = None

    def begin(self, background: Image) -> None:
        """See :meth:`Canvas.begin`."""
        if self._background is not background:
            self._background = background
            size = (background.shape[1] * self._SCALE, background.shape[0] * self._SCALE)
            # Pillow takes the three channels for red, green and blue; no matter, they come back in place.
            self._large = self._images.fromarray(background).resize(size, self._images.Resampling.BILINEAR)
        self._picture = self._large.copy()
        self._draw = self._drawing.Draw(self._picture)

    def polygon(self, points: Points, color: Color) -> None:
        """See :meth:`Canvas.polygon`."""
        scaled = np.clip(points, -_LIMIT, _LIMIT) * self._SCALE - 0.5
        self._draw.polygon(scaled.ravel().tolist(), fill=color)

    def polygons(self, points: Points, shapes: Sequence[Polygon]) -> None:
        """See :meth:`Canvas.polygons`."""
        start = 0
        for count, color, _ in shapes:
            self.polygon(points[start : start + count], color)
            start += count

    def ellipse(self, center: tuple[float, float], radii: tuple[float, float], color: Color) -> None:
        """See :meth:`Canvas.ellipse`."""
        self.polygon(_ellipse_points(center, radii), color)

    def polyline(self, points: Points, color: Color, width: float | Sequence[float] | Points) -> None:
        """See :meth:`Canvas.polyline`."""
        self.polygon(stroke(points, width), color)

    def glow(
        self, center: tuple[float, float], radii: tuple[float, float], color: Color, alpha: float
    ) -> None:
        """See :meth:`Canvas.glow`."""
        left, top, radius_x, radius_y = _glow_place(center, radii, self._SCALE)
        mask = _glow_mask(radius_x, radius_y, round(255 * min(1.0, max(0.0, alpha))))
        box = (left, top, left + 2 * radius_x, top + 2 * radius_y)
        self._picture.paste(color, box, self._images.fromarray(mask))

    def image(self) -> Image:
        """See :meth:`Canvas.image`."""
        return np.array(self._picture.reduce(self._SCALE), dtype=np.uint8)


def make_canvas(backend: Backend = "auto") -> Canvas:
    """A canvas; ``auto`` is OpenCV where it can be loaded, else Pillow.

    Raises:
        MissingDependencyError: the backend (or, for ``auto``, both) cannot be loaded.
        ConfigurationError: there is no such backend.
    """
    if backend not in ("auto", "opencv", "pillow"):
        raise ConfigurationError(f"the canvas backends are auto, opencv and pillow, not {backend!r}")
    if backend != "pillow":
        try:
            return OpenCVCanvas()
        except ImportError as error:
            if backend == "opencv":
                raise MissingDependencyError(opencv_hint(error)) from error
            cause: ImportError = error
    try:
        return PillowCanvas()
    except ImportError as error:
        if backend == "pillow":
            raise MissingDependencyError("Pillow is missing: pip install 'avatarkit-rtc[pillow]'") from error
        raise MissingDependencyError(
            f"{opencv_hint(cause)}; or draw without OpenCV: pip install 'avatarkit-rtc[pillow]'"
        ) from error


def opencv_hint(error: ImportError) -> str:
    """One line: why OpenCV could not be loaded, and what to install."""
    return (
        f"OpenCV could not be loaded ({error}): pip install opencv-python, and on Debian or Ubuntu "
        "apt-get install libgl1 libglib2.0-0"
    )
