"""``bench.cpu``: a short form of the real thing."""

from __future__ import annotations

from bench.cpu import GOAL, measure
from bench.processes import Place
from tests.support.livekit import LiveKitServer


def test_short_form_against_a_real_server(livekit_server: LiveKitServer) -> None:
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    report = measure(where, seconds=2.0, runs=1)
    assert report.figure("avatarkit-rtc play --headless").value > 0
    assert report.figure("bare livekit program").value > 0
    # Whether it is reached says nothing after two seconds.
    assert report.figure("ratio, median of the runs").goal == GOAL
