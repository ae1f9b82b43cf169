"""A stand-in of SpatialReal's service on this machine: sessions with and without an egress, faults on demand.

    async with SpatialRealService() as service:
        session = spatialreal.new_avatar_session(
            api_key=service.api_key, app_id=service.app_id, avatar_id=service.avatar_id, expire_at=…,
            console_endpoint_url=service.console_url, ingress_endpoint_url=service.ingress_url)

Needs ``pip install 'avatarkit-rtc[spatialreal]'``, of which it uses aiohttp; the vendor's package is the
client's business.
"""

from avatarkit_rtc.testing.spatialreal_service.behaviour import Behaviour
from avatarkit_rtc.testing.spatialreal_service.connection import Connection
from avatarkit_rtc.testing.spatialreal_service.faults import (
    AUTH_FAILED,
    CONCURRENCY_LIMIT,
    CREDITS_EXHAUSTED,
    SESSION_TIMEOUT,
    UPSTREAM_UNAVAILABLE,
    HttpFault,
    SocketFault,
)
from avatarkit_rtc.testing.spatialreal_service.performance import (
    ClipPerformance,
    Performance,
    Performer,
    SoundPerformance,
)
from avatarkit_rtc.testing.spatialreal_service.service import Request, SpatialRealService
from avatarkit_rtc.testing.spatialreal_service.turn import Turn

__all__ = [
    "AUTH_FAILED",
    "CONCURRENCY_LIMIT",
    "CREDITS_EXHAUSTED",
    "SESSION_TIMEOUT",
    "UPSTREAM_UNAVAILABLE",
    "Behaviour",
    "ClipPerformance",
    "Connection",
    "HttpFault",
    "Performance",
    "Performer",
    "Request",
    "SocketFault",
    "SoundPerformance",
    "SpatialRealService",
    "Turn",
]
