"""The vendor's package is loaded where it holds nobody up; a server that it cannot reach is told of."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
from pathlib import Path

import pytest

from avatarkit_rtc.integrations.spatialreal import SpatialRealSession
from avatarkit_rtc.integrations.spatialreal.egress import EgressRoom
from avatarkit_rtc.integrations.spatialreal.vendor import loaded


async def test_what_is_not_loaded_yet_is_loaded_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a second session that starts while the first one loads it, and would hold up the event loop."""
    name = "avatarkit_rtc_takes_its_time"
    (tmp_path / f"{name}.py").write_text("import threading; threading.importing()")
    monkeypatch.syspath_prepend(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def importing() -> None:
        begun.set()
        go_on.wait(30)

    monkeypatch.setattr(threading, "importing", importing, raising=False)

    def load() -> int:
        importlib.import_module(name)
        return threading.get_ident()

    first = asyncio.create_task(loaded(name, load))
    await asyncio.to_thread(begun.wait, 30)
    second = asyncio.create_task(loaded(name, load))
    await asyncio.sleep(0)
    go_on.set()
    here = threading.get_ident()
    assert here not in (await first, await second)
    assert await loaded(name, load) == here
    del sys.modules[name]


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
