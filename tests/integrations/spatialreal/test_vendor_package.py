"""The vendor's package is loaded where it holds nobody up; a server that it cannot reach is told of."""

from __future__ import annotations

import logging
import threading

import pytest

from avatarkit_rtc.integrations.spatialreal import SpatialRealSession
from avatarkit_rtc.integrations.spatialreal.egress import EgressRoom
from avatarkit_rtc.integrations.spatialreal.vendor import loaded


async def test_what_is_not_loaded_yet_is_loaded_in_a_thread() -> None:
    here = threading.get_ident()
    assert await loaded("avatarkit_rtc_there_is_no_such_module", threading.get_ident) != here
    assert await loaded("threading", threading.get_ident) == here


@pytest.mark.parametrize(
    ("livekit", "ingress", "who"),
    [
        ("ws://127.0.0.1:7880", "", "this machine"),
        ("ws://localhost:7880", "wss://ingress.example.com/v2", "this machine"),
        ("ws://[::1]:7880", "", "this machine"),
        ("ws://192.168.1.5:7880", "", "this network"),
        ("ws://10.0.0.7", "", "this network"),
        ("ws://kiosk.local:7880", "", "this network"),
        ("ws://127.0.0.1:7880", "http://127.0.0.1:9000", None),
        ("wss://mine.livekit.cloud", "", None),
        ("wss://8.8.8.8", "", None),
    ],
)
def test_a_server_that_the_service_hardly_reaches(livekit: str, ingress: str, who: str | None) -> None:
    doubt = EgressRoom.of(livekit, "room", "key", "secret", None).doubt(ingress)
    assert (who is None) if doubt is None else (who is not None and who in doubt)


async def test_it_is_warned_of_before_the_avatar_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")
    session = SpatialRealSession(
        api_key="a-key",
        app_id="an-app",
        avatar_id="a-face",
        console_url="http://127.0.0.1:9",
        ingress_url="wss://ingress.example.com",
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="key",
        livekit_api_secret="a-secret-that-is-long-enough-for-one",
        retry=None,
    )
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="network"):
        await session.start()
    assert "this machine alone" in caplog.text
    assert session.room_doubt is not None
