"""``bench.buffer``: short forms, and that it compares like with like."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import get_args

import pytest

pytest.importorskip("aiortc", reason="needs aiortc, of the extra bench")

from avatarkit_rtc.playout.strategy import StrategyName, make_strategy
from avatarkit_rtc.testing import perform
from bench.buffer import (
    AIORTC,
    BUSY,
    CLEAN,
    COST_GOAL,
    DICT,
    MEMORY_GOAL_KIB,
    arrivals,
    measure,
    measure_cost,
    measure_memory,
    percentile,
    play,
)
from tests.support.own_process import own_process


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    with own_process() as pool:
        yield pool


def test_every_strategy_is_compared_with_both_peers() -> None:
    cost = measure_cost(CLEAN, frames=50, repeats=2)
    assert list(cost) == [*get_args(StrategyName), AIORTC, DICT]
    assert all(each > 0 for each in cost.values())


def test_all_of_them_show_what_comes() -> None:
    stream, frame = list(arrivals(CLEAN, 100)), perform(1, 0.4).frames[0]
    for name in get_args(StrategyName):
        assert play(make_strategy(name).new_buffer(), stream, frame) >= 95


def test_the_busy_link_loses_and_delays() -> None:
    stream = list(arrivals(BUSY, 5000))
    assert 4800 < len(stream) < 4970
    late = [at - 0.04 * seq for at, seq in stream]
    assert 0.029 < max(late) - min(late) <= 0.030
    assert [seq for _, seq in stream] == sorted(seq for _, seq in stream)


def test_the_short_form_reports_everything(process: ProcessPoolExecutor) -> None:
    report = process.submit(measure, frames=50, repeats=2, stream=2000, seconds=0.8).result()
    assert report.figure("clean: adaptive / aiortc").goal == COST_GOAL
    assert report.figure("lateness, idle, worst").value >= report.figure("lateness, idle, median").value >= 0
    assert report.figure("memory, peak").met


def test_percentiles() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0], 0.99) == 1.0


@pytest.mark.parametrize("name", get_args(StrategyName))
def test_memory_does_not_grow_with_the_stream(name: StrategyName, process: ProcessPoolExecutor) -> None:
    # What learns is full after some minutes.
    memory = process.submit(measure_memory, 16_000 if name == "adaptive" else 5_000, name).result()
    assert memory.last_quarter <= memory.first_quarter + 12 * 1024
    assert memory.peak <= 0.5 * MEMORY_GOAL_KIB * 1024
