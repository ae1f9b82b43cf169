"""What of a figure is posed."""

from __future__ import annotations

from dataclasses import dataclass

from renderers.head.asset import Floats, Indices


@dataclass(frozen=True, slots=True, eq=False)
class Mobile:
    """Vertices and how they move: those that a picture of some size needs. Decimetres."""

    rest: Floats
    """At rest, shape (n, 3)."""
    normals: Floats
    """Unit normals at rest, shape (n, 3)."""
    turning: Floats
    """How far each goes along with the head, shape (n, 1)."""
    moving: Indices
    """Those that shapes move, shape (k,)."""
    moves: Floats
    """How they move and how their normals change at coefficient 1, shape (52, 2, k, 3)."""
    eyes: Floats
    """Centre and radius of both eyeballs, shape (2, 4)."""
    eye_balls: tuple[slice, slice]
    """Vertices of the left and the right eyeball."""
    eye_local: Floats
    """A unit eyeball that looks to the viewer, shape (e, 3)."""
    lashes: Indices
    """Vertices of the upper lashes, shape (2, 2, 13): left and right eye, roots and tips, outwards."""
    lip_middles: tuple[int, int]
    """The vertices where upper and lower lip meet in the middle."""
