"""SpatialReal's avatars: sessions that bring one into a LiveKit room of the user's.

>>> from avatarkit_rtc.integrations.spatialreal import SpatialRealSession

Needs ``pip install 'avatarkit-rtc[spatialreal]'``; see ``docs/spatialreal.md``.
"""

from __future__ import annotations

from avatarkit_rtc.integrations.agents.playback import Playback, PlaybackFinished
from avatarkit_rtc.integrations.spatialreal.credentials import SpatialRealCredentials, SpatialRealEndpoints
from avatarkit_rtc.integrations.spatialreal.events import (
    RetryAttempt,
    SpeechEnded,
    SpeechPaused,
    SpeechStarted,
)
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
    "SpatialRealSession",
    "SpeechEnded",
    "SpeechPaused",
    "SpeechStarted",
]
