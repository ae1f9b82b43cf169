"""``bench.microphone``: the arithmetic, and a short form of the real thing."""

from __future__ import annotations

import numpy as np
import pytest

from bench.microphone import delays, measure, onsets
from bench.processes import Place
from bench.report import Figure
from tests.support.livekit import LiveKitServer
from tests.support.system import require
from tests.support.tries import meets_goals

ON_THEIR_WAY = 10
"""Blocks that may be between microphone and room when they are counted: those LiveKit has not answered for,
and what waits to be read."""


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


@pytest.mark.alone
def test_short_form_against_a_real_server(livekit_server: LiveKitServer) -> None:
    require("pulseaudio", "pacat", "pactl")
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)

    def figures() -> list[Figure]:
        found = {figure.name: figure for figure in measure(where, seconds=4.0).figures}
        unsent = abs(found["blocks of 10 ms recorded"].value - found["blocks sent"].value)
        return [
            *found.values(),
            Figure("bursts in 4 s", found["bursts"].value, "", 3, at_least=True),
            Figure("delay that people bear", found["delay, median"].value, "ms", 200),
            Figure("blocks neither sent nor on their way", max(0.0, unsent - ON_THEIR_WAY), "", 0),
        ]

    meets_goals(
        figures,
        [
            "bursts in 4 s",
            "bursts never heard",
            "delay that people bear",
            "blocks neither sent nor on their way",
            "blocks dropped, the reader late",
            "overflows before they came to us",
            "times the microphone was lost",
        ],
    )
