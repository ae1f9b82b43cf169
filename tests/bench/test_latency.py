"""``bench.latency``: the arithmetic, and a short form of the real thing."""

from __future__ import annotations

from typing import Any

import pytest

from bench.latency import latencies, measure, percentile
from bench.processes import Place
from tests.support.livekit import LiveKitServer


def sent(t: float, kind: str, seq: int | None = None) -> dict[str, Any]:
    return {"t": t, "round": 1, "seq": seq, "kind": kind}


def shown(t: float, kind: str, position: float | None = None, number: int | None = 1) -> dict[str, Any]:
    return {"t": t, "round": number, "position": position, "kind": kind}


def test_counts_from_the_packet_that_brought_a_frame() -> None:
    found = latencies(
        [sent(0.0, "transition"), sent(0.04, "transition"), sent(0.4, "frame", 0), sent(0.48, "frame", 2)],
        [
            shown(0.0, "idle", number=None),
            shown(0.03, "transition"),
            shown(0.05, "transition"),
            shown(0.42, "received", 0.0),
            shown(0.49, "recovered", 1.0),
            shown(0.53, "received", 2.0),
            shown(0.57, "held", 2.0),
        ],
    )
    assert found == {
        "transition": [pytest.approx(30.0)],
        "received": [pytest.approx(20.0), pytest.approx(50.0)],
        "recovered": [pytest.approx(10.0)],
    }


def test_percentile() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.95) == 96.0
    assert percentile([7.0], 0.95) == 7.0


def test_short_form_against_a_real_server(livekit_server: LiveKitServer) -> None:
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    report = measure(where, rounds=1, withhold_every=7)
    names = {figure.name for figure in report.figures}
    assert {f"{kind}, median" for kind in ("received", "recovered", "transition")} <= names
    # How fast depends on the machine; that it is no nonsense does not.
    assert 0 < report.figure("received, median").value < 1000
    assert report.figure("target delay at the end").value > 0
