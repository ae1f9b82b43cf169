"""One person in one size: all that faces of the same look share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES
from renderers.head.bake import bake_texture
from renderers.head.figure import Figure, build_figure
from renderers.head.light import BALL_RADIUS, light_balls
from renderers.head.looks import HeadLook
from renderers.head.mobile import Mobile
from renderers.head.painter import Painter
from renderers.head.reduce import make_surface
from renderers.head.rig import Rig, focal_length
from renderers.head.surface import Surface
from renderers.head.texture import Layout, texture_scale

BREATHS: Final = 7
"""Steps between out and in for which the shoulders are drawn (once each): less than half a pixel each."""

_TEXELS_PER_PIXEL: Final = 2.0
"""How far the place in the texture usually goes from one pixel to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Geometry, texture and what stands still. Shared by faces on any thread: nobody writes into it."""

    figure: Figure
    size: tuple[int, int]
    """Width and height of the pictures, pixels."""
    layout: Layout
    texture: npt.NDArray[np.uint8]
    mobile: Mobile
    """Vertices of what is drawn anew in each picture."""
    moving: Surface
    """What shapes and the turning of the head move."""
    _shoulders: dict[int, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = field(default_factory=dict)
    _still: list[tuple[Mobile, Surface]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def height(self) -> float:
        """From chin to crown, without hair, decimetres."""
        return self.figure.height

    def painter(self) -> Painter:
        """Something that draws what moves; for one thread."""
        return self._painter(self.size, self.moving)

    def shoulders(self, step: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """What does not move with the head, on black, multiplied by its coverage; and its coverage.

        Args:
            step: How far breathed in, 0 to :data:`BREATHS` - 1.
        """
        with self._lock:
            if step not in self._shoulders:
                self._shoulders[step] = self._draw_shoulders(step)
            return self._shoulders[step]

    def _painter(self, size: tuple[int, int], surface: Surface) -> Painter:
        texels = _TEXELS_PER_PIXEL * self.layout.scale * 512 / min(size)
        return Painter(size, surface, self.texture, _balls(), BALL_RADIUS, texels)

    def _draw_shoulders(self, step: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        import cv2

        # Twice the size, as it is drawn only once: 16 numbers per pixel at its edges.
        width, height = 2 * self.size[0], 2 * self.size[1]
        if not self._still:
            self._still.append(self._still_surface((width, height)))
        mobile, surface = self._still[0]
        rig = Rig(mobile, (width, height))
        breath = FacePose(np.zeros(len(ARKIT_NAMES), np.float32), breath=step / (BREATHS - 1))
        points, normals = rig.pose(breath)
        image = np.zeros((height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        self._painter((width, height), surface).paint(rig.project(points), normals, image, mask)
        small: list[Any] = [
            cv2.resize(part, self.size, interpolation=cv2.INTER_AREA) for part in (image, mask)
        ]
        return small[0], small[1]

    def _still_surface(self, size: tuple[int, int]) -> tuple[Mobile, Surface]:
        # A row of quads on both sides of the border to what moves, or its edges let the background through.
        still = self.figure.still_quads()
        vertices = np.zeros(len(self.figure.rest), np.bool_)
        vertices[self.figure.quads[still]] = True
        near = np.asarray(vertices[self.figure.quads].any(axis=1), dtype=np.bool_)
        return make_surface(self.figure, self.layout, near, focal_length(size))


@lru_cache(maxsize=8)
def make_person(look: HeadLook, size: tuple[int, int]) -> Person:
    """The person that ``look`` tells of; takes about a second the first time."""
    layout = Layout(texture_scale(size))
    figure, texture = _baked(look, layout)
    mobile, moving = make_surface(figure, layout, ~figure.still_quads(), focal_length(size))
    return Person(figure, size, layout, texture, mobile, moving)


@lru_cache(maxsize=8)
def _baked(look: HeadLook, layout: Layout) -> tuple[Figure, npt.NDArray[np.uint8]]:
    figure = build_figure(look)
    return figure, bake_texture(figure, look, layout)


@lru_cache(maxsize=1)
def _balls() -> npt.NDArray[np.uint8]:
    return light_balls()
