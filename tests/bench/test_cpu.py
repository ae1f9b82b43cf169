"""``bench.cpu``: a short form of the real thing."""

from __future__ import annotations

import pytest

from bench.cpu import GOAL, check_same, measure
from bench.processes import Place
from tests.support.livekit import LiveKitServer


def test_short_form_against_a_real_server(livekit_server: LiveKitServer) -> None:
    for _ in range(3):
        where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
        try:
            report = measure(where, seconds=2.0, runs=1)
        except ZeroDivisionError:  # the machine stood still for these two seconds
            continue
        # Whether it is reached says nothing after two seconds.
        assert report.figure("ratio, median of the runs").goal == GOAL
        names = ("avatarkit-rtc play --headless", "bare livekit program")
        if all(report.figure(name).value > 0 for name in names):
            return
    pytest.fail("no processor time was counted")


@pytest.mark.parametrize(("ours", "same"), [(100, True), (94, True), (106, True), (80, False), (0, False)])
def test_who_received_less_is_not_compared(ours: float, same: bool) -> None:
    check_same("packets", 1000, 1090, slack=1)  # a tenth
    if same:
        check_same("packets", ours, 100, slack=6)
    else:
        with pytest.raises(RuntimeError, match=f"received {ours} packets, the other 100"):
            check_same("packets", ours, 100, slack=6)
