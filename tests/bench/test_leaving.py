"""``bench.leaving``: a short form of the real thing."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc

from bench import leaving
from bench.leaving import measure, stays
from bench.processes import Place
from tests.support.livekit import LiveKitServer


@pytest.fixture
def where(livekit_server: LiveKitServer) -> Place:
    return Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)


def test_short_form_against_a_real_server(where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "NOTICED_S", 10.0)  # a server that is busy shows it later
    report = asyncio.run(measure(where, rooms=4))
    ours = report.figure("left unheard, this package")
    assert (ours.value, ours.unit, ours.goal) == (0, "of 4", 0)
    assert report.figure("left unheard, the SDK alone").goal is None


def test_who_stays_is_seen(where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "NOTICED_S", 0.1)
    stuck: list[rtc.Room] = []

    class Stuck(rtc.Room):
        """It does not leave, though told to."""

        async def disconnect(self, **kwargs: object) -> None:
            stuck.append(self)

    async def stay() -> bool:
        try:
            return await stays(where, Stuck, where.room)
        finally:
            for room in stuck:
                await rtc.Room.disconnect(room)

    assert asyncio.run(stay())
