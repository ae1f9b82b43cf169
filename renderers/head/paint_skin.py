"""Paints skin: its tone, lips, lids, brows, beard, freckles and the lines of age."""

from __future__ import annotations

from typing import Final

import numpy as np

from renderers.head.asset import Floats, load_asset
from renderers.head.hair_shape import above_hairline
from renderers.head.looks import HeadLook
from renderers.head.paint import Ground, along_line, color, mix, noise, spot, step, tint

# On the mean person's front, decimetres: x to the side, y up.
_BROW: Final = np.array(
    [[0.115, 1.602], [0.20, 1.634], [0.30, 1.662], [0.39, 1.668], [0.47, 1.646], [0.545, 1.604]]
)
_FOLD: Final = np.array([[0.205, 1.06], [0.27, 0.97], [0.315, 0.87], [0.335, 0.77]])
_MOUTH_Y: Final = 0.722
_MOUTH: Final = np.array([0.0, _MOUTH_Y, 1.40])


_RAGGED: Final = {
    "crop": 0.05,
    "short": 0.055,
    "swept": 0.05,
    "curly": 0.06,
    "bob": 0.02,
    "long": 0.02,
    "bun": 0.03,
}
"""How uneven the hairline is, decimetres."""


def paint_skin(ground: Ground, look: HeadLook) -> Floats:
    """Colours of the skin, shape (height, width, 3), 0 to 1."""
    base = color(look.skin)
    warm = base * np.array([1.0, 0.72, 0.66], np.float32)
    image = np.broadcast_to(base, (*ground.x.shape, 3)).astype(np.float32)
    mottle = 0.6 * noise(ground.x * 9 + 50, ground.y * 9 + ground.z * 7) + 0.4 * noise(
        ground.x * 26, ground.y * 26 + ground.z * 20
    )
    image = tint(image, 1 + 0.014 * mottle)
    red = (
        0.80 * spot(ground, (0.40, 1.05, 1.18), 0.15)
        + 0.55 * spot(ground, (0.0, 1.06, 1.52), 0.09)
        + 0.30 * spot(ground, (0.0, 0.40, 1.34), 0.13)
        + 0.50 * ground.ears
        + 0.25 * spot(ground, (0.17, 1.36, 1.22), 0.06)
    )
    image = mix(image, warm, np.clip(0.75 * red * look.blush * (1 + 0.25 * mottle), 0, 0.8))
    # The forehead is a little lighter.
    image = mix(
        image, base * np.array([1.04, 1.04, 1.03], np.float32), 0.5 * spot(ground, (0.0, 1.85, 1.36), 0.25)
    )
    image = _eyes_surroundings(image, ground, look)
    image = _age(image, ground, look)
    if look.freckles:
        dots = noise(ground.x * 52 + 11, ground.y * 52 + ground.z * 25)
        zone = spot(ground, (0.30, 1.12, 1.25), 0.17) + spot(ground, (0, 1.12, 1.48), 0.12)
        brown = base * np.array([0.70, 0.56, 0.46], np.float32)
        image = mix(image, brown, np.clip(0.6 * look.freckles * zone * step(0.45, 0.85, dots), 0, 0.7))
    image = _beard(image, ground, look)
    image = _lips(image, ground, look)
    image = _shade(image, ground)
    return _brows(image, ground, look)


def _shade(image: Floats, ground: Ground) -> Floats:
    """Where little of the sky is seen it is dark, and red: light there has gone through skin."""
    light = np.clip(ground.light * 1.22, 0.03, 1)
    eyes = load_asset().eyes
    for eye in eyes:
        near = step(1.35, 1.05, np.linalg.norm(ground.place - eye[:3], axis=2) / eye[3])
        light = np.maximum(light, 0.42 * near)
    # Between the lips it shall be dark red, not black.
    light = np.maximum(light, 0.20 * step(0.42, 0.30, np.linalg.norm(ground.place - _MOUTH, axis=2)))
    # Lips shut out the light where they meet, but the corners shall not look like holes.
    powers = np.array([0.42, 0.62, 0.68], np.float32)
    return np.asarray(image * light[:, :, None] ** powers, dtype=np.float32)


def _eyes_surroundings(image: Floats, ground: Ground, look: HeadLook) -> Floats:
    base = color(look.skin)
    lid = base * np.array([0.84, 0.68, 0.64], np.float32)
    upper = ground.lids * step(1.385, 1.42, ground.y)
    image = mix(image, lid, 0.35 * ground.lids + (0.25 if look.sex < 0 else 0.1) * upper)
    hollow = spot(ground, (0.26, 1.26, 1.26), 0.075)
    image = mix(image, base * np.array([0.86, 0.76, 0.76], np.float32), (0.22 + 0.25 * look.age) * hollow)
    asset = load_asset()
    eyes = asset.eyes.mean(0)
    middle = np.array([asset.eyes[0, 0], eyes[1], eyes[2]])
    place = np.stack([np.abs(ground.x), ground.y, ground.z], 2)
    depth = np.linalg.norm(place - middle, axis=2) / eyes[3]
    # What touches the eyeball is moist and red, not the dark hole that the sky's light would make of it.
    inner = step(1.10, 1.0, depth) * (ground.z > eyes[2])
    image = mix(image, base * np.array([0.85, 0.62, 0.58], np.float32), 0.6 * inner)
    # The margin of the upper lid: dark with lashes.
    roots = asset.rest[asset.lashes[0, 0]]
    near = depth < 1.5
    distance = np.full(ground.x.shape, 1.0, np.float32)
    along = np.zeros(ground.x.shape, np.float32)
    if near.any():
        distance[near], along[near] = along_line(place[near], roots)
    thick = (0.021 if look.sex < 0 else 0.013) * (0.55 + 0.6 * along)
    line = step(1.0, 0.35, distance / np.maximum(thick, 1e-4)) * (distance < 0.1)
    return mix(image, color("#1d1411"), 0.88 * line)


def _age(image: Floats, ground: Ground, look: HeadLook) -> Floats:
    base = color(look.skin)
    shade = base * np.array([0.78, 0.64, 0.60], np.float32)
    side = np.abs(ground.x)
    front = step(0.9, 1.1, ground.z)
    near = (side < 0.42) & (ground.y > 0.7) & (ground.y < 1.12) & (ground.z > 1.1)
    fold = np.zeros(side.shape, np.float32)
    if near.any():
        distance, along = along_line(np.stack([side[near], ground.y[near]], 1), _FOLD)
        fold[near] = np.exp(-((distance / 0.018) ** 2)) * (1 - 0.6 * along)
    image = mix(image, shade, np.clip(0.05 + 0.6 * look.age, 0, 1) * fold * 0.6)
    if look.age > 0.2:
        strength = (look.age - 0.2) / 0.8
        wave = ground.y + 0.012 * noise(ground.x * 5, ground.y * 3)
        lines = sum(np.exp(-(((wave - level) / 0.008) ** 2)) for level in (1.78, 1.86, 1.94))
        image = mix(image, shade, 0.35 * strength * lines * front * step(0.5, 0.25, side))
        angle = np.arctan2(ground.y - 1.39, side - 0.40)
        feet = sum(np.exp(-(((angle - turn) / 0.09) ** 2)) for turn in (-0.5, -0.1, 0.3))
        reach = np.hypot(ground.y - 1.39, side - 0.40)
        image = mix(
            image,
            shade,
            0.45 * strength * feet * step(0.04, 0.07, reach) * step(0.19, 0.10, reach) * (ground.z > 0.8),
        )
    return image


def _lips(image: Floats, ground: Ground, look: HeadLook) -> Floats:
    # Men's lips differ less from their skin.
    tone = mix(
        color(look.lips),
        color(look.skin) * np.array([0.88, 0.76, 0.72], np.float32),
        0.35 * max(0.0, look.sex),
    )
    mask = step(0.18, 0.72, ground.lips)
    below = step(_MOUTH_Y + 0.02, _MOUTH_Y - 0.02, ground.y)
    side = np.clip(np.abs(ground.x) / 0.24, 0, 1)
    lip = np.broadcast_to(tone, image.shape) * (0.90 + 0.12 * below)[:, :, None]
    # Fine upright lines, a soft shine below, and darker where the lips meet.
    lines = noise(ground.x * 60, ground.y * 5)
    lip = lip * (1 + 0.035 * lines)[:, :, None]
    shine = np.exp(-(((ground.y - 0.645) / 0.022) ** 2 + (ground.x / 0.10) ** 2)) * below
    lip = mix(lip, np.ones(3, np.float32), 0.16 * shine)
    meet = np.exp(-(((ground.y - _MOUTH_Y - 0.008 * (1 - side)) / 0.013) ** 2))
    lip = mix(lip, tone * np.array([0.60, 0.46, 0.46], np.float32), 0.45 * meet)
    return mix(image, lip, mask * (0.92 - 0.12 * side))


def _brows(image: Floats, ground: Ground, look: HeadLook) -> Floats:
    tone = color(look.brow_color or look.hair_color)
    tone = np.minimum(tone, color(look.skin) * 0.62)
    side = np.abs(ground.x)
    near = (side < 0.66) & (ground.y > 1.48) & (ground.y < 1.80) & (ground.z > 0.7)
    if not near.any():
        return image
    male = 0.5 + 0.5 * look.sex
    line = _BROW.copy()
    # Men's brows lie lower and straighter.
    line[:, 1] -= 0.022 * male + 0.012 * male * np.sin(np.linspace(0, np.pi, len(line)))
    distance, along = along_line(np.stack([side[near], ground.y[near]], 1), line)
    thick = (0.030 + 0.016 * male) * np.interp(along, [0, 0.12, 0.5, 0.8, 1], [0.75, 1.0, 0.95, 0.6, 0.2])
    body = step(1.25, 0.35, distance / thick)
    # Hairs lean outwards along the brow.
    above = ground.y[near] - np.interp(along, np.linspace(0, 1, len(line)), line[:, 1])
    hairs = noise(along * 46 - above * 260 * (1 - 0.75 * along), along * 3 + above * 20) * 0.6 + 0.4 * noise(
        along * 90 - above * 380 * (1 - 0.7 * along), above * 30 + 40
    )
    ends = step(0.0, 0.10, along + 0.06 * hairs) * step(1.0, 0.86, along)
    amount = np.clip(body * (0.74 + 0.42 * hairs) * (0.45 + 0.55 * ends), 0, 0.93)
    result = image.copy()
    result[near] = mix(image[near], tone, amount * (1 - 0.25 * look.age))
    return result


def beard_zone(ground: Ground) -> Floats:
    """Where a beard grows, 0 to 1."""
    side = np.abs(ground.x)
    # Cheek line: from the sideburn down to the corner of the mouth; below: some way down the throat.
    cheek = np.interp(
        side, [0.0, 0.20, 0.34, 0.46, 0.58, 0.66, 0.8], [0.90, 0.90, 0.80, 0.83, 1.00, 1.22, 1.3]
    )
    upper = step(0.05, -0.05, ground.y - cheek)
    lower = step(0.12, 0.32, ground.y + 0.16 * step(0.9, 1.2, ground.z))
    moustache = (
        step(0.33, 0.24, side) * step(0.77, 0.81, ground.y) * step(0.965, 0.915, ground.y + 0.22 * side)
    )
    bare = step(0.10, 0.035, np.hypot(side * 0.9 - 0.16, ground.y - 0.60)) * 0.3
    back = step(0.28, 0.42, ground.z)
    zone = np.clip(np.maximum(upper * lower * (1 - bare), moustache), 0, 1) * back * (1 - ground.ears)
    return np.asarray(zone * step(0.5, 0.15, ground.lips), dtype=np.float32)


def _beard(image: Floats, ground: Ground, look: HeadLook) -> Floats:
    if look.sex > 0.2 and look.beard < 0.1:
        # A shaved beard still shows.
        return mix(
            image, color(look.skin) * np.array([0.80, 0.80, 0.84], np.float32), 0.22 * beard_zone(ground)
        )
    if not look.beard:
        return image
    zone = beard_zone(ground)
    # Finer than a texel: grain rather than hairs.
    hairs = 0.45 * noise(ground.x * 95, ground.y * 50 + ground.z * 60) + 0.55 * noise(
        ground.x * 190 + 7, ground.y * 130 + ground.z * 140
    )
    tone = np.minimum(color(look.brow_color or look.hair_color) * 0.9, color(look.skin) * 0.7)
    dense = look.beard
    amount = zone * np.clip(0.97 * dense + 0.34 * hairs * min(1.0, 2.0 * dense), 0, 0.95)
    return mix(image, tone, amount)


def paint_scalp(image: Floats, ground: Ground, look: HeadLook, soft: float) -> Floats:
    """Hair that grows on the head, over ``image``, with a soft line."""
    from renderers.head.paint_hair import scalp_colors

    inside = above_hairline(ground.place)
    colors, strands = scalp_colors(ground, look)
    amount = step(-0.6 * soft, 1.3 * soft, inside + _RAGGED[look.hair] * strands) * (
        1 - np.clip(3 * ground.ears, 0, 1)
    )
    if look.hair == "crop":
        amount = amount * 0.86
    # Hair shades the skin beside it.
    near = step(-0.13, 0.02, inside) * (1 - amount) * (1 - ground.ears)
    image = mix(image, image * np.array([0.82, 0.77, 0.74], np.float32), 0.40 * near)
    return mix(image, colors, amount)
