"""``bench.microphone``: the arithmetic, and a short form of the real thing."""

from __future__ import annotations

import numpy as np
import pytest

from bench.microphone import delays, measure, onsets
from bench.processes import Place
from tests.support.livekit import LiveKitServer
from tests.support.system import require


def test_the_onset_is_counted_back_from_the_blocks_end() -> None:
    burst = np.zeros(480, np.int16)
    burst[240:] = 9000
    silence = np.zeros(480, np.int16)
    frames = [(1.0, silence), (1.01, burst), (1.02, burst), (1.03, silence), (2.01, burst)]
    assert onsets(frames) == pytest.approx([1.005, 2.005])


def test_a_burst_that_was_never_heard_is_counted() -> None:
    found, missing = delays([1.0, 2.0, 3.0], [1.1, 3.05])
    assert found == pytest.approx([0.1, 0.05])
    assert missing == 1


def test_short_form_against_a_real_server(livekit_server: LiveKitServer) -> None:
    require("pulseaudio", "pacat", "pactl")
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    report = measure(where, seconds=6.0)
    found = {figure.name: figure.value for figure in report.figures}
    assert found["bursts"] >= 3
    assert 5 < found["delay, median"] < 500
    assert found["blocks dropped, the reader late"] == 0
    assert abs(found["blocks of 10 ms recorded"] - found["blocks sent"]) < 60
    assert found["times the microphone was lost"] == 0
