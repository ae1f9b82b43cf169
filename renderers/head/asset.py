"""The geometry that the default face is made of, as it is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Indices: TypeAlias = npt.NDArray[np.intp]

ASSET_NAME: Final = "head.npz"

# How tools/build_head.py rounds: parts per decimetre.
_REST_SCALE, _MORPH_SCALE, _SHAPE_SCALE = 8000, 1000, 1000


@dataclass(frozen=True, slots=True, eq=False)
class Asset:
    """A mean person from the chest up. Decimetres; x to the subject's left, y up, z to the viewer; the origin
    is the joint of the neck. Nobody may write into the arrays: they are shared.
    """

    rest: Floats
    """Vertices, shape (n, 3)."""
    quads: Indices
    """Corners of each quad, counterclockwise from outside, shape (m, 4)."""
    quad_uvs: Floats
    """Place of each corner in MakeHuman's texture, shape (m, 4, 2), 0 to 1, v up."""
    charts: npt.NDArray[np.uint8]
    """Which part a quad belongs to, shape (m,): an index of :attr:`chart_names`."""
    chart_names: tuple[str, ...]
    """``head``, ``torso``, ``cavity`` (of the mouth), ``tongue``, and the teeth, which have no quads."""
    morphs: Mapping[str, Floats]
    """How other people differ, by name, each of shape (n, 3), at weight 1."""
    shapes: tuple[tuple[Indices, Floats], ...]
    """The 52 shapes in the order of ``ARKIT_NAMES``: vertices that move, and by how much at coefficient 1."""
    eyes: Floats
    """Left and right eyeball: centre and radius, shape (2, 4)."""
    eye_morphs: Mapping[str, Floats]
    """What each morph adds to :attr:`eyes`."""
    hanging: Indices
    """Vertices that have to stay in the middle of an edge, with the ends of that edge, shape (h, 3)."""
    lashes: Indices
    """Vertices of the upper lashes, shape (2, 2, 13): left and right eye, roots and tips, outwards."""
    teeth: Indices
    """Vertices that move as the upper and the lower teeth do, shape (2, 68)."""
    turning: Floats
    """How far a vertex goes along when the head turns, shape (n,), 0 to 1."""
    lips: Floats
    """How much of a lip a vertex is, shape (n,), 0 to 1."""
    lids: Floats
    """How much of an eyelid a vertex is, shape (n,), 0 to 1."""
    ears: Floats
    """How much of an ear a vertex is, shape (n,), 0 to 1."""
    light: Floats
    """How much of the sky a vertex sees (ambient occlusion), shape (n,), 0 to 1."""


@cache
def load_asset() -> Asset:
    """The shipped geometry; read once per process (some 20 ms).

    Raises:
        FileNotFoundError: the file was not installed.
    """
    with (
        resources.files("renderers").joinpath("assets", ASSET_NAME).open("rb") as file,
        np.load(file) as data,
    ):
        stored: dict[str, Any] = dict(data)
    quads = stored["quads"].astype(np.intp)
    names = [str(name) for name in stored["morph_names"]]
    if tuple(stored["shape_names"]) != ARKIT_NAMES:
        raise ValueError(f"{ASSET_NAME} has other shapes than this version: run tools/build_head.py")
    rows = np.cumsum(stored["shape_rows"], dtype=np.int64).astype(np.intp)
    moves = stored["shape_moves"].astype(np.float32) / _SHAPE_SCALE
    starts = stored["shape_starts"]
    uvs = stored["corner_uv"].astype(np.float32) / 65535
    return Asset(
        rest=stored["rest"].astype(np.float32) / _REST_SCALE,
        quads=stored["corner_vertex"].astype(np.intp)[quads],
        quad_uvs=uvs[quads],
        charts=stored["charts"],
        chart_names=tuple(str(name) for name in stored["chart_names"]),
        morphs=dict(zip(names, stored["morphs"].astype(np.float32) / _MORPH_SCALE, strict=True)),
        shapes=tuple((rows[start:end], moves[start:end]) for start, end in pairwise(starts)),
        eyes=stored["eyes"],
        eye_morphs=dict(zip(names, stored["eye_morphs"], strict=True)),
        hanging=stored["hanging"].astype(np.intp),
        lashes=stored["lashes"].astype(np.intp),
        teeth=stored["teeth"].astype(np.intp).reshape(2, -1),
        turning=stored["turning"].astype(np.float32) / 255,
        lips=stored["lips"].astype(np.float32) / 255,
        lids=stored["lids"].astype(np.float32) / 255,
        ears=stored["ears"].astype(np.float32) / 255,
        light=stored["light"].astype(np.float32) / 255,
    )
