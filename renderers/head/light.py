"""Light, as pictures of lit balls ("matcaps"): how bright each material is, by where it faces."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.assemble import MATERIALS
from renderers.head.asset import Floats

BALL_RADIUS: Final = 124.0
"""Pixels."""
_TILE: Final = 256
_ONE: Final = 128
"""Brightness 1 in the picture: the painter multiplies by value / 128."""

_KEY: Final = np.array([-0.42, 0.52, 0.74])
_FILL: Final = np.array([0.85, 0.05, 0.45])
_RIM: Final = np.array([0.62, 0.35, -0.45])
_RIM_LEFT: Final = np.array([-0.75, 0.25, -0.50])


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def ball_centers() -> Floats:
    """Middle of each material's ball in the picture, shape (materials, 2), pixels."""
    count = len(MATERIALS)
    return np.stack([np.full(count, _TILE / 2 - 0.5), np.arange(count) * _TILE + _TILE / 2 - 0.5], 1).astype(
        np.float32
    )


def light_balls() -> npt.NDArray[np.uint8]:
    """The picture of all balls, one below the other: blue, green, red, and nothing."""
    row, column = np.mgrid[0:_TILE, 0:_TILE]
    x = (column - (_TILE / 2 - 0.5)) / BALL_RADIUS
    y = -(row - (_TILE / 2 - 0.5)) / BALL_RADIUS
    length = np.sqrt(x * x + y * y)
    # Beyond the rim the ball goes on as at its rim.
    over = np.maximum(length, 1.0)
    x, y = x / over, y / over
    normal = np.stack([x, y, np.sqrt(np.clip(1 - x * x - y * y, 0, 1))], 2)
    tiles = [_ball(normal, material) for material in MATERIALS]
    linear = np.concatenate(tiles)
    # Colours are multiplied as they are stored, so light is stored in the same curve (gamma 2.2).
    shown = np.clip(linear, 0, None) ** (1 / 2.2)
    bright = np.clip(np.rint(shown[:, :, ::-1] * _ONE), 0, 255).astype(np.uint8)
    return np.dstack([bright, np.zeros_like(bright[:, :, 0])])


def _ball(normal: npt.NDArray[np.float64], material: str) -> npt.NDArray[np.float64]:
    """Linear light, red-green-blue."""
    key, fill = normal @ _unit(_KEY), normal @ _unit(_FILL)
    up, front = normal[:, :, 1], normal[:, :, 2]
    if material == "inside":
        return np.ones((*normal.shape[:2], 3)) * 0.9

    def wrapped(cosine: npt.NDArray[np.float64], wrap: float) -> npt.NDArray[np.float64]:
        return np.clip((cosine + wrap) / (1 + wrap), 0, 1)

    # Light that has gone through skin is red: red reaches further round (roughly as Penner has it).
    wraps = (0.52, 0.34, 0.28) if material == "skin" else (0.30, 0.30, 0.30)
    key_light = np.stack([wrapped(key, wrap) for wrap in wraps], 2) * np.array([1.02, 0.98, 0.92]) * 0.86
    fill_light = wrapped(fill, 0.6)[:, :, None] * np.array([0.80, 0.90, 1.0]) * 0.20
    sky = (0.5 + 0.5 * up)[:, :, None] * np.array([0.92, 0.96, 1.0]) * 0.20
    ground = (0.5 - 0.5 * up)[:, :, None] * np.array([1.0, 0.90, 0.82]) * 0.09
    light = key_light + fill_light + sky + ground
    edge = (1 - np.clip(front, 0, 1)) ** 3
    rim = np.clip(normal @ _unit(_RIM), 0, 1) + 0.6 * np.clip(normal @ _unit(_RIM_LEFT), 0, 1)
    half = _unit(_unit(_KEY) + np.array([0, 0, 1.0]))
    shine = np.clip(normal @ half, 0, 1)
    if material == "skin":
        light += (edge * rim * 0.55)[:, :, None] * np.array([0.95, 0.97, 1.0])
        light += (0.13 * shine**14 + 0.08 * shine**60)[:, :, None]
    elif material == "hair":
        light += (edge * rim * 0.9)[:, :, None] + (0.30 * shine**10)[:, :, None]
    elif material == "cloth":
        light += (edge * rim * 0.35)[:, :, None] + (0.03 * shine**6)[:, :, None]
    elif material == "eye":
        # In the shade of brows and lids; what eyes mirror is drawn on top (the painter's glints).
        shade = np.clip(1.02 - 0.55 * np.clip(up - 0.05, 0, 1) - 0.20 * np.abs(normal[:, :, 0]), 0.3, 1)
        light = (0.68 + 0.26 * light) * shade[:, :, None]
    elif material == "wet":
        light += (0.5 * shine**40)[:, :, None]
    return np.asarray(light)
