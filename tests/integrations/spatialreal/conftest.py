"""A stand-in of SpatialReal's service for each test; the vendor's own package is the client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from avatarkit_rtc.integrations.spatialreal import SpatialRealSession
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SpatialRealService
from tests.support.livekit import LiveKitServer
from tests.support.spatialreal_session import KEY, session_of

SessionMaker = Callable[..., SpatialRealSession]


@pytest.fixture
def behaviour() -> Behaviour:
    """How the service behaves; a test overrides it by ``@pytest.mark.parametrize("behaviour", …)``."""
    return Behaviour(inference_s=0.05)


@pytest.fixture
async def service(behaviour: Behaviour) -> AsyncIterator[SpatialRealService]:
    pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")
    async with SpatialRealService(api_key=KEY, behaviour=behaviour) as service:
        yield service


@pytest.fixture
def make(service: SpatialRealService, livekit_server: LiveKitServer) -> SessionMaker:
    """``make(**options)``: a session that is not started."""

    def session(**options: Any) -> SpatialRealSession:
        return session_of(service, livekit_server, **options)

    return session
