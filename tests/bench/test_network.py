"""``bench.network``: the logs on one axis, and a short form of the real thing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.testing.impairment import Impairment, unavailable
from bench.network import CONDITIONS, quick
from bench.network_logs import Arrived, make_run, read_arrivals
from bench.playout.measures import measures
from tests.conftest import local_server
from tests.support.system import missing

pytestmark = pytest.mark.long


def sent(tick: int, kind: str, number: int | None = None, seq: int | None = None) -> dict[str, Any]:
    return {"t": 100 + 0.04 * tick, "kind": kind, "round": number, "seq": seq}


def pose(t: float, kind: str, number: int | None, position: float | None) -> dict[str, Any]:
    return {"t": t, "kind": kind, "round": number, "position": position}


SENT = [
    sent(0, "idle"),
    sent(1, "transition", 1),
    *(sent(2 + k, "frame", 1, k) for k in range(4)),
    sent(6, "transition-end", 1),
    sent(7, "idle"),
    *(sent(8 + k, "frame", 2, k) for k in range(3)),
]


def test_arrivals_and_poses_are_put_on_the_senders_axis() -> None:
    arrivals = [
        Arrived(100.06, "transition"),
        # The player came late and calls the rounds 7 and 8. Frame 1 came with frame 2, frame 3 never.
        *(Arrived(t, "frame", 7, seq) for t, seq in ((100.10, 0), (100.20, 2), (100.20, 1))),
        Arrived(100.26, "transition-end"),
        *(Arrived(100.34 + 0.04 * k, "frame", 8, k) for k in range(3)),
    ]
    poses = [
        pose(100.00, "idle", None, None),
        pose(100.12, "received", 7, 0.0),
        pose(100.16, "interpolated", 7, 1.0),
        pose(100.20, "received", 7, 2.0),
        pose(100.28, "held", 7, 2.0),
        *(pose(100.36 + 0.04 * k, "received", 8, float(k)) for k in range(3)),
    ]
    run = make_run(SENT, poses, arrivals)
    assert [(span.begin, span.end) for span in run.session.spans] == [(2, 6), (8, 11)]
    expected = [math.nan, 0.06, 0.10, 0.20, 0.20, math.nan, 0.26, math.nan, 0.34, 0.38, 0.42]
    assert run.session.trace.recv == pytest.approx(expected, nan_ok=True)
    assert (run.sent, run.lost) == (7, 1)
    assert run.delays_s == pytest.approx([0.02, 0.04, 0.08, 0.02, 0.02, 0.02])
    first, second = run.shown
    assert first.t == pytest.approx([0.12, 0.16, 0.20])
    assert first.m.tolist() == [0, 1, 2]
    assert first.made.tolist() == [False, True, False]
    assert second.t == pytest.approx([0.36, 0.40, 0.44])
    figures = measures(run.session.tally(run.shown))
    assert figures.freeze_pct == 0
    assert figures.latency_ms == pytest.approx(20.0)


def test_a_sender_held_up_for_long_goes_on_later() -> None:
    late = [*SENT[:4], *({**line, "t": line["t"] + 0.4} for line in SENT[4:])]
    run = make_run(late, [], [Arrived(100.15, "frame", 1, 0)])
    # Numbers give the place within a round; what follows is moved.
    assert [(span.begin, span.end) for span in run.session.spans] == [(2, 6), (18, 21)]


def test_without_a_frame_there_is_nothing_to_measure() -> None:
    with pytest.raises(ValueError, match="sent"):
        make_run([sent(0, "idle")], [], [])
    with pytest.raises(ValueError, match="arrived"):
        make_run(SENT, [], [Arrived(100.0, "idle")])


def test_the_arrival_log_is_read_in_order_of_time() -> None:
    text = "send_s,recv_s,round,seq,recovered,t\n# 2.5 idle\n# 2.6 frame\n0.0,0.02,1,0,0,1.5\n"
    assert read_arrivals(text) == [Arrived(1.5, "frame", 1, 0), Arrived(2.5, "idle")]


def test_every_condition_can_be() -> None:
    for each in CONDITIONS.values():
        assert isinstance(each.down(3), Impairment)
    trace = CONDITIONS["lte"].down(1).trace
    assert trace is not None
    assert np.nanmax(trace.delay_s) > 0.1


def test_short_form_through_a_real_server() -> None:
    reason = unavailable()
    if reason is not None:
        missing(reason)
    local_server()
    report = quick()
    for sending in ("lossy, redundant", "reliable"):
        assert report.figure(f"loss, {sending}: frames lost").value < 50
        assert report.figure(f"loss, {sending}: network delay, median").value > 20
        assert report.figure(f"loss, {sending}: added latency, simulated").value > 0
    assert report.figure("loss, reliable: frames lost").value == 0
    assert "lossy, redundant" in report.table()
