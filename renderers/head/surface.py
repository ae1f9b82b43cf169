"""What a painter draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from renderers.head.asset import Floats, Indices


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """An opening through which quads are seen, such as the mouth: what lies outside of it is not drawn."""

    ring: Indices
    """Vertices around the opening."""
    quads: Indices
    """Which quads are behind it: indices into the surface's."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What does not change from frame to frame about the quads that are drawn."""

    quads: Indices
    """Vertices of each quad, shape (q, 4)."""
    uvs: Floats
    """Place of each corner in the texture, in texels, shape (q, 4, 2)."""
    balls: Floats
    """Centre of the lit ball of each quad's material in the picture of balls, in pixels, shape (q, 2)."""
    nearness: Floats
    """In the unit of distances, shape (q,): what lies before the rest, whatever its distance, has more."""
    shiny: npt.NDArray[np.bool_]
    """Which quads mirror lights, shape (q,): see :class:`Glint`."""
    lashed: npt.NDArray[np.bool_]
    """Which quads are drawn over by strokes, shape (q,): see :class:`Stroke`."""
    windows: tuple[Window, ...] = ()
    walls: npt.NDArray[np.bool_] | None = None
    """Which quads have the windows in them, shape (q,): they hide what is behind a window, outside of it."""
    beyond: float = 0.0
    """Nearness of those walls that are themselves behind all that is seen through a window."""
    emerging: Indices = field(default_factory=lambda: np.zeros(0, np.intp))
    """Quads that can come out of their window, such as the tongue's, shape (e,)."""
    emerged: float = 0.0
    """Their nearness then."""
    under: npt.NDArray[np.bool_] | None = None
    """Which quads are behind what was drawn before, shape (q,): they are seen beside it."""
