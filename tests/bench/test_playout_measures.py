"""The measures, on cases whose figures can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.playout.measures import (
    Measures,
    Shown,
    first_at_each_frame,
    geometric_mean,
    measures,
    sliding_base,
    tally,
    to_bound,
)

N = 100
ARRIVAL = np.arange(N) * 0.04 + 0.02
BASE = np.full(N, 0.02)


def figures(
    t: list[float], m: list[float], arrival: np.ndarray = ARRIVAL, made: list[bool] | None = None
) -> Measures:
    return measures(tally(arrival, BASE[: len(arrival)], Shown.of(t, m, made)))


def on_time(delay: float = 0.05) -> tuple[list[float], list[float]]:
    return [k * 0.04 + 0.02 + delay for k in range(N)], [float(k) for k in range(N)]


def test_playing_at_a_steady_delay_costs_that_delay_only() -> None:
    seen = figures(*on_time(0.05))
    assert seen.freeze_pct == seen.skipped_pct == seen.late_pct == seen.wasted == 0
    assert seen.latency_ms == pytest.approx(50)
    assert seen.latency_p95_ms == pytest.approx(50)
    assert seen.cost_pct == pytest.approx(0.5)
    assert seen.stretch_pct == pytest.approx(0, abs=1e-6)


def test_a_gap_of_240_ms_freezes_for_200() -> None:
    t, m = on_time(0.0)
    t = [each + (0.2 if k >= 50 else 0.0) for k, each in enumerate(t)]
    seen = figures(t, m)
    assert seen.freeze_pct == pytest.approx(5.0)
    assert seen.freezes_per_min == pytest.approx(15)
    assert seen.worst_freeze_ms == pytest.approx(200)
    assert seen.latency_ms == pytest.approx(100)
    assert seen.cost_pct == pytest.approx(5.0 + 1.0)


def test_a_gap_of_60_ms_is_no_freeze_but_warped_time() -> None:
    t, m = on_time(0.0)
    t = [each + (0.02 if k >= 50 else 0.0) for k, each in enumerate(t)]
    seen = figures(t, m)
    assert seen.freeze_pct == 0
    assert seen.cost_pct == pytest.approx(100 * (0.02 * 0.02 + 0.1 * 0.04 * 50 * 0.02) / 4.0)
    assert seen.stretch_pct == pytest.approx(100 * (1 / 3) / 99)


def test_a_frame_left_out_is_skipped_and_its_double_gap_freezes() -> None:
    t, m = on_time(0.0)
    del t[50], m[50]
    seen = figures(t, m)
    assert seen.skipped_pct == pytest.approx(1.0)
    assert seen.freeze_pct == pytest.approx(1.0)
    assert seen.cost_pct == pytest.approx(1.5)
    # It had come in time.
    assert seen.late_pct == pytest.approx(1.0)
    assert seen.wasted == 1


def test_a_lost_frame_is_not_late() -> None:
    t, m = on_time(0.0)
    del t[50], m[50]
    arrival = ARRIVAL.copy()
    arrival[50] = np.nan
    seen = figures(t, m, arrival)
    assert seen.late_pct == seen.wasted == 0
    assert seen.skipped_pct == pytest.approx(1.0)


def test_a_frame_that_comes_after_its_place_was_passed_is_late_and_not_wasted() -> None:
    arrival = ARRIVAL.copy()
    arrival[50] += 0.3
    t, m = on_time(0.0)
    seen = figures(t, m, arrival, made=[k == 50 for k in range(N)])
    assert seen.freeze_pct == 0
    assert seen.late_pct == pytest.approx(1.0)
    assert seen.wasted == 0


def test_a_pose_made_up_where_the_frame_was_there_wastes_it() -> None:
    t, m = on_time(0.03)
    assert figures(t, m, made=[k == 50 for k in range(N)]).wasted == 1


def test_steps_too_small_to_be_seen_are_frozen_all_their_time() -> None:
    t = [0.02 + k * 0.04 for k in range(50)]
    creeping = [t[-1] + 0.04 * (k + 1) for k in range(10)]
    m = [float(k) for k in range(50)] + [49 + 0.01 * (k + 1) for k in range(10)]
    seen = figures(t + creeping, m)
    assert seen.worst_freeze_ms == pytest.approx(400)
    assert seen.freezes_per_min == pytest.approx(15)


def test_who_shows_nothing_or_not_all_does_not_come_out_cheap() -> None:
    assert figures([], []).cost_pct >= 100
    t, m = on_time(0.0)
    assert figures(t[10:-10], m[10:-10]).skipped_pct == pytest.approx(20)


def test_nothing_arrived_costs_nothing() -> None:
    seen = figures([], [], np.full(N, np.nan))
    assert seen.cost_pct == 0
    assert np.isnan(seen.latency_ms)


def test_one_packet() -> None:
    seen = figures([0.1], [0.0], ARRIVAL[:1])
    assert seen.latency_ms == pytest.approx(80)
    assert seen.freeze_pct == seen.skipped_pct == 0


def test_playing_at_a_fifth_more_speed_passes_over_nothing() -> None:
    t = [1.5 + k * 0.04 for k in range(80)]
    seen = figures(t, [k * 1.2 for k in range(80)])
    assert seen.late_pct < 6  # the frames after its last pose
    assert seen.stretch_pct == pytest.approx(20)


def test_a_display_clock_is_measured_at_the_first_pose_of_each_frame() -> None:
    t = np.arange(0, 3.9, 1 / 60)
    shown = first_at_each_frame(Shown.of(t + 0.06, t / 0.04))
    np.testing.assert_allclose(np.floor(shown.m + 1e-9), np.arange(len(shown.m)))
    seen = measures(tally(ARRIVAL[: len(shown.m)], BASE[: len(shown.m)], shown))
    assert seen.freeze_pct == seen.skipped_pct == 0
    assert seen.latency_ms == pytest.approx(40, abs=1)


def test_a_display_clock_that_stands_still_freezes() -> None:
    t = np.arange(0, 3.9, 1 / 60)
    media = np.where(t < 1, t, np.maximum(t - 0.5, 1))
    shown = first_at_each_frame(Shown.of(t, media / 0.04))
    assert measures(tally(ARRIVAL, BASE, shown)).worst_freeze_ms == pytest.approx(500, abs=20)


def test_the_base_follows_a_skewed_clock_and_fills_what_is_unknown() -> None:
    n = 5000
    skew = 1e-4 * np.arange(n) * 0.04
    delay = 0.02 + skew + np.tile([0.0, 0.03, 0.05, 0.01], n // 4)
    delay[1000:2500] = np.nan
    base = sliding_base(delay)
    assert np.isfinite(base).all()
    assert np.abs(base - 0.02 - skew).max() < 0.01
    np.testing.assert_array_equal(sliding_base(np.full(7, np.nan)), np.zeros(7))


@given(
    st.lists(st.tuples(st.floats(0.0, 0.3), st.floats(0.0, 3.0)), min_size=1, max_size=40),
    st.lists(st.one_of(st.none(), st.floats(0.0, 2.0)), min_size=1, max_size=40),
)
def test_any_poses_on_any_arrivals_give_figures_within_reason(
    steps: list[tuple[float, float]], delays: list[float | None]
) -> None:
    arrival = np.array([np.nan if d is None else k * 0.04 + d for k, d in enumerate(delays)])
    t = 3.0 + np.cumsum([step[0] for step in steps])
    m = np.minimum(np.cumsum([step[1] for step in steps]), len(delays) - 1)
    total = tally(arrival, np.zeros(len(arrival)), Shown.of(t, m))
    assert 0 <= total.frozen_s <= t[-1] - t[0] + 0.04 * len(delays)
    assert 0 <= total.skipped <= len(delays)
    assert 0 <= total.wasted <= total.late <= total.arrived
    assert total.worst_s <= total.frozen_s + 1e-9
    assert total.cost_s() >= 0


def test_means_of_ratios() -> None:
    assert geometric_mean([1.0, 4.0, float("nan")]) == pytest.approx(2.0)
    assert to_bound([0.9, 0.1], [0.1, 0.1]) == pytest.approx(np.sqrt(5.0))
    assert np.isnan(geometric_mean([]))
