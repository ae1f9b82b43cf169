"""SpatialReal's avatars: sessions that bring one into a LiveKit room of the user's.

Needs ``pip install 'avatarkit-rtc[spatialreal]'``; see ``docs/spatialreal.md``.
"""

from __future__ import annotations

from avatarkit_rtc.integrations.spatialreal.credentials import SpatialRealCredentials, SpatialRealEndpoints

__all__ = ["SpatialRealCredentials", "SpatialRealEndpoints"]
