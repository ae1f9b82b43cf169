"""Sessions with the stand-in of SpatialReal's service in tests: keys to look for in what is printed, notes of
events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.integrations.spatialreal import SpatialRealSession
from avatarkit_rtc.integrations.spatialreal.events import EVENTS
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.testing.spatialreal_service import SpatialRealService
from tests.support.livekit import LiveKitServer

KEY = "sr_key_c0ffee-that-nobody-may-see"
QUICK = ReconnectPolicy(attempts=2, first_delay_s=0.02, max_delay_s=0.05)
RATE = 16000


def session_of(service: SpatialRealService, server: LiveKitServer, **options: Any) -> SpatialRealSession:
    """A session with the stand-in, whose avatar comes into a room on ``server``."""
    settings: dict[str, Any] = {
        "api_key": service.api_key,
        "app_id": service.app_id,
        "avatar_id": service.avatar_id,
        "console_url": service.console_url,
        "ingress_url": service.ingress_url,
        "livekit_url": server.url,
        "livekit_api_key": server.api_key,
        "livekit_api_secret": server.api_secret,
        "sample_rate": RATE,
        "retry": QUICK,
        "end_on_sigterm": False,
    }
    return SpatialRealSession(**settings | options)


def environment_of(service: SpatialRealService) -> dict[str, str]:
    """What a user sets."""
    return {
        "SPATIALREAL_API_KEY": service.api_key,
        "SPATIALREAL_APP_ID": service.app_id,
        "SPATIALREAL_AVATAR_ID": service.avatar_id,
        "SPATIALREAL_CONSOLE_ENDPOINT": service.console_url,
        "SPATIALREAL_INGRESS_ENDPOINT": service.ingress_url,
    }


def tone(seconds: float, rate: int = RATE) -> npt.NDArray[np.int16]:
    """A loud tone, shape (n,)."""
    wave = 0.4 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)
    made: npt.NDArray[np.int16] = np.rint(wave * 32767).astype(np.int16)
    return made


class Notes:
    """Every event of a session, in order."""

    def __init__(self, session: SpatialRealSession) -> None:
        self.events: list[tuple[str, Any]] = []
        for name in EVENTS:
            session.on(name, lambda payload, name=name: self.events.append((name, payload)))

    def of(self, name: str) -> list[Any]:
        return [payload for event, payload in self.events if event == name]

    @property
    def names(self) -> list[str]:
        return [event for event, _ in self.events if event != "state-changed"]
