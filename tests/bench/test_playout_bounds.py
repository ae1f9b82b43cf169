"""The bounds: against exhaustive search, and against every policy on every condition."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bench.playout.bounds import Round, bound, curve
from bench.playout.conditions import CONDITIONS, condition
from bench.playout.measures import WEIGHTS, Shown, Weights, measures, tally
from bench.playout.player import play
from bench.playout.policies import HINDSIGHT, POLICIES
from bench.playout.rounds import endless, in_rounds

GRID = 0.02
"""Coarse, for the search; every limit is a multiple of it."""


def exhaustive(network: Round, *, warp: bool, weights: Weights, lower: float) -> float:
    """The least cost by trying every delay for every frame, shown or skipped, as the rules say in words."""
    n = len(network.arrival)
    arrival = np.where(np.isfinite(network.arrival), network.arrival, np.inf)
    need = [min(arrival[k:]) if warp else arrival[k] for k in range(n)]
    top = max(each - k * 0.04 for k, each in enumerate(need) if np.isfinite(each)) + 0.04 * n
    delays = [float(round(each, 9)) for each in np.arange(-0.2, top + GRID / 2, GRID)]
    best = np.inf
    for plan in itertools.product([True, False], repeat=n):
        shown = [k for k in range(n) if plan[k]]
        skipped = weights.skip * 0.04 * (n - len(shown))
        states: dict[float, float] | None = None
        last = -1
        for k in shown:
            dropped = 0.04 * (k - last - 1)
            reached: dict[float, float] = {}
            for delay in delays:
                if k * 0.04 + delay < need[k] - 1e-9:
                    continue
                price = weights.latency * 0.04 * (delay - network.base[k])
                if states is None:
                    reached[delay] = price
                    continue
                for before, paid in states.items():
                    change = delay - (before - dropped)
                    if change < -lower - 1e-9 or (change < -1e-9 and not warp):
                        continue
                    small = change <= 0.02 + 1e-9
                    move = weights.warp * abs(change) if small else weights.freeze * change
                    total = paid + move + price
                    reached[delay] = min(reached.get(delay, np.inf), total)
            states, last = reached, k
        rest = 0.0 if states is None else min(states.values(), default=np.inf)
        best = min(best, skipped + rest)
    return float(best)


@pytest.mark.parametrize("warp", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_the_programme_finds_what_exhaustive_search_finds(seed: int, warp: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 6
    jitter = GRID * rng.integers(0, 8, size=n) * (rng.random(n) < 0.5)
    arrival = np.arange(n) * 0.04 + 0.02 + jitter
    arrival[1:-1][rng.random(n - 2) < 0.25] = np.nan
    network = Round(arrival, np.full(n, 0.02))
    for weights in (WEIGHTS, replace(WEIGHTS, skip=0.1), replace(WEIGHTS, latency=0.9)):
        found = bound([network], warp=warp, weights=[weights], grid_s=GRID, lower_s=GRID).cost_s[0]
        assert found == pytest.approx(exhaustive(network, warp=warp, weights=weights, lower=GRID), abs=1e-9)


def test_prices_together_give_what_each_gives_alone() -> None:
    network = endless(condition("wifi_bursts", 2, 20.0)).rounds
    prices = [WEIGHTS, replace(WEIGHTS, latency=0.3), replace(WEIGHTS, freeze=0.7)]
    together = bound(network, warp=True, weights=prices).cost_s
    alone = [bound(network, warp=True, weights=[each]).cost_s[0] for each in prices]
    np.testing.assert_allclose(together, alone)


def test_a_clean_link_costs_nothing_but_its_jitter() -> None:
    arrival = np.arange(500) * 0.04 + 0.02
    network = Round(arrival, np.full(500, 0.02))
    for warp in (True, False):
        assert bound([network], warp=warp).cost_s[0] == pytest.approx(0.0, abs=500 * 0.004 * 0.002)


def test_the_plan_of_the_bound_has_that_cost_by_the_measures_too() -> None:
    # One outage: the cheapest is to raise the delay by 20 ms a frame beforehand, and then to let it fall.
    n, late = 200, 0.1
    arrival = np.arange(n) * 0.04
    arrival[100] += late
    arrival[101:103] = np.maximum(arrival[101:103], arrival[100])
    base = np.zeros(n)
    delay = np.zeros(n)
    delay[100] = late
    for k in range(99, -1, -1):
        delay[k] = max(0.0, delay[k + 1] - 0.02)
    for k in range(101, n):
        delay[k] = max(0.0, delay[k - 1] - 0.008)
    own = tally(arrival, base, Shown.of(np.arange(n) * 0.04 + delay, np.arange(n, dtype=float)))
    assert own.frozen_s == own.skipped == 0
    assert bound([Round(arrival, base)], warp=True).cost_s[0] <= own.cost_s() + 1e-9
    assert bound([Round(arrival, base)], warp=True).cost_s[0] >= 0.9 * own.cost_s()


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("copies", [0, 2])
@pytest.mark.parametrize("cut", [False, True], ids=["endless", "rounds"])
def test_no_policy_beats_the_bounds(name: str, copies: int, cut: bool) -> None:
    trace = condition(name, 5, 30.0)
    session = in_rounds(trace, copies=copies) if cut else endless(trace, copies)
    least = 100 * bound(session.rounds, warp=True).cost_s[0] / session.duration_s
    classical = 100 * bound(session.rounds, warp=False).cost_s[0] / session.duration_s
    assert least <= classical + 0.02
    for policy in POLICIES.values():
        if policy.name == HINDSIGHT:
            continue
        total = session.tally(play(session, policy.makers[0]("catch_up")).shown)
        # A cell of 2 ms is worth 0.02 % of the cost.
        assert measures(total).cost_pct >= least - 0.02, policy.name
        if policy.family == "fixed":
            assert measures(total).cost_pct >= classical - 0.02, policy.name


def test_the_curve_falls_from_the_quick_to_the_smooth() -> None:
    points = curve(endless(condition("wifi_bursts", 2, 40.0)).rounds, warp=False)
    latency = [each.latency_ms for each in points]
    assert all(a >= b - 1 for a, b in itertools.pairwise(latency))
    assert points[0].freeze_pct <= points[-1].freeze_pct + 1e-6


def test_nothing_arrived_costs_nothing() -> None:
    network = Round(np.full(5, np.nan), np.zeros(5))
    assert bound([network], warp=True).cost_s[0] == 0
    assert bound([], warp=False).cost_s[0] == 0


def test_a_delay_beyond_all_bounds_is_said() -> None:
    arrival = np.arange(50) * 0.04
    arrival[25:] += 3600.0
    found = bound([Round(arrival, np.zeros(50))], warp=True)
    assert found.clipped
    assert np.isfinite(found.cost_s).all()
