"""Means over traces, and the goals they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.playout.evaluate import Settings, TraceResult
from bench.playout.measures import geometric_mean, to_bound
from bench.playout.policies import DEFAULT, REFERENCE, REFERENCE_LOW, SMOOTH

CLEAN_LOSS_PCT: Final = 0.05
CLEAN_JITTER_MS: Final = 20.0
"""A link is clean when it loses nothing and 99.9 % of its packets are no later than that."""


@dataclass(frozen=True, slots=True)
class Row:
    """One policy over all traces: arithmetic means of figures, geometric means of ratios."""

    policy: str
    traces: int
    freeze_pct: float
    freezes_per_min: float
    worst_freeze_ms: float
    """The longest of all."""
    skipped_pct: float
    latency_ms: float
    latency_p95_ms: float
    stretch_pct: float
    late_pct: float
    wasted: int
    """Sum over the traces."""
    cost_pct: float
    to_reference: float
    """Cost against the reference at 80 ms."""
    to_warp: float
    to_cut: float


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of what must be shown."""

    text: str
    value: float
    goal: float
    aim: float | None = None
    """Better than the goal, and worth trying for."""
    unit: str = ""

    @property
    def held(self) -> bool:
        """Whether the figure is at most the goal."""
        return self.value <= self.goal

    @property
    def aimed(self) -> bool:
        """Whether it is at most the aim."""
        return self.aim is not None and self.value <= self.aim


def rows(results: Sequence[TraceResult], policies: Sequence[str]) -> list[Row]:
    """A row for each policy, over the traces on which it worked."""
    return [row(results, each) for each in policies if any(each in one.measures for one in results)]


def row(results: Sequence[TraceResult], policy: str) -> Row:
    """The row of one policy."""
    done = [each for each in results if policy in each.measures]
    figures = [each.measures[policy] for each in done]

    def mean(name: str) -> float:
        values = np.array([getattr(each, name) for each in figures], float)
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")

    compared = [each for each in done if REFERENCE in each.measures]
    return Row(
        policy=policy,
        traces=len(done),
        freeze_pct=mean("freeze_pct"),
        freezes_per_min=mean("freezes_per_min"),
        worst_freeze_ms=max(each.worst_freeze_ms for each in figures),
        skipped_pct=mean("skipped_pct"),
        latency_ms=mean("latency_ms"),
        latency_p95_ms=mean("latency_p95_ms"),
        stretch_pct=mean("stretch_pct"),
        late_pct=mean("late_pct"),
        wasted=sum(each.wasted for each in figures),
        cost_pct=mean("cost_pct"),
        to_reference=geometric_mean(_ratio(each, policy, REFERENCE) for each in compared),
        to_warp=to_bound([each.cost_pct for each in figures], [each.warp_pct for each in done]),
        to_cut=to_bound([each.cost_pct for each in figures], [each.cut_pct for each in done]),
    )


def goals(results: Sequence[TraceResult], settings: Settings) -> list[Goal]:
    """What must be shown in this mode, as far as the policies it speaks of were played."""
    if settings.copies:
        # The figures of the other goals were reached, and are asked for, without redundant packets.
        return _redundancy_goals(results)
    return [
        *_default_goals(results, settings),
        *_smooth_goals(results, settings),
        *_clean_goals(results, settings),
    ]


def _redundancy_goals(results: Sequence[TraceResult]) -> list[Goal]:
    return [
        Goal(
            f"{label}: frames that any packet brought in time and that were not shown",
            float(row(results, name).wasted),
            0.0,
        )
        for name, label in ((DEFAULT, "default"), (SMOOTH, "smooth"))
        if any(name in each.measures for each in results)
    ]


def _default_goals(results: Sequence[TraceResult], settings: Settings) -> list[Goal]:
    both = [each for each in results if DEFAULT in each.measures and REFERENCE in each.measures]
    if not both:
        return []
    ours, theirs = row(both, DEFAULT), row(both, REFERENCE)
    cost, freeze, skipped = (0.55, 0.65, 0.13) if settings.rounds else (0.51, 0.66, 0.10)
    against = "of the reference at 80 ms"
    lines = [
        Goal(f"default: cost {against}", ours.to_reference, cost, 0.48 if settings.rounds else None),
        Goal(f"default: freeze {against}", _share(ours.freeze_pct, theirs.freeze_pct), freeze),
        Goal(f"default: skipped {against}", _share(ours.skipped_pct, theirs.skipped_pct), skipped),
        _latency_goal(ours.latency_ms, theirs.latency_ms, settings),
    ]
    worst, name = max((_best_ratio(each), each.trace) for each in both)
    lines.append(
        Goal(
            f"default: highest cost against the better of the reference at 40 and 80 ms ({name})", worst, 1.0
        )
    )
    return lines


def _latency_goal(ours_ms: float, reference_ms: float, settings: Settings) -> Goal:
    if not settings.rounds:
        return Goal("default: mean latency, the reference's as goal", ours_ms, reference_ms, unit="ms")
    # The reference begins each round with one frame of delay, and loses what comes later.
    text = "default: mean latency, 1.2 times the reference's as goal, the reference's as aim"
    return Goal(text, ours_ms, 1.2 * reference_ms, reference_ms, unit="ms")


def _smooth_goals(results: Sequence[TraceResult], settings: Settings) -> list[Goal]:
    if settings.rounds or not any(SMOOTH in each.measures for each in results):
        return []
    smooth = row(results, SMOOTH)
    return [
        Goal("smooth: cost / bound with warping", smooth.to_warp, 3.2, 2.9),
        Goal("smooth: cost / bound without", smooth.to_cut, 1.55, 1.45),
    ]


def _clean_goals(results: Sequence[TraceResult], settings: Settings) -> list[Goal]:
    clean = [each for each in results if DEFAULT in each.measures and _is_clean(each)]
    if settings.rounds:
        return []
    return [
        Goal(
            f"default: added latency on the clean link {each.trace}",
            each.measures[DEFAULT].latency_ms,
            17.0,
            12.0,
            "ms",
        )
        for each in clean
    ]


def _is_clean(result: TraceResult) -> bool:
    return result.loss_pct < CLEAN_LOSS_PCT and result.jitter_p999_ms < CLEAN_JITTER_MS


def _best_ratio(result: TraceResult) -> float:
    return max(
        _ratio(result, DEFAULT, each) for each in (REFERENCE, REFERENCE_LOW) if each in result.measures
    )


def _ratio(result: TraceResult, policy: str, reference: str) -> float:
    return result.measures[policy].cost_pct / max(result.measures[reference].cost_pct, 1e-6)


def _share(value: float, of: float) -> float:
    # Nothing of nothing is no worse.
    return value / of if of > 0 else (0.0 if value <= 0 else float("inf"))
