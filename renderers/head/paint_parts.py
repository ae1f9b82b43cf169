"""Paints eyeballs, teeth, tongue and the inside of the mouth."""

from __future__ import annotations

import numpy as np

from renderers.head.asset import Floats
from renderers.head.looks import HeadLook
from renderers.head.paint import color, mix, noise, step

IRIS = 0.475
"""Radius of the iris over that of the eyeball."""
_PUPIL = 0.185


def eye_colors(width: int, height: int, look: HeadLook) -> Floats:
    """An eyeball from the front; the picture's half width is the eyeball's radius."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    white = np.broadcast_to(color("#e9e2da"), (height, width, 3)).astype(np.float32)
    white = mix(white, color("#d9a79b"), 0.75 * step(0.62, 0.98, radius))
    veins = np.clip(1 - np.abs(noise(angle * 7 + 3, radius * 5)) * 9, 0, 1) * step(0.62, 0.9, radius)
    white = mix(white, color("#c05a50"), 0.16 * veins)
    white = mix(white, color("#a5685c"), step(1.0, 1.1, radius))
    tone = color(look.eyes)
    # Fibres run outwards; brighter around the pupil and, against the light, at the bottom.
    fibres = 0.6 * noise(angle * 12.73, radius * 6) + 0.4 * noise(angle * 28.6 + 5, radius * 9)
    ring = step(_PUPIL, 0.30, radius) * step(IRIS, 0.36, radius)
    iris: Floats = (
        np.broadcast_to(tone, (height, width, 3)) * (0.78 + 0.30 * fibres + 0.32 * ring)[:, :, None]
    )
    lit = np.clip(0.5 + 0.9 * y / IRIS, 0, 1) * step(IRIS, 0.3, radius)
    iris = mix(iris, np.clip(tone * 1.9 + 0.10, 0, 1), 0.50 * lit)
    iris = mix(iris, color("#8a5a2c"), 0.22 * step(0.30, 0.20, radius))
    iris = mix(iris, tone * 0.22, 0.85 * step(IRIS - 0.085, IRIS - 0.005, radius))
    image = mix(white, iris, step(IRIS + 0.03, IRIS - 0.025, radius))
    return mix(image, color("#070606"), step(_PUPIL + 0.02, _PUPIL - 0.015, radius))


# Widths of the teeth from the middle outwards, as parts of half an arch (upper and lower).
_UPPER = (0.165, 0.135, 0.150, 0.145, 0.145, 0.13, 0.13)
_LOWER = (0.105, 0.115, 0.135, 0.145, 0.155, 0.17, 0.175)


def teeth_colors(width: int, height: int, upper: bool) -> Floats:
    """A row of teeth on its gum; the gum is at the top of the upper ones' picture."""
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(0, 1, height))
    if not upper:
        down = 1 - down
    edges = np.r_[0, np.cumsum(_UPPER if upper else _LOWER)]
    side = np.abs(across) * edges[-1]
    index = np.clip(np.searchsorted(edges, side, side="right") - 1, 0, len(edges) - 2)
    left, wide = edges[index], np.diff(edges)[index]
    within = (side - left) / wide  # 0 to 1 over one tooth
    bow = 4 * within * (1 - within)
    # Gums arch over each tooth, edges are round, canines are longer.
    gum = 0.44 - 0.13 * bow + 0.03 * (index > 2)
    length = np.array([1.0, 0.978, 0.992, 0.97, 0.955, 0.94, 0.92])[index] - 0.025 * (1 - bow) ** 3
    enamel = np.broadcast_to(color("#efe8da"), (height, width, 3)).astype(np.float32)
    enamel = mix(enamel, color("#d9c7a4"), 0.50 * step(gum + 0.30, gum - 0.02, down))
    enamel = mix(enamel, color("#dfe3e6"), 0.45 * step(0.86, 1.0, down))
    enamel = enamel * (0.93 + 0.07 * bow)[:, :, None]
    gap = step(0.055, 0.0, within) + step(0.945, 1.0, within)
    enamel = mix(enamel, color("#8d7059"), 0.55 * np.clip(gap, 0, 1) * step(gum - 0.02, gum + 0.1, down))
    flesh = np.broadcast_to(color("#b8615d"), (height, width, 3)) * (0.9 + 0.12 * bow)[:, :, None]
    image = mix(flesh.astype(np.float32), enamel, step(gum - 0.02, gum + 0.02, down))
    image = mix(image, color("#3a1514"), step(length, length + 0.03, down))
    # Further back there is less light, and the lips shade both rims.
    dark = 1 - 0.80 * step(0.22, 0.90, np.abs(across))
    rim = 1 - 0.50 * step(0.75, 0.15, down)
    return np.asarray(image * (dark * rim * (0.90 if upper else 0.76))[:, :, None], dtype=np.float32)


def tongue_colors(width: int, height: int) -> Floats:
    """The tongue from above: across, and from its tip backwards."""
    across, back = np.meshgrid(np.linspace(-1, 1, width), np.linspace(0, 1, height))
    image = np.broadcast_to(color("#c5686a"), (height, width, 3)).astype(np.float32)
    image = mix(image, color("#a24a50"), 0.5 * np.exp(-((across / 0.10) ** 2)))
    return np.asarray(image * (0.90 - 0.62 * step(0.05, 0.75, back))[:, :, None], dtype=np.float32)


def cavity_colors(width: int, height: int) -> Floats:
    """The inside of the mouth: from the lips backwards, and from above down."""
    back, _ = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    image = np.broadcast_to(color("#8e4440"), (height, width, 3)).astype(np.float32)
    return mix(image, color("#210a0b"), step(0.02, 0.28, back))
