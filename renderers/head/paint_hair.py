"""Paints hair: on the scalp, on hanging sheets and on buns."""

from __future__ import annotations

import numpy as np

from renderers.head.asset import Floats
from renderers.head.hair_shape import AXIS_Z
from renderers.head.looks import HeadLook
from renderers.head.paint import Ground, color, mix, noise, step

_CROWN = np.array([0.10, 0.90, -0.42])
_MIDDLE = np.array([0.0, 1.55, AXIS_Z])


def _tones(look: HeadLook, strands: Floats, shine: Floats, depth: Floats) -> Floats:
    """Hair by how bright each strand is, the shine upon it and how deep it lies (0 outside, 1 inside)."""
    tone = color(look.hair_color)
    bright = np.clip(tone * 1.55 + 0.05, 0, 1)
    dark = tone * 0.52
    image = np.broadcast_to(tone, (*strands.shape, 3)).astype(np.float32)
    image = mix(image, bright, np.clip(0.50 * strands, 0, 1))
    image = mix(image, dark, np.clip(-0.75 * strands, 0, 1))
    gloss = np.clip(tone * 1.9 + 0.16, 0, 1)
    image = mix(image, gloss, np.clip(shine * (0.42 + 0.50 * strands), 0, 0.75))
    return mix(image, dark * 0.8, np.clip(depth, 0, 1))


def scalp_colors(ground: Ground, look: HeadLook) -> tuple[Floats, Floats]:
    """Colours of hair on the head, shape (height, width, 3), and how bright each strand is, -1 to 1."""
    away = ground.place - _MIDDLE
    away = away / np.maximum(np.linalg.norm(away, axis=2, keepdims=True), 1e-6)
    crown = _CROWN / np.linalg.norm(_CROWN)
    right = np.cross(crown, np.array([0.0, -0.42, -0.9]))
    right /= np.linalg.norm(right)
    back = np.cross(right, crown)
    polar = np.arccos(np.clip(away @ crown, -1, 1))
    turn = np.arctan2(away @ right, away @ back)
    if look.hair == "curly":
        p = ground.place
        strands = 0.5 * noise(
            p[:, :, 0] * 16 + p[:, :, 2] * 9, p[:, :, 1] * 16 - p[:, :, 2] * 7
        ) + 0.6 * noise(p[:, :, 0] * 34 - p[:, :, 2] * 17, p[:, :, 1] * 34 + p[:, :, 2] * 21)
        shine = 0.12 * step(1.9, 2.5, ground.y)
        return _tones(look, strands, shine, 0.45 * step(0.12, -0.05, ground.hair - 0.12)), strands
    if look.hair in ("bob", "long"):
        # Combed from a parting to both sides.
        combed = ground.z - 0.25 * np.abs(ground.x) + 0.05 * noise(ground.x * 5, ground.z * 5)
        strands = (
            0.45 * noise(combed * 22, np.abs(ground.x) * 1.5 + ground.y)
            + 0.35 * noise(combed * 60, np.abs(ground.x) * 3 + 31)
            + 0.25 * noise(combed * 120, np.abs(ground.x) * 5 + 77)
        )
        front = step(-0.2, 0.7, away[:, :, 2])
        shine = np.exp(-(((np.abs(ground.x) - 0.30 + 0.03 * strands) / 0.10) ** 2)) * front
        parting = np.exp(-(((ground.x - 0.10) / 0.016) ** 2)) * step(0.1, 0.4, ground.z)
        image = _tones(look, strands, 0.8 * shine, 0.5 * np.exp(-(((ground.x - 0.10) / 0.05) ** 2)))
        return mix(image, color(look.skin) * 0.8, 0.65 * parting), strands
    bend = turn + 0.10 * noise(polar * 4, turn * 2 + 9)
    strands = (
        0.45 * noise(bend * 26, polar * 2.2)
        + 0.35 * noise(bend * 70, polar * 3.5 + 31)
        + 0.25 * noise(bend * 140, polar * 6 + 77)
    )
    # The ring of shine that lies across strands, where they face the light above the forehead.
    front = step(-0.2, 0.7, away[:, :, 2]) * (0.8 - 0.5 * away[:, :, 0])
    shine = np.exp(-(((away[:, :, 1] - 0.78 + 0.03 * strands) / 0.085) ** 2)) * front
    deep = 0.35 * step(1.75, 1.25, ground.y) * step(0.7, 0.1, ground.z)
    if look.hair == "crop":
        return _tones(look, strands * 0.4, shine * 0.25, deep), strands
    return _tones(look, strands, np.asarray(shine), deep), strands


def sheet_colors(ground: Ground, look: HeadLook) -> Floats:
    """Colours of a sheet of hair, whose texture goes around by its width and down by its height."""
    height, width = ground.x.shape
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(0, 1, height))
    side = np.abs(across)
    wavy = across + 0.006 * np.sin(down * 14 + 6 * across)
    strands = (
        0.45 * noise(wavy * 60, down * 2.5)
        + 0.40 * noise(wavy * 150 + 9, down * 4 + 31)
        + 0.30 * noise(wavy * 320 + 3, down * 6 + 77)
    )
    shine = np.exp(-(((down - 0.24 + 0.02 * strands) / 0.08) ** 2)) * 0.6 + 0.35 * np.exp(
        -(((down - 0.62 + 0.03 * strands) / 0.10) ** 2)
    )
    # Close to the face it lies in its own shade; the tips are lighter.
    depth = 0.45 * step(0.965, 1.0, side) * step(0.15, 0.35, down)
    image = _tones(look, strands, shine, depth)
    image = mix(image, np.clip(color(look.hair_color) * 1.35 + 0.02, 0, 1), 0.22 * step(0.6, 1.0, down))
    # Its upper rim shall not be seen: there it is painted as the hair that it lies on.
    above, _ = scalp_colors(ground, look)
    return mix(above, image, step(0.02, 0.38, down + 0.05 * strands))
