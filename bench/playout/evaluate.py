"""Every policy on every trace, with the bounds beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import numpy as np

from bench.playout.bounds import CurvePoint, bound, curve
from bench.playout.measures import Measures, Shown, measures, sliding_base
from bench.playout.player import play
from bench.playout.policies import POLICIES, OnBacklog, Policy
from bench.playout.rounds import Session, endless, in_rounds
from bench.playout.traces import Trace


@dataclass(frozen=True, slots=True)
class Settings:
    """How to play the traces."""

    policies: tuple[str, ...]
    rounds: bool = False
    """Cut into rounds with pauses, instead of one endless stream."""
    copies: int = 0
    """Frames before its own that each packet carries too."""
    seed: int = 1
    """Where the rounds are cut."""
    on_backlog: OnBacklog = "catch_up"
    render_hz: float | None = None
    """Show poses at a display's rate; None: one per frame."""
    pictures: bool = False
    """Keep what the pictures need."""

    @property
    def title(self) -> str:
        """In words."""
        mode = f"rounds of 2-15 s (seed {self.seed})" if self.rounds else "one endless stream"
        rate = "" if self.render_hz is None else f", shown at {self.render_hz:g} Hz"
        return f"{mode}, {'with' if self.copies else 'without'} redundant packets{rate}"

    def session(self, trace: Trace) -> Session:
        """The trace as it is played."""
        return in_rounds(trace, self.seed, self.copies) if self.rounds else endless(trace, self.copies)


@dataclass(slots=True)
class TraceResult:
    """One trace, every policy."""

    trace: str
    packets: int
    loss_pct: float
    jitter_p999_ms: float
    """99.9 % of the packets needed at most so much longer than the base."""
    played_s: float
    """Media time of the rounds."""
    rounds: int
    warp_pct: float
    """Bound of those who may warp and interpolate, in % of the duration."""
    cut_pct: float
    """Bound of those who may not."""
    clipped: bool
    """The trace has delays beyond the range of the bounds: these are then those of a good player only."""
    measures: dict[str, Measures] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    """Policies that failed on it."""
    shown: dict[str, list[Shown]] = field(default_factory=dict)
    warp_curve: list[CurvePoint] = field(default_factory=list)
    cut_curve: list[CurvePoint] = field(default_factory=list)


def evaluate(trace: Trace, settings: Settings) -> TraceResult:
    """Play one trace with every policy."""
    session = settings.session(trace)
    seconds = max(session.duration_s, 1e-9)
    jitter = trace.delay - sliding_base(trace.delay)
    jitter = jitter[np.isfinite(jitter)]
    warp, cut = bound(session.rounds, warp=True), bound(session.rounds, warp=False)
    result = TraceResult(
        trace=trace.name,
        packets=len(trace),
        loss_pct=100 * trace.loss,
        jitter_p999_ms=1000 * float(np.percentile(jitter, 99.9)) if len(jitter) else 0.0,
        played_s=session.duration_s,
        rounds=len(session.spans),
        warp_pct=100 * float(warp.cost_s[0]) / seconds,
        cut_pct=100 * float(cut.cost_s[0]) / seconds,
        clipped=warp.clipped or cut.clipped,
    )
    if settings.pictures:
        result.warp_curve = curve(session.rounds, warp=True)
        result.cut_curve = curve(session.rounds, warp=False)
    for name in settings.policies:
        try:
            figures, shown = _best(session, POLICIES[name], settings)
        except (
            Exception
        ) as error:  # one policy's failure on a strange trace is a result, not the end of the run
            result.errors[name] = f"{type(error).__name__}: {error}"
            continue
        result.measures[name] = figures
        if settings.pictures:
            result.shown[name] = shown
    return result


def _best(session: Session, policy: Policy, settings: Settings) -> tuple[Measures, list[Shown]]:
    outcomes = []
    for make in policy.makers:
        shown = play(session, make(settings.on_backlog), settings.render_hz).shown
        outcomes.append((measures(session.tally(shown)), shown))
    return min(outcomes, key=lambda outcome: outcome[0].cost_pct)


def evaluate_all(
    jobs: Sequence[tuple[Trace, Settings]], processes: int = 1
) -> Iterator[tuple[int, TraceResult]]:
    """Results as they come, each with the number of its job.

    Args:
        jobs: what to play.
        processes: worker processes; 1 does it all in this one.
    """
    if processes <= 1 or len(jobs) <= 1:
        for number, (trace, settings) in enumerate(jobs):
            yield number, evaluate(trace, settings)
        return
    # Spawned, not forked: the caller's terminal and threads are no business of the workers.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures: dict[Future[TraceResult], int] = {}
        # Long traces first, so that no worker is left with one at the end.
        for number, (trace, settings) in sorted(enumerate(jobs), key=lambda job: -len(job[1][0])):
            futures[pool.submit(evaluate, trace, settings)] = number
        for done in as_completed(futures):
            yield futures[done], done.result()


def playable(traces: Sequence[Trace]) -> tuple[list[Trace], list[str]]:
    """The traces on which anything arrived, and the names of the others."""
    good = [each for each in traces if len(each)]
    return good, [each.name for each in traces if not len(each)]


def as_json(result: TraceResult) -> dict[str, Any]:
    """Plain figures; no pictures."""
    keep = ["trace", "packets", "loss_pct", "jitter_p999_ms", "played_s", "rounds"]
    keep += ["warp_pct", "cut_pct", "clipped", "errors"]
    plain: dict[str, Any] = {name: getattr(result, name) for name in keep}
    plain["policies"] = {
        name: {key: _number(getattr(each, key)) for key in each.__slots__}
        for name, each in result.measures.items()
    }
    return plain


def _number(value: float) -> float | None:
    # JSON has no NaN.
    return None if math.isnan(value) else value
