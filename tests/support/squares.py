"""Squares before a viewer, as the head's painter draws them, in four colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from renderers.head.painter import Painter
from renderers.head.surface import Surface, Window
from renderers.head.touches import Glint, Stroke

SIDE = 64
RED, GREEN, BLUE, WHITE = range(4)
"""Squares of the texture, 16 texels each."""


def texture() -> npt.NDArray[np.uint8]:
    image = np.zeros((16, 64, 4), np.uint8)
    for number, color in enumerate(((0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255))):
        image[:, 16 * number : 16 * number + 16, :3] = color
    return image


def balls() -> npt.NDArray[np.uint8]:
    """Twice as bright for what faces up as for what faces down."""
    image = np.zeros((65, 65, 4), np.uint8)
    image[..., :3] = np.linspace(160, 80, 65)[:, None, None]
    return image


class Squares:
    """What is in the picture."""

    def __init__(self) -> None:
        self.points: list[list[float]] = []
        self.normals: list[tuple[float, float, float]] = []
        self.colors: list[int] = []
        self.nearness: list[float] = []

    def add(
        self,
        box: tuple[float, float, float, float],
        color: int,
        distance: float = 5.0,
        normal: tuple[float, float, float] = (0.0, 0.0, 1.0),
        nearness: float = 0.0,
        behind: bool = False,
    ) -> None:
        left, top, right, bottom = box
        corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
        self.points += [[x, y, distance] for x, y in (corners[::-1] if behind else corners)]
        self.normals += [(normal[0], normal[1], -normal[2] if behind else normal[2])] * 4
        self.colors.append(color)
        self.nearness.append(nearness)

    def surface(self, windows: tuple[Window, ...] = ()) -> Surface:
        count = len(self.colors)
        uvs = np.array([[[16 * color + 8.0, 8.0]] * 4 for color in self.colors], np.float32)
        flags = np.ones(count, np.bool_)
        return Surface(
            quads=np.arange(4 * count).reshape(count, 4),
            uvs=uvs,
            balls=np.full((count, 2), 32.0, np.float32),
            nearness=np.array(self.nearness, np.float32),
            shiny=flags,
            lashed=flags,
            windows=windows,
        )

    def paint(
        self,
        background: int = 0,
        alpha: npt.NDArray[np.uint8] | None = None,
        windows: tuple[Window, ...] = (),
        glints: tuple[Glint, ...] = (),
        strokes: tuple[Stroke, ...] = (),
        emerging: Sequence[int] = (),
        emerged: bool = False,
        under: npt.NDArray[np.bool_] | None = None,
        solid: npt.NDArray[np.bool_] | None = None,
        walls: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.uint8]:
        surface = replace(
            self.surface(windows),
            emerging=np.array(emerging, np.intp),
            emerged=2000.0,
            under=under,
            walls=walls,
            beyond=-500.0,
        )
        painter = Painter((SIDE, SIDE), surface, texture(), balls(), 30.0, 1.0)
        image = np.full((SIDE, SIDE, 3), background, np.uint8)
        points, normals = np.array(self.points, np.float32), np.array(self.normals, np.float32)
        painter.paint(points, normals, image, alpha, glints, strokes, emerged=emerged, solid=solid)
        return image
