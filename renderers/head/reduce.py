"""From a figure to what a picture of some size needs of it: fewer quads, and only their vertices."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from renderers.head.assemble import BEFORE, BODY, FACE, MATERIALS, PARTS
from renderers.head.asset import Floats
from renderers.head.figure import Figure
from renderers.head.light import ball_centers
from renderers.head.mobile import Mobile
from renderers.head.rig import DISTANCE, PIVOT, rotation_matrix
from renderers.head.simplify import Joined, join_quads
from renderers.head.surface import Surface, Window
from renderers.head.texture import Layout

_JOIN: Final = 1.4
"""Pixels by which the mesh may be off its finest form."""
_JOIN_FINE: Final = 0.4
"""The same where lips and lids meet, and where hair is the outline."""
_MOST: Final = 0.010
"""Decimetres by which lips and lids may be off in pictures of any size."""
_MOST_FINE: Final = 0.005
"""The same of what is fine."""
_OF_A_LIP: Final = 0.05
"""How much of a lip or a lid a vertex is that counts as one."""
_JOIN_HIDDEN: Final = 1.5
"""So many times as much, on top, where it is not seen."""

_TONGUE_FRONT: Final = 1.05
"""Decimetres before the joint of the neck: what of the tongue can come out."""

_TONGUE_NEARER: Final = 0.25
"""Decimetres by which it counts as nearer then: full lips would go through it."""

_UPPER_LIP: Final = 0.10
"""Decimetres by which the upper lip counts as nearer: lips that are pressed go through each other."""

_HANGING: Final = 0.25
"""Decimetres by which hair that hangs counts as nearer: it goes through the hair of the head, and is before
it. The hair on the far side of a turned head is further behind its cheek and temple than that."""


def make_surface(
    figure: Figure, layout: Layout, chosen: npt.NDArray[np.bool_], focal: float
) -> tuple[Mobile, Surface]:
    """The ``chosen`` quads of a figure, as few as a picture with this focal length (pixels) needs."""
    kinds = (figure.parts * len(MATERIALS) + figure.materials) * 8 + figure.layers
    moves = np.concatenate([figure.full_moves(), _turned(figure)])
    pixels = np.full(len(figure.rest), _JOIN, np.float32)
    fine = figure.hair > 0
    fine[np.concatenate(figure.rings)] = True
    fine[figure.quads[figure.parts == PARTS.index("sheet")]] = True
    # What turns with the head in part: a straight side does not stay straight there.
    fine |= (figure.turning[:, 0] > 0) & (figure.turning[:, 0] < 1)
    pixels[fine] = _JOIN_FINE
    pixels[figure.hidden] = _JOIN * (1 + _JOIN_HIDDEN)
    pixels[figure.quads[figure.parts == PARTS.index("lining")]] = _JOIN * (1 + _JOIN_HIDDEN)
    # A small face keeps its features.
    features = np.any(figure.attributes[:, :2] > _OF_A_LIP, axis=1)
    tolerance = pixels * (DISTANCE / focal)
    tolerance = np.minimum(tolerance, np.where(fine, _MOST_FINE, np.where(features, _MOST, np.inf)))
    joined = join_quads(
        figure.quads[chosen],
        layout.place(figure)[chosen],
        kinds[chosen],
        figure.rest,
        moves,
        figure.normals,
        tolerance,
    )
    under = figure.under[chosen][joined.origin]
    quads, origin = joined.quads, np.flatnonzero(chosen)[joined.origin]
    layers = figure.layers[origin]
    needed = _needed(figure, joined)
    number = np.cumsum(needed) - 1
    surface = Surface(
        quads=number[quads],
        uvs=joined.uvs,
        balls=ball_centers()[figure.materials[origin]],
        nearness=1000.0 * np.minimum(layers, FACE)
        + _HANGING * (layers == BEFORE)
        + _UPPER_LIP * figure.upper_lip[quads].all(axis=1),
        shiny=figure.parts[origin] == PARTS.index("eye"),
        lashed=np.asarray(figure.around_eyes[quads].all(axis=1), dtype=np.bool_),
        windows=tuple(Window(number[window.ring], window.quads) for window in figure.windows(quads, origin)),
        walls=layers >= FACE,
        beyond=1000.0 * BODY,
        emerging=np.flatnonzero(
            (figure.parts[origin] == PARTS.index("tongue"))
            & (figure.canonical[quads][:, :, 2].mean(1) > _TONGUE_FRONT)
        ),
        emerged=1000.0 * FACE + _TONGUE_NEARER,
        under=under if under.any() else None,
    )
    return _mobile(figure, joined, needed), surface


def _turned(figure: Figure) -> Floats:
    """What the furthest turns add to each vertex, shape (4, n, 3)."""
    turns = np.array([[0, 0.8, 0], [0, -0.8, 0], [0.5, 0, 0], [0, 0, 0.5]], np.float32)
    away = figure.rest - PIVOT
    parts = [figure.turning * (away @ (rotation_matrix(turn).T - np.eye(3))) for turn in turns]
    return np.stack(parts).astype(np.float32)


def _needed(figure: Figure, joined: Joined) -> npt.NDArray[np.bool_]:
    """Which vertices are drawn or looked at, shape (n,)."""
    needed = np.zeros(len(figure.rest), np.bool_)
    for vertices in (joined.quads, figure.lashes, *figure.rings, *figure.eye_balls, list(figure.lip_middles)):
        needed[vertices] = True
    return needed


def _mobile(figure: Figure, joined: Joined, needed: npt.NDArray[np.bool_]) -> Mobile:
    """The ``needed`` vertices, settled on the sides of joined quads."""
    number = np.cumsum(needed) - 1
    moves = np.zeros((len(figure.rest), 2, len(figure.moves), 3), np.float32)
    moves[figure.moving] = figure.moves.reshape(len(figure.moves), 2, -1, 3).transpose(2, 1, 0, 3)
    moves = joined.settle(moves)[needed]
    moving = np.flatnonzero(np.any(moves[:, 0] != 0, axis=(1, 2)))
    left, right = (
        slice(int(number[ball.start]), int(number[ball.stop - 1]) + 1) for ball in figure.eye_balls
    )
    upper, lower = figure.lip_middles
    return Mobile(
        rest=joined.settle(figure.rest)[needed],
        normals=joined.settle(figure.normals)[needed],
        turning=joined.settle(figure.turning)[needed],
        moving=moving,
        moves=np.ascontiguousarray(moves[moving].transpose(2, 1, 0, 3)),
        eyes=figure.eyes,
        eye_balls=(left, right),
        eye_local=figure.eye_local,
        lashes=number[figure.lashes],
        lip_middles=(int(number[upper]), int(number[lower])),
    )
