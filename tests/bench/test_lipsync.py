"""The short form of ``bench.lipsync``: it measures, and following the voice beats drawing on arrival."""

from __future__ import annotations

import numpy as np

from avatarkit_rtc.testing.server import LocalServer
from bench.lipsync import CASES, measure, offsets_ms
from tests.support.pulse import PulseServer
from tests.support.system import require


def test_a_mouth_is_matched_with_its_beep() -> None:
    heard = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(offsets_ms([1.01, 1.98, 9.0], heard), [10.0, -20.0], atol=1e-6)
    assert len(offsets_ms([], heard)) == 0


def test_the_face_that_follows_is_nearer_to_its_voice(own_server: LocalServer) -> None:
    require("pulseaudio", "parec", "pactl")
    with PulseServer("one", "two") as pulse:
        found = measure(CASES[0], 20.0, own_server, pulse)
    ours, theirs = found["following"], found["on-arrival"]
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert ours["beeps"] >= 5
    assert abs(ours["median_ms"]) < abs(theirs["median_ms"])
