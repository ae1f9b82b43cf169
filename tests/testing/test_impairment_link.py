"""When which packet arrives: conditions and link, without sockets or clocks."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.impairment import BurstLoss, DelayTrace, Impairment, Link, Outage

SHARE = st.floats(0, 1)
TIME = st.floats(0, 2)
OUTAGE = st.builds(
    lambda start, length, gap, holds: Outage(start, length, length + gap, holds),
    st.floats(0, 3),
    st.floats(0, 1),
    st.floats(0.1, 3),
    st.booleans(),
)
TRACE = DelayTrace([0, 0.04, 0.08, 0.12], [0.03, 0.2, math.nan, 0.2], smallest_delay_s=0.01)
IMPAIRMENTS = st.builds(
    Impairment,
    loss=SHARE,
    burst_loss=st.none() | st.builds(BurstLoss, SHARE, st.floats(0.01, 1), SHARE, SHARE),
    delay_s=TIME,
    jitter_s=st.floats(0, 0.3),
    jitter_distribution=st.sampled_from(("uniform", "normal", "exponential", "pareto")),
    reorder=SHARE,
    reorder_extra_s=TIME,
    duplicate=SHARE,
    rate_bps=st.none() | st.floats(1e3, 1e9),
    queue_bytes=st.integers(0, 20_000),
    outages=st.lists(OUTAGE, max_size=3),
    trace=st.none() | st.just(TRACE),
)
PACKETS = st.lists(st.tuples(st.floats(-0.01, 0.2), st.integers(1, 1500)), max_size=80)


def sent(link: Link, count: int, interval_s: float = 0.01, size: int = 400) -> list[list[float]]:
    return [link.due(k * interval_s, size) for k in range(count)]


def delays(link: Link, count: int, interval_s: float = 0.01, size: int = 400) -> list[float]:
    """Of the packets that arrive."""
    times = sent(link, count, interval_s, size)
    return [at[0] - k * interval_s for k, at in enumerate(times) if at]


@settings(max_examples=200, deadline=None)
@given(conditions=IMPAIRMENTS, packets=PACKETS, seed=st.integers(0, 99), switch=st.integers(0, 80))
def test_no_conditions_break_the_rules(
    conditions: Impairment, packets: list[tuple[float, int]], seed: int, switch: int
) -> None:
    link, twin = Link(conditions, seed=seed), Link(conditions, seed=seed)
    now = newest = 5.0
    arrived = largest = 0
    for number, (step, size) in enumerate(packets):
        if number == switch:
            for each in (link, twin):
                each.change(conditions, now)
        now += step  # also back: a clock that steps must not let packets arrive in the past
        newest, largest = max(newest, now) if number else now, max(largest, size)
        times = link.due(now, size)
        assert times == twin.due(now, size), "the same seed, the same fate"
        assert len(times) <= 2
        assert all(now <= at < math.inf for at in times)
        assert times == sorted(times)
        assert all(at >= newest + conditions.delay_s - 1e-9 for at in times)
        arrived += bool(times)
        assert link.queued_bytes <= max(conditions.queue_bytes, largest)
    counters = link.counters
    assert (counters.packets, counters.delivered) == (len(packets), arrived)
    causes = ("random", "burst", "queue", "outage", "trace")
    assert counters.lost == sum(getattr(counters, f"lost_{cause}") for cause in causes)


@settings(max_examples=100, deadline=None)
@given(conditions=IMPAIRMENTS, packets=PACKETS, seed=st.integers(0, 99))
def test_order_is_kept_unless_reordering_is_asked_for(
    conditions: Impairment, packets: list[tuple[float, int]], seed: int
) -> None:
    link = Link(replace(conditions, reorder=0.0), seed=seed)
    now, first = 0.0, []
    for step, size in packets:
        now += abs(step)
        first += link.due(now, size)[:1]
    assert all(one <= other for one, other in pairwise(first))
    assert link.counters.out_of_order == 0


def test_a_perfect_link_does_nothing() -> None:
    assert sent(Link(), 5) == [[k * 0.01] for k in range(5)]


def test_random_loss_is_as_frequent_as_asked_for() -> None:
    assert len(delays(Link(Impairment(loss=0.05), seed=1), 20_000)) == pytest.approx(19_000, rel=0.01)


def test_more_loss_leaves_the_jitter_of_the_others_alone() -> None:
    some = sent(Link(Impairment(loss=0.1, jitter_s=0.02, reorder=1.0), seed=3), 500)
    more = sent(Link(Impairment(loss=0.4, jitter_s=0.02, reorder=1.0), seed=3), 500)
    both = [(one, other) for one, other in zip(some, more, strict=True) if one and other]
    assert len(both) > 200
    assert all(one == other for one, other in both)


def test_bursts_are_as_long_and_as_frequent_as_asked_for() -> None:
    burst = BurstLoss.of(0.04, 5.0)
    assert burst.mean_loss == pytest.approx(0.04)
    lost = [not at for at in sent(Link(Impairment(burst_loss=burst), seed=2), 200_000)]
    runs, run = [], 0
    for gone in [*lost, False]:
        if gone:
            run += 1
        elif run:
            runs.append(run)
            run = 0
    assert sum(lost) / len(lost) == pytest.approx(0.04, rel=0.1)
    assert np.mean(runs) == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("distribution", ["uniform", "normal", "exponential", "pareto"])
def test_every_distribution_has_the_mean_it_was_given(distribution: Any) -> None:
    conditions = Impairment(delay_s=0.1, jitter_s=0.02, jitter_distribution=distribution, reorder=1.0)
    found = delays(Link(conditions, seed=4), 50_000)
    assert min(found) >= 0.1
    assert np.mean(found) == pytest.approx(0.12, rel=0.02)


def test_packets_that_go_another_way_are_overtaken() -> None:
    link = Link(Impairment(reorder=0.2, reorder_extra_s=0.05), seed=5)
    times = [at[0] for at in sent(link, 2000, 0.04)]
    late = [at for k, at in enumerate(times) if at > k * 0.04 + 0.001]
    assert len(late) == pytest.approx(400, rel=0.2)
    # Unless the next one goes the long way as well.
    overtaken = sum(one > other for one, other in pairwise(times))
    assert overtaken == link.counters.out_of_order == pytest.approx(320, rel=0.2)


def test_duplicates_come_after_the_first() -> None:
    link = Link(Impairment(duplicate=0.25, jitter_s=0.01), seed=6)
    times = sent(link, 4000)
    assert sum(len(at) == 2 for at in times) == link.counters.duplicated == pytest.approx(1000, rel=0.1)


def test_a_line_passes_no_more_than_its_rate_and_drops_what_does_not_fit() -> None:
    # 80 kbit/s: 1000 bytes take 100 ms. The queue takes four packets.
    link = Link(Impairment(rate_bps=80_000, queue_bytes=4000))
    burst = [link.due(1.0, 1000) for _ in range(6)]
    assert [at[0] for at in burst[:4]] == pytest.approx([1.1, 1.2, 1.3, 1.4])
    assert burst[4:] == [[], []]
    assert link.counters.lost_queue == 2
    assert link.due(1.25, 1000) == [pytest.approx(1.5)], "by then two have left"
    assert link.due(9.0, 1500) == [pytest.approx(9.15)]


def test_a_free_line_takes_a_packet_that_is_larger_than_its_queue() -> None:
    link = Link(Impairment(rate_bps=8000, queue_bytes=10))
    assert link.due(0.0, 1000) == [pytest.approx(1.0)]
    assert link.due(0.5, 1000) == []


def test_an_outage_loses_what_is_sent_in_it() -> None:
    link = Link(Impairment(outages=[Outage(1.0, 0.5, 2.0)]))
    lost = [k / 10 for k in range(50) if not link.due(100 + k / 10, 100)]
    assert lost == [1.0, 1.1, 1.2, 1.3, 1.4, 3.0, 3.1, 3.2, 3.3, 3.4]


def test_an_outage_that_holds_lets_all_go_at_its_end() -> None:
    link = Link(Impairment(outages=[Outage(1.0, 0.5, holds=True)], delay_s=0.01))
    times = [link.due(100 + k / 10, 100)[0] - 100 for k in range(20)]
    assert times == pytest.approx([max(k / 10, 1.5 if k >= 10 else 0) + 0.01 for k in range(20)])


def test_what_an_outage_holds_must_fit_the_queue() -> None:
    link = Link(Impairment(outages=[Outage(0.0, 1.0, holds=True)], queue_bytes=350))
    assert [bool(link.due(5.0 + k / 100, 100)) for k in range(5)] == [True, True, True, False, False]


def test_outages_that_cover_all_time_end_all_the_same() -> None:
    outages = [Outage(0.0, 0.6, 1.0, holds=True), Outage(0.5, 0.6, 1.0, holds=True)]
    (at,) = Link(Impairment(outages=outages)).due(0.0, 100)
    assert 0.6 <= at < 10


def test_changed_conditions_begin_anew_and_overtake_nothing() -> None:
    link = Link(Impairment(delay_s=1.0))
    assert link.due(10.0, 100) == [11.0]
    link.change(Impairment(outages=[Outage(0.5, 0.1)]), 10.2)
    assert link.due(10.3, 100) == [11.0]
    assert link.due(10.75, 100) == []
    assert link.due(12.0, 100) == [12.0]


def test_a_trace_gives_each_packet_the_delay_of_its_moment() -> None:
    trace = DelayTrace([0, 0.04, 0.08, 0.12, 0.16], [0.02, 0.16, 0.16, math.nan, 0.18], smallest_delay_s=0.02)
    assert trace.delay_s[[0, 1, 2, 4]] == pytest.approx([0.02, 0.12, 0.08, 0.02])
    link = Link(Impairment(trace=trace, delay_s=0.1))
    at = {t: link.due(50 + t, 100) for t in (0.0, 0.02, 0.04, 0.05, 0.08, 0.13, 0.161)}
    got = {t: times[0] - 50 - t for t, times in at.items() if times}
    # On the way down the queue empties: packets sent one after the other arrive together.
    expected = {0.0: 0.12, 0.02: 0.17, 0.04: 0.22, 0.05: 0.21, 0.08: 0.18, 0.161: 0.12}
    assert got == pytest.approx(expected)
    assert link.counters.lost_trace == 1
    assert link.due(50 + 0.2 + 0.02, 100) == [pytest.approx(50.22 + 0.17)], "and again from the beginning"


def test_a_trace_is_read_from_both_kinds_of_files(tmp_path: Any) -> None:
    send, recv = np.arange(5) * 0.04, np.arange(5) * 0.04 + np.array([0.5, 0.4, np.nan, 0.45, 0.4])
    np.savez(tmp_path / "a.npz", send_time_s=send, recv_time_s=recv)
    rows = ["# a comment", "recv_s,send_s", *(f"{r},{s}" for s, r in zip(send, recv, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    bare = [f"{s},{'' if np.isnan(r) else r}" for s, r in zip(send, recv, strict=True)]
    (tmp_path / "bare.csv").write_text("\n".join(bare))
    for name in ("a.npz", "a.csv", "bare.csv"):
        trace = DelayTrace.load(tmp_path / name)
        assert trace.delay_s == pytest.approx([0.12, 0.02, math.nan, 0.07, 0.02], nan_ok=True)
        assert trace.loss == pytest.approx(0.2)
        assert trace.duration_s == pytest.approx(0.2)
        assert DelayTrace.load(tmp_path / name, smallest_delay_s=None).delay_s[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "text", ["", "send_s,recv_s\n", "1,2\n", "a,b\nc,d\n", "1,2\nnan,3\n", "0,nan\n1,\n"]
)
def test_what_is_no_trace_is_refused(tmp_path: Any, text: str) -> None:
    path = tmp_path / "no.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        DelayTrace.load(path)
    with pytest.raises(ConfigurationError, match="no delay trace"):
        DelayTrace.load(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.5},
        {"loss": math.nan},
        {"delay_s": -1},
        {"jitter_s": math.inf},
        {"jitter_distribution": "cauchy"},
        {"rate_bps": 0},
        {"queue_bytes": -1},
        {"reorder": -0.1},
    ],
)
def test_conditions_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Impairment(**wrong)


def test_bursts_and_outages_that_cannot_be_are_refused() -> None:
    for make in (
        lambda: BurstLoss(0.1, 0.0),
        lambda: BurstLoss.of(0.95, 2),
        lambda: BurstLoss.of(0.1, 0.5),
        lambda: BurstLoss.of(0.9, 1),
        lambda: Outage(0, 2.0, 1.0),
        lambda: Outage(-1, 1),
    ):
        with pytest.raises(ConfigurationError):
            make()
