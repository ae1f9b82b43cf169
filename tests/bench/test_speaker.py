"""``bench.speaker``: short forms. What a busy machine decides has several tries, or is not judged."""

from __future__ import annotations

import ctypes.util

import numpy as np
import pytest

from bench import speaker
from bench.report import Figure
from tests.support.own_process import own_process
from tests.support.pulse import tone
from tests.support.system import missing
from tests.support.tries import meets_goals


@pytest.fixture(scope="module")
def portaudio() -> None:
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


@pytest.mark.alone
def test_playing_and_hogs(portaudio: None) -> None:
    meets_goals(
        lambda: speaker.steady(1.0),
        ["gaps heard", "gaps heard beside 20 ms hogs at 50 %"],
        never_excused=["callback, processor time, 99 %"],
    )


@pytest.mark.alone
def test_flush_is_silence_soon(portaudio: None) -> None:
    for _ in range(3):  # a machine that stands still meanwhile is late with everything
        figures = by_name(speaker.flushing(1))
        assert figures["what the ring held then"].value == 0
        if (
            figures["flush() to an empty ring, longest"].value < 50
            and figures["flush() to silence at the sink, longest"].value < 500
        ):
            return
    raise AssertionError(figures)


def test_sound_is_back_after_the_device_was_gone(portaudio: None) -> None:
    for _ in range(3):  # a machine that stands still for seconds may look like one more loss
        figures = by_name(speaker.hot_plug(2))
        assert figures["returns that the process did not live to see"].value == 0
        assert figures["exit code of the process"].value == 0
        if figures["longest"].value < 6 and figures["returns without the events lost and back"].value == 0:
            return
    raise AssertionError(figures)


@pytest.mark.parametrize("ppm", [1000, -1000])
def test_a_card_with_another_clock(ppm: float) -> None:
    run = speaker.Simulated(ppm).run(120)
    assert run.underruns == 0
    assert run.worst_s < 0.010
    assert 0 <= run.held_samples <= 200


def test_no_memory_grows() -> None:
    with own_process() as process:
        assert process.submit(speaker.growth, 0.5).result().value < 64


def test_gaps_are_found_where_they_are() -> None:
    sound = tone(440, 1.0, level=0.3)
    assert speaker.gaps(sound) == []
    sound[10000:10480] = 0
    sound[30000:30960] = 0
    assert speaker.gaps(np.concatenate([np.zeros(5000, np.int16), sound])) == pytest.approx(
        [0.01, 0.02], abs=0.001
    )
