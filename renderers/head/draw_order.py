"""Which quads of a surface are drawn, and in what order: from back to front, so that the last one is seen."""

from __future__ import annotations

from typing import Final

import numpy as np

from renderers.head.asset import Floats, Indices
from renderers.head.surface import Surface

_SLIVER: Final = 0.5
"""Twice the area, square pixels, below which a quad is not worth its call: its neighbours' rims cover it."""

_FACING: Final = 0.3
"""How far the normals of a quad's four corners together face the viewer, for it to be drawn in any case."""

_CLEAR: Final = 0.15
"""Decimetres that a wall must be behind a window to be drawn before it: lids are less than that behind it."""


class DrawOrder:
    """The order of one surface's quads."""

    def __init__(self, surface: Surface) -> None:
        self.corners: Indices = np.ascontiguousarray(surface.quads.T)
        """Vertices of each quad, the corner first, shape (4, q)."""
        self._nearness = (4 * surface.nearness).astype(np.float32)
        self._windows = surface.windows
        self._walls = surface.walls
        self._beyond = np.float32(4 * surface.beyond)
        self._emerging = surface.emerging
        self._emerged = self._nearness.copy()
        self._emerged[surface.emerging] = 4 * surface.emerged

    def shown(
        self, points: Floats, normals: Floats, *, emerged: bool = False
    ) -> tuple[Indices, Floats, Floats]:
        """Which quads are drawn now.

        Args:
            points: Vertices in the picture, shape (n, 3): x, y in pixels, distance.
            normals: Their normals, shape (n, 3), unit vectors; z to the viewer.
            emerged: Whether the quads that can come out of their window have.

        Returns:
            Their numbers, back to front, shape (k,), and x and y of their corners, shape (4, k).
        """
        corners = self.corners
        px, py = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        x, y = px[corners], py[corners]
        area = (y[2] - y[0]) * (x[3] - x[1]) - (x[2] - x[0]) * (y[3] - y[1])
        # Twice the area; from behind it is negative.
        wanted = area > _SLIVER
        # Where it folds or is twisted, a quad may seem to be seen from behind, and would leave a hole.
        behind = np.flatnonzero(area < -_SLIVER)
        facing = np.ascontiguousarray(normals[:, 2])[corners[:, behind]].sum(0) > _FACING
        wanted[behind[facing]] = True
        came_out = self._emerging[wanted[self._emerging]] if emerged else None
        for window in self._windows:
            wx, wy, own = px[window.ring], py[window.ring], window.quads[wanted[window.quads]]
            qx, qy = x[:, own], y[:, own]
            outside = (qx.max(0) < wx.min()) | (qx.min(0) > wx.max())
            outside |= (qy.max(0) < wy.min()) | (qy.min(0) > wy.max())
            wanted[own[outside]] = False
        if came_out is not None:
            wanted[came_out] = True
        shown = np.flatnonzero(wanted)
        depth = np.ascontiguousarray(points[:, 2])
        distance = depth[corners[:, shown]]
        nearness = (self._emerged if emerged else self._nearness)[shown]
        if self._walls is not None:
            nearest = distance.min(0)
            for window in self._windows:
                content = window.quads[wanted[window.quads]]
                if not len(content):
                    continue
                wx, wy = px[window.ring], py[window.ring]
                # Of a turned head: its far side, which still faces the viewer, behind the eye.
                farthest = max(depth[corners[:, content]].max(), depth[window.ring].max()) + _CLEAR
                far = np.flatnonzero(nearest > farthest)
                far = far[self._walls[shown[far]]]
                fx, fy = x[:, shown[far]], y[:, shown[far]]
                across = (fx.max(0) > wx.min()) & (fx.min(0) < wx.max())
                nearness[far[across & (fy.max(0) > wy.min()) & (fy.min(0) < wy.max())]] = self._beyond
        nearness -= distance[0] + distance[1] + distance[2] + distance[3]
        shown = shown[np.argsort(nearness)]
        return shown, x[:, shown], y[:, shown]
