"""SpatialReal's avatars: sessions that bring one into a LiveKit room of the user's, and a provider that does
without a room.

>>> from avatarkit_rtc.integrations.spatialreal import SpatialRealProvider, SpatialRealSession

Needs ``pip install 'avatarkit-rtc[spatialreal]'``; see ``docs/spatialreal.md``.
"""

from __future__ import annotations

from avatarkit_rtc.integrations.agents.playback import Playback, PlaybackFinished
from avatarkit_rtc.integrations.spatialreal.credentials import SpatialRealCredentials, SpatialRealEndpoints
from avatarkit_rtc.integrations.spatialreal.direct.playback import SpeechPlayback
from avatarkit_rtc.integrations.spatialreal.direct.stage import SpeechOptions
from avatarkit_rtc.integrations.spatialreal.direct.stats import SpatialRealProviderStats
from avatarkit_rtc.integrations.spatialreal.events import (
    RetryAttempt,
    SpeechEnded,
    SpeechPaused,
    SpeechStarted,
)
from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider
from avatarkit_rtc.integrations.spatialreal.session import SpatialRealSession
from avatarkit_rtc.integrations.spatialreal.states import SessionState
from avatarkit_rtc.integrations.spatialreal.stats import SessionStats

__all__ = [
    "Playback",
    "PlaybackFinished",
    "RetryAttempt",
    "SessionState",
    "SessionStats",
    "SpatialRealCredentials",
    "SpatialRealEndpoints",
    "SpatialRealProvider",
    "SpatialRealProviderStats",
    "SpatialRealSession",
    "SpeechEnded",
    "SpeechOptions",
    "SpeechPaused",
    "SpeechPlayback",
    "SpeechStarted",
]
