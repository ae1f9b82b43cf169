"""Paints clothes: where they begin, their hems, folds and the shade that they throw on the skin."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from renderers.head.asset import Floats
from renderers.head.looks import ClothesStyle, HeadLook
from renderers.head.paint import Ground, color, mix, noise, step

_Line = tuple[tuple[float, float], ...]

_CREW: Final[_Line] = (
    (0, -0.40),
    (0.35, -0.35),
    (0.7, -0.20),
    (1.05, -0.01),
    (1.4, 0.10),
    (2.0, 0.16),
    (3.2, 0.20),
)
_TURTLENECK: Final[_Line] = ((0, 0.22), (0.6, 0.26), (1.4, 0.40), (3.2, 0.46))
"""Height of the edge by the angle around the neck, 0 in front."""
_V_NECK: Final[_Line] = ((0, -0.95), (0.06, -0.86), (0.50, -0.02), (0.66, 0.14), (0.9, 0.14))
_SHIRT: Final[_Line] = ((0, -0.52), (0.05, -0.46), (0.30, 0.02), (0.50, 0.16), (0.9, 0.16))
"""The same by the distance from the middle."""
_LEAF: Final[_Line] = ((0, -0.53), (0.05, -0.48), (0.31, -0.40), (0.54, -0.08), (0.72, 0.0), (0.9, 0.02))
"""Lower edge of a shirt's collar, likewise: two leaves, each ending in a point."""

_POINTS: Final = 1000
"""Of a curve's table."""


def curve(value: Floats, line: _Line, reach: float) -> Floats:
    """The height of ``line`` at ``value`` (not negative), its corners rounded over ``reach`` on both sides.

    Left of 0 the line goes on as in a mirror, right of its end level.
    """
    return np.asarray(np.interp(value, *_rounded(line, reach)), np.float32)


@cache
def _rounded(line: _Line, reach: float) -> tuple[Floats, Floats]:
    along, height = zip(*line, strict=True)
    spacing = along[-1] / (_POINTS - 1)
    width = max(1, round(reach / spacing))
    places = np.arange(-width, _POINTS + width) * spacing
    kernel = np.hanning(2 * width + 3)[1:-1]
    heights = np.convolve(np.interp(np.abs(places), along, height), kernel / kernel.sum(), mode="valid")
    return places[width:-width], heights


def below_collar(place: Floats, style: ClothesStyle) -> Floats:
    """How far below the upper edge of the clothes each place lies, decimetres; negative is bare skin.

    Args:
        place: Points on the mean person, shape (..., 3).
    """
    x, y, z = place[..., 0], place[..., 1], place[..., 2]
    side = np.abs(x)
    # Around the neck's axis, 0 in front and pi behind; the neck leans forward.
    angle = np.arctan2(side, z - 0.02 - 0.25 * y)
    if style == "turtleneck":
        edge = curve(angle, _TURTLENECK, 0.3)
    elif style == "crew":
        edge = curve(angle, _CREW, 0.3)
    elif style == "v_neck":
        edge = curve(side, _V_NECK, 0.08) + 0.4 * step(0.0, -0.4, z)
    else:
        edge = curve(side, _SHIRT, 0.10) + 0.3 * step(0.0, -0.4, z)
    return np.asarray(edge - y, np.float32)


def paint_clothes(image: Floats, ground: Ground, look: HeadLook) -> Floats:
    """Clothes over the skin in ``image``."""
    below = below_collar(ground.place, look.clothes)
    tone = color(look.clothes_color)
    dark = tone * 0.60
    weave = noise(ground.x * 120, ground.y * 40) * 0.5 + noise(ground.x * 40, ground.y * 120) * 0.5
    folds = noise(ground.x * 1.7 + 0.4 * ground.y, ground.y * 0.9 + 3) * 0.6 + 0.4 * noise(
        ground.x * 3.5, ground.y * 1.4
    )
    cloth: Floats = np.broadcast_to(tone, image.shape) * (1 + 0.018 * weave + 0.05 * folds)[:, :, None]
    light = np.clip(ground.light * 1.15, 0.2, 1) ** 0.5
    cloth = cloth * light[:, :, None]
    if look.clothes in ("crew", "v_neck"):
        # A hem of ribs, set off by a seam.
        hem = step(0.125, 0.115, below)
        ribs = 0.5 + 0.5 * np.sin(np.arctan2(ground.x, ground.z + 0.3) * 150)
        cloth = mix(cloth.astype(np.float32), np.clip(tone * 1.06, 0, 1) * light[:, :, None], 0.8 * hem)
        cloth = mix(cloth, dark, hem * (0.06 + 0.10 * ribs))
        cloth = mix(cloth, dark, 0.65 * np.exp(-(((below - 0.13) / 0.011) ** 2)))
        cloth = mix(
            cloth, np.clip(tone * 1.25 + 0.03, 0, 1), 0.35 * np.exp(-(((below - 0.018) / 0.016) ** 2))
        )
    elif look.clothes == "turtleneck":
        ribs = 0.5 + 0.5 * np.sin(np.arctan2(ground.x, ground.z - 0.1) * 90)
        neck = step(0.75, 0.55, below)
        cloth = mix(cloth.astype(np.float32), dark, neck * 0.30 * ribs)
        cloth = mix(cloth, dark, 0.5 * np.exp(-(((below - 0.36) / 0.03) ** 2)))
        cloth = mix(cloth, np.clip(tone * 1.2, 0, 1), 0.35 * np.exp(-(((below - 0.03) / 0.02) ** 2)))
    else:
        cloth = _shirt(cloth.astype(np.float32), ground, below, tone)
    # The clothes' shade on the skin.
    image = mix(image, image * np.array([0.70, 0.62, 0.58], np.float32), 0.6 * step(-0.09, 0.0, below))
    return mix(image, cloth.astype(np.float32), step(-0.006, 0.006, below))


def _shirt(cloth: Floats, ground: Ground, below: Floats, tone: Floats) -> Floats:
    side = np.abs(ground.x)
    dark = tone * 0.55
    # How far below the upper edge the collar's lower one is.
    point = np.maximum(curve(side, _SHIRT, 0.10) - curve(side, _LEAF, 0.04), 0.02)
    leaf = step(0.014, -0.014, below - point)
    cloth = mix(cloth, np.clip(tone * 1.10 + 0.02, 0, 1), 0.75 * leaf)
    cloth = mix(cloth, dark, 0.55 * np.exp(-((np.maximum(below - point, 0) / 0.045) ** 2)) * (below > point))
    cloth = mix(cloth, np.clip(tone * 1.2 + 0.05, 0, 1), 0.4 * np.exp(-(((below - 0.012) / 0.014) ** 2)))
    band = step(0.10, 0.09, side) * (below > point)
    cloth = mix(
        cloth, dark, 0.35 * np.exp(-(((side - 0.10) / 0.007) ** 2)) * (below > point) * (ground.z > 0)
    )
    for level in (-0.80, -1.20, -1.60):
        button = np.hypot(ground.x, ground.y - level)
        cloth = mix(cloth, np.clip(tone * 1.25 + 0.08, 0, 1), step(0.036, 0.030, button) * (ground.z > 0))
        cloth = mix(cloth, dark, 0.6 * np.exp(-(((button - 0.037) / 0.006) ** 2)) * (ground.z > 0))
    return mix(cloth, cloth * 1.02, band)
