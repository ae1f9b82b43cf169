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
from renderers.head.assemble import MATERIALS, PARTS
from renderers.head.bake import bake_texture
from renderers.head.figure import Figure, build_figure
from renderers.head.light import BALL_RADIUS, ball_centers, light_balls
from renderers.head.looks import HeadLook
from renderers.head.painter import Painter, Surface
from renderers.head.rig import DISTANCE, Rig
from renderers.head.simplify import join_quads
from renderers.head.texture import Layout, texture_scale

BREATHS: Final = 7
"""Steps between out and in for which the shoulders are drawn (once each): less than half a pixel each."""

_JOIN: Final = 0.4
"""Pixels by which the mesh may be off its finest form."""
_JOIN_HIDDEN: Final = 1.5
"""So many times as much, on top, where it is not seen."""

_UPPER_LIP: Final = 0.10
"""Decimetres by which the upper lip counts as nearer: lips that are pressed go through each other."""

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
    moving: Surface
    """What shapes and the turning of the head move."""
    _shoulders: dict[int, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
        rig = Rig(self.figure, (width, height))
        breath = FacePose(np.zeros(len(ARKIT_NAMES), np.float32), breath=step / (BREATHS - 1))
        points, normals = rig.pose(breath)
        image = np.zeros((height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        # A row of quads on both sides of the border to what moves, or its edges let the background through.
        still = self.figure.still_quads()
        vertices = np.zeros(len(self.figure.rest), np.bool_)
        vertices[self.figure.quads[still]] = True
        near = np.asarray(vertices[self.figure.quads].any(axis=1), dtype=np.bool_)
        surface = make_surface(self.figure, self.layout, near, rig.focal)
        self._painter((width, height), surface).paint(rig.project(points), normals, image, mask)
        small: list[Any] = [
            cv2.resize(part, self.size, interpolation=cv2.INTER_AREA) for part in (image, mask)
        ]
        return small[0], small[1]


@lru_cache(maxsize=8)
def make_person(look: HeadLook, size: tuple[int, int]) -> Person:
    """The person that ``look`` tells of; takes about a second the first time."""
    layout = Layout(texture_scale(size))
    figure, texture = _baked(look, layout)
    focal = Rig(figure, size).focal
    return Person(figure, size, layout, texture, make_surface(figure, layout, ~figure.still_quads(), focal))


@lru_cache(maxsize=8)
def _baked(look: HeadLook, layout: Layout) -> tuple[Figure, npt.NDArray[np.uint8]]:
    figure = build_figure(look)
    return figure, bake_texture(figure, look, layout)


@lru_cache(maxsize=1)
def _balls() -> npt.NDArray[np.uint8]:
    return light_balls()


def make_surface(figure: Figure, layout: Layout, chosen: npt.NDArray[np.bool_], focal: float) -> Surface:
    """The ``chosen`` quads of a figure, as few as a picture with this focal length (pixels) needs."""
    kinds = (figure.parts * len(MATERIALS) + figure.materials) * 8 + figure.layers
    quads, uvs, origin = join_quads(
        figure.quads[chosen],
        layout.place(figure)[chosen],
        kinds[chosen],
        figure.rest,
        figure.full_moves(),
        figure.normals,
        _JOIN * DISTANCE / focal * (1 + _JOIN_HIDDEN * figure.hidden),
    )
    origin = np.flatnonzero(chosen)[origin]
    return Surface(
        quads=quads,
        uvs=uvs,
        balls=ball_centers()[figure.materials[origin]],
        nearness=1000.0 * figure.layers[origin] + _UPPER_LIP * figure.upper_lip[quads].all(axis=1),
        shiny=figure.parts[origin] == PARTS.index("eye"),
        lashed=np.asarray(figure.around_eyes[quads].all(axis=1), dtype=np.bool_),
        windows=figure.windows(quads, origin),
    )
