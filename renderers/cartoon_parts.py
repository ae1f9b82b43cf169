"""Parts of the cartoon that keep their shape: worked out once, and only moved from picture to picture."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from renderers import cartoon_shapes as shapes
from renderers.canvas import Points, stroke
from renderers.cartoon_shapes import COARSE, Projection, closed, on_face, rows, smoothstep, spline

Rows: TypeAlias = npt.NDArray[np.floating[Any]]
"""Shape (n, 5), see :func:`renderers.cartoon_shapes.rows`."""

HAIR_BACK_STEPS: Final = 5
CLOTHES_STEPS: Final = 10
STRAND_SHARES: Final = (0.16, 0.34, 0.42, 0.60, 0.80)
"""Where a strand lies between the face's edge (0) and the outline (1) of a lock."""
_NEAR: Final = 5 / 8
"""Part of a lock's edge, from the parting, that throws a shadow on the forehead."""

_JAW_SIDE: Final = 4.0
_JAW_OPEN: Final = 27.0


class Lock(NamedTuple):
    """One side of the hair in front of the face, in pixels."""

    shadow: Points
    edge: Points
    outline: Points
    strands: list[Points]


class HeadParts(NamedTuple):
    """Parts of one picture that move with the head, in pixels."""

    hair_back: list[Points]
    """From the outermost to the innermost."""
    face: Points
    """Outline of the face."""
    light: Points
    """Where the light on the face comes from, shape (2,)."""
    under_chin: Points
    """Left and right end of the throat, shape (2, 2)."""
    glints: Points
    """On the hair, left and right, shape (2, 2)."""
    locks: list[Lock]
    """Left, right."""


def head_parts(to: Projection, mouth_open: float, mouth_side: float) -> HeadParts:
    """The parts as the head stands."""
    table, cuts, jaw = _head_rows(to.unit < COARSE)
    pixels = to.rows(table)
    pieces = iter([pixels[start:end] for start, end in pairwise(cuts)])
    hair_back = [next(pieces) for _ in range(HAIR_BACK_STEPS)]
    face = next(pieces) + to.turned(_JAW_SIDE * mouth_side, _JAW_OPEN * mouth_open, 0.85) * jaw
    light, under_chin, glints = next(pieces)[0], next(pieces), next(pieces)
    locks = [
        Lock(next(pieces), next(pieces), next(pieces), [next(pieces) for _ in STRAND_SHARES]) for _ in "lr"
    ]
    return HeadParts(hair_back, face, light, under_chin, glints, locks)


@lru_cache(maxsize=2)
def _head_rows(coarse: bool) -> tuple[Rows, list[int], Points]:
    """All rows, where each part begins, and how much of the jaw's way each point of the face goes, (n, 1)."""
    skip = 2 if coarse else 1
    strand = 32 // skip
    hair_back = rows(shapes.HAIR_BACK, 0.9)
    middle = hair_back.mean(axis=0)
    parts = [
        (hair_back + (middle - hair_back) * (0.3 * step / (HAIR_BACK_STEPS - 1)))[::skip]
        for step in range(HAIR_BACK_STEPS)
    ]
    face = shapes.FACE[::skip]
    parts += [
        rows(face, 0.85),
        rows(on_face(np.array([[-14.0, 0.0]]), -30.0)),
        rows(np.array([[-47.0, 84, -22], [47.0, 84, -22]]), 1.0),
        rows(np.array([[-66.0, -112, 0], [56.0, -120, 0]]), 1.0),
    ]
    for inner, outer in (
        (shapes.HAIR_LEFT_INNER, shapes.HAIR_LEFT_OUTER),
        (shapes.HAIR_RIGHT_INNER, shapes.HAIR_RIGHT_OUTER),
    ):
        edge, crown = rows(inner, 0.4), rows(outer, 0.9)
        path, rail = _resampled(crown[::-1], strand), _resampled(edge, strand)
        parts += [edge[: int(len(edge) * _NEAR)][::skip], edge[::skip]]
        parts += [np.concatenate([edge[::skip], crown[::skip]])]
        parts += [(rail + (path - rail) * share)[strand // 8 : -strand // 6] for share in STRAND_SHARES]
    cuts = [0, *np.cumsum([len(part) for part in parts]).tolist()]
    return np.concatenate(parts), cuts, smoothstep(40.0, 133.0, face[:, 1])[:, None]


def _resampled(points: Rows, count: int) -> Rows:
    """``count`` points along the polyline ``points``, evenly spread over its points."""
    at = np.linspace(0, len(points) - 1, count)
    return np.stack([np.interp(at, np.arange(len(points)), column) for column in points.T], axis=1)


_NECK_CURVE: Final = spline(np.eye(4))
"""A neck's side is this, shape (n, 4), times its four knots."""


def neck(to: Projection, under_chin: Points, sway: Points) -> Points:
    """Outline of the neck in pixels."""
    left, right = to.flat(shapes.NECK_LEFT + sway), to.flat(shapes.NECK_RIGHT + sway)
    return np.concatenate(
        [
            _NECK_CURVE @ np.concatenate([under_chin[:1], left]),
            _NECK_CURVE @ np.concatenate([right, under_chin[1:]]),
        ]
    )


_THROAT_STEPS: Final = np.linspace(0, 1, 5)[:, None]
_THROAT: Final = np.linspace(0, 1, 13)


def chin_shadows(to: Projection, under_chin: Points, pitch: float) -> Points:
    """Outlines of the head's shadow on the neck, from the lightest, shape (5, 15, 2)."""
    left, right = under_chin
    line = left + (right - left) * _THROAT[:, None]
    depth = to.length(84.0) - to.length(34.0) * _THROAT_STEPS - to.unit * 14 * pitch
    middle = line[:, 0].mean()
    outlines = np.empty((len(_THROAT_STEPS), len(_THROAT) + 2, 2))
    outlines[:, 0], outlines[:, -1] = left, right
    outlines[:, 1:-1, 0] = middle + (line[:, 0] - middle) * (0.985 - 0.02 * _THROAT_STEPS)
    outlines[:, 1:-1, 1] = line[:, 1] + depth * (0.62 + 0.38 * np.sin(np.pi * _THROAT))
    return outlines


class Clothes(NamedTuple):
    """Outlines of the clothes at rest, in pixels; they move to the side with the body."""

    back: Points
    back_edge: Points
    body: list[Points]
    """From the outermost to the innermost."""
    folds: list[Points]
    collar: list[Points]

    @classmethod
    def of(cls, unit: float, corner: Points) -> Clothes:
        """The clothes on a picture of ``unit`` pixels per design unit."""

        def flat(points: Points) -> Points:
            return points * unit + corner

        left = shapes.SHOULDERS[shapes.SHOULDERS[:, 0] < 196]
        right = shapes.SHOULDERS[shapes.SHOULDERS[:, 0] > 316]
        outline = np.concatenate([left, shapes.COLLAR, right, [(540, 700), (-28, 700)]])
        middle = np.array([256.0, 720.0])
        steps = np.linspace(0, 1, CLOTHES_STEPS)
        folds = [
            spline([(256 + side * 150, 520), (256 + side * 140, 490), (256 + side * 136, 468)])
            for side in (-1, 1)
        ]
        return cls(
            back=flat(closed(shapes.COLLAR_BACK, shapes.COLLAR)),
            back_edge=stroke(flat(shapes.COLLAR_BACK), 12 * unit),
            body=[flat(outline + (middle - outline) * (0.17 * t) + (0, 10 * t)) for t in steps],
            folds=[stroke(flat(fold), np.linspace(4, 0.5, len(fold)) * unit) for fold in folds],
            collar=[
                stroke(flat(shapes.COLLAR + np.array([0, down])), width * unit)
                for down, width in ((9, 16), (6, 16), (7.5, 13))
            ],
        )
