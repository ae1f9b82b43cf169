"""Fills the whole texture of a figure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from renderers.head.assemble import PARTS
from renderers.head.asset import Floats
from renderers.head.figure import Figure
from renderers.head.hair_shape import CUTS
from renderers.head.looks import HeadLook
from renderers.head.paint import Ground, color
from renderers.head.paint_clothes import paint_clothes
from renderers.head.paint_hair import sheet_colors
from renderers.head.paint_parts import cavity_colors, eye_colors, teeth_colors, tongue_colors
from renderers.head.paint_skin import paint_scalp, paint_skin
from renderers.head.texture import Layout, spread

_ROW = 1024


def bake_texture(figure: Figure, look: HeadLook, layout: Layout) -> npt.NDArray[np.uint8]:
    """The texture, shape (height, width, 4): blue, green, red, and nothing."""
    image = np.zeros(layout.shape, np.float32)

    def put(part: str, colors: Floats) -> None:
        left, top, width, height = layout.box(part)
        image[top : top + height, left : left + width] = colors[:height, :width]

    for part in ("head", "torso"):
        values, covered = _spread(figure, layout, part)
        # Only what is covered is painted, in rows of any length: paint does not ask for its neighbours.
        count = np.count_nonzero(covered)
        rows = -(-count // _ROW)
        block = np.zeros((rows * _ROW, values.shape[2]), np.float32)
        block[:count] = values[covered]
        ground = _ground(block.reshape(rows, _ROW, -1))
        colors = paint_skin(ground, look)
        if part == "head" and look.hair != "bald":
            colors = paint_scalp(colors, ground, look, CUTS[look.hair].soft)
        colors = paint_clothes(colors, ground, look)
        whole = np.zeros((*covered.shape, 3), np.float32)
        whole[covered] = colors.reshape(-1, 3)[:count]
        put(part, whole)
    sides = {part: layout.box(part)[2:] for part in PARTS}
    put("eye", eye_colors(*sides["eye"], look))
    put("upper_teeth", teeth_colors(*sides["upper_teeth"], upper=True))
    put("lower_teeth", teeth_colors(*sides["lower_teeth"], upper=False))
    put("tongue", tongue_colors(*sides["tongue"]))
    put("cavity", cavity_colors(*sides["cavity"]))
    if np.any(figure.parts == PARTS.index("sheet")):
        put("sheet", sheet_colors(_ground(_spread(figure, layout, "sheet")[0]), look))
    width, height = sides["lining"]
    put("lining", np.broadcast_to(color(look.hair_color) * 0.30, (height, width, 3)))
    painted = np.clip(np.rint(image[:, :, ::-1] * 255), 0, 255).astype(np.uint8)
    return np.dstack([painted, np.zeros_like(painted[:, :, 0])])


def _spread(figure: Figure, layout: Layout, part: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """All that is known of the texels of ``part``, and which of them are laid on something."""
    own = figure.parts == PARTS.index(part)
    quads = figure.quads[own]
    left, top, width, height = layout.box(part)
    corners = layout.place(figure)[own] - np.array([left, top], np.float32)
    values = np.concatenate([figure.canonical, figure.attributes, figure.hair[:, None]], axis=1)[quads]
    # Parts that lie over each other in the texture (the back behind the chest): the front one counts.
    order = np.argsort(figure.canonical[quads][:, :, 2].mean(1))
    return spread(corners[order], values[order], width, height)


def _ground(spread_values: Floats) -> Ground:
    return Ground(
        place=spread_values[:, :, 0:3],
        lips=spread_values[:, :, 3],
        lids=spread_values[:, :, 4],
        ears=spread_values[:, :, 5],
        light=spread_values[:, :, 6],
        hair=spread_values[:, :, 7],
    )
