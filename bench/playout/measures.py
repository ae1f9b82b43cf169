"""What a viewer saw, in figures: freezes, skipped frames, latency and the cost that weighs them.

Frame k is sent at s(k) = k x 40 ms. A player shows pose position m_i (in frames) at time t_i. All figures are
taken from these pairs alone, so they hold for any player.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from bench.playout.traces import FloatArray

FREEZE_GAP_S: Final = 0.060
"""A longer gap between two shown poses is a freeze."""

SKIP_STEP: Final = 1.5
"""A larger step of the position leaves frames out."""

STILL_STEP: Final = 0.05
"""A smaller step moves nothing that could be seen: its whole gap counts as frozen."""

BASE_HALF_S: Final = 15.0
"""The base is the smallest network delay within so many seconds to either side: without clock skew."""

FLOOR_PCT: Final = 0.1
"""Added to both costs of a ratio to a bound: else clean networks, where both are near zero, dominate."""

_NEAR: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Weights:
    """What the parts of the cost weigh, per second or per frame interval."""

    freeze: float = 1.0
    skip: float = 0.5
    extrapolated: float = 0.25
    warp: float = 0.02
    latency: float = 0.1


WEIGHTS: Final = Weights()
"""1 % of freeze weighs as 2 % of skipped frames, or 100 ms of latency."""


class Shown(NamedTuple):
    """What one round showed: new poses only, in the order of time."""

    t: FloatArray
    """Seconds, shape (poses,)."""
    m: FloatArray
    """Position in frames of the round, shape (poses,), fractional between two frames."""
    made: npt.NDArray[np.bool_]
    """True where the pose was interpolated, not received or recovered; shape (poses,)."""
    extrapolated: npt.NDArray[np.bool_]
    """True where the pose lies beyond the newest frame; shape (poses,)."""

    @classmethod
    def of(cls, t: Iterable[float], m: Iterable[float], made: Iterable[bool] | None = None) -> Shown:
        """From plain lists; nothing extrapolated."""
        times = np.fromiter(t, float)
        marks = np.zeros(len(times), bool) if made is None else np.fromiter(made, bool)
        return cls(times, np.fromiter(m, float), marks, np.zeros(len(times), bool))


def sliding_base(delay: FloatArray, half_s: float = BASE_HALF_S) -> FloatArray:
    """The network's delay without jitter at each packet, shape (n,): the minimum of ``delay`` (NaN: lost)
    within ``half_s`` to either side, from the neighbours where nothing arrived at all."""
    n, half = len(delay), max(0, round(half_s / FRAME_INTERVAL_S))
    known = np.where(np.isfinite(delay), delay, np.inf)
    padded = np.concatenate([np.full(half, np.inf), known, np.full(half, np.inf)])
    base = sliding_window_view(padded, 2 * half + 1).min(axis=1) if n else known
    there = np.flatnonzero(np.isfinite(base))
    if not len(there):
        return np.zeros(n)
    return np.asarray(np.interp(np.arange(n), there, base[there]))


def first_at_each_frame(shown: Shown) -> Shown:
    """Of a player that shows poses on a display's clock: the first at or after each 40 ms of media time."""
    if not len(shown.m):
        return shown
    reached = np.maximum.accumulate(shown.m)
    frames = np.arange(np.ceil(reached[0] - _NEAR), np.floor(reached[-1] + _NEAR) + 1)
    first = np.unique(np.searchsorted(reached, frames - _NEAR, side="left"))
    return Shown(shown.t[first], shown.m[first], shown.made[first], shown.extrapolated[first])


@dataclass(slots=True)
class Tally:
    """Sums over one round; :meth:`add` makes them sums over many."""

    sent: int = 0
    arrived: int = 0
    shown: int = 0
    frozen_s: float = 0.0
    freezes: int = 0
    worst_s: float = 0.0
    skipped: float = 0.0
    extrapolated_s: float = 0.0
    warped_s: float = 0.0
    latency_s2: float = 0.0
    steps: int = 0
    off_speed: float = 0.0
    late: int = 0
    wasted: int = 0
    latencies: list[FloatArray] | None = None

    def add(self, other: Tally) -> None:
        """Sum ``other`` up into this."""
        for name in ("sent", "arrived", "shown", "freezes", "steps", "late", "wasted"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("frozen_s", "skipped", "extrapolated_s", "warped_s", "latency_s2", "off_speed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst_s = max(self.worst_s, other.worst_s)
        self.latencies = [*(self.latencies or []), *(other.latencies or [])]

    def cost_s(self, weights: Weights = WEIGHTS) -> float:
        """The cost in seconds."""
        return (
            weights.freeze * self.frozen_s
            + weights.skip * self.skipped * FRAME_INTERVAL_S
            + weights.extrapolated * self.extrapolated_s
            + weights.warp * self.warped_s
            + weights.latency * self.latency_s2
        )


def tally(arrival: FloatArray, base: FloatArray, shown: Shown) -> Tally:
    """The sums of one round.

    Args:
        arrival: when each frame was first there, shape (n,), on the time axis on which frame k of the round
            is sent at k x 40 ms; NaN: never.
        base: the network's delay without jitter, seconds, shape (n,).
        shown: what was shown, on the same time axis.
    """
    there = np.flatnonzero(np.isfinite(arrival))
    result = Tally(sent=len(arrival), arrived=len(there), shown=len(shown.t), latencies=[])
    if not len(there):
        return result
    first, last = int(there[0]), int(there[-1])
    if not len(shown.t):
        # Who shows nothing at all must not come out as the cheapest.
        result.skipped = last - first + 1
        result.frozen_s = result.worst_s = result.skipped * FRAME_INTERVAL_S
        result.freezes = 1
        result.late = len(there)
        return result
    t, m = shown.t, shown.m
    dt, dm = np.diff(t), np.diff(m)
    still, long, skip = dm < STILL_STEP, dt > FREEZE_GAP_S + _NEAR, dm > SKIP_STEP
    frozen = np.where(still, dt, np.where(long, dt - FRAME_INTERVAL_S, 0.0))
    result.frozen_s = float(frozen.sum())
    result.freezes, result.worst_s = _runs(frozen, still)
    # Frames that came, before the first pose and after the last, were left out as much as those between.
    head = max(0.0, float(np.ceil(m[0] - _NEAR)) - first)
    tail = max(0.0, last - float(np.floor(m[-1] + _NEAR)))
    result.skipped = float((dm[skip] - 1.0).sum()) + head + tail
    played = ~still & ~long
    # A step over k frames is k - 1 skipped ones and one that was played.
    due = np.where(skip, dm - np.maximum(np.rint(dm) - 1.0, 1.0), dm) * FRAME_INTERVAL_S
    result.warped_s = float(np.abs(dt - due)[played].sum())
    result.extrapolated_s = float(np.minimum(dt, FRAME_INTERVAL_S)[shown.extrapolated[:-1]].sum())
    rate = dm * FRAME_INTERVAL_S / np.maximum(dt, 1e-6)
    result.steps = len(dt)
    result.off_speed = float(np.abs(rate - 1.0)[played & ~skip].sum())
    added = t - m * FRAME_INTERVAL_S - np.interp(m, np.arange(len(base)), base)
    result.latencies = [added]
    # Over media time: a pose stands for the frames it moved on, so that more poses a second cost no more.
    stands_for = np.concatenate([[1.0], np.where(skip, 1.0, np.maximum(dm, 0.0))])
    result.latency_s2 = float((added * stands_for).sum()) * FRAME_INTERVAL_S
    result.late, result.wasted = _unused(arrival, base, shown, added)
    return result


def _runs(frozen: FloatArray, still: npt.NDArray[np.bool_]) -> tuple[int, float]:
    """Number and longest of the freezes; poses that do not move belong to one freeze with what follows."""
    number, worst, going, joined = 0, 0.0, 0.0, False
    for index in np.flatnonzero(frozen > 0).tolist():
        if joined and index > 0 and still[index - 1]:
            going += float(frozen[index])
        else:
            number += 1
            going = float(frozen[index])
        joined = bool(still[index])
        worst = max(worst, going)
    return number, worst


def _unused(arrival: FloatArray, base: FloatArray, shown: Shown, added: FloatArray) -> tuple[int, int]:
    """Frames that arrived and were never shown, and those of them that had come in time: no later than the
    delay at which the pose before had been shown."""
    there = np.flatnonzero(np.isfinite(arrival))
    reached = np.maximum.accumulate(shown.m)
    at = np.searchsorted(reached, there - _NEAR, side="left")
    beyond = at >= len(reached)
    pose = np.minimum(at, len(reached) - 1)
    came_late = ~beyond & (arrival[there] > shown.t[pose] + _NEAR)
    before = np.concatenate([[-np.inf], reached[:-1]])[pose]
    # A step of 1.2 frames passes through the frame between; one of 2 leaves it out.
    left_out = beyond | ((reached[pose] - before > SKIP_STEP) & (reached[pose] - there > _NEAR))
    made_up = ~beyond & shown.made[pose] & (np.abs(shown.m[pose] - there) < _NEAR)
    unused = came_late | left_out | made_up
    jitter = arrival[there] - there * FRAME_INTERVAL_S - base[there]
    in_time = ~came_late & (jitter <= np.concatenate([added[:1], added])[at] + _NEAR)
    return int(unused.sum()), int((unused & in_time).sum())


@dataclass(frozen=True, slots=True)
class Measures:
    """The figures of one policy on one trace."""

    freeze_pct: float
    freezes_per_min: float
    worst_freeze_ms: float
    skipped_pct: float
    latency_ms: float
    """Added latency, mean over the shown poses; NaN when none was."""
    latency_p95_ms: float
    stretch_pct: float
    late_pct: float
    """Frames that arrived and were never shown, of those that arrived."""
    wasted: int
    """Frames of these that had come in time: no later than the delay at which the pose before was shown."""
    cost_pct: float
    sent: int
    shown: int


def measures(total: Tally) -> Measures:
    """The figures of what was summed up."""
    duration = max(total.sent, 1) * FRAME_INTERVAL_S
    latency = np.concatenate(total.latencies) if total.latencies else np.zeros(0)
    some = len(latency) > 0
    return Measures(
        freeze_pct=100 * total.frozen_s / duration,
        freezes_per_min=60 * total.freezes / duration,
        worst_freeze_ms=1000 * total.worst_s,
        skipped_pct=100 * total.skipped / max(total.sent, 1),
        latency_ms=1000 * float(latency.mean()) if some else float("nan"),
        latency_p95_ms=1000 * float(np.percentile(latency, 95)) if some else float("nan"),
        stretch_pct=100 * total.off_speed / max(total.steps, 1),
        late_pct=100 * total.late / max(total.arrived, 1),
        wasted=total.wasted,
        cost_pct=100 * total.cost_s() / duration,
        sent=total.sent,
        shown=total.shown,
    )


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive numbers; zero counts as a millionth, NaN is left out. NaN of nothing."""
    known = np.array([each for each in values if not np.isnan(each)])
    return float(np.exp(np.log(np.maximum(known, 1e-6)).mean())) if len(known) else float("nan")


def to_bound(costs: Iterable[float], bounds: Iterable[float]) -> float:
    """R: geometric mean over traces of (C + 0.1 %) / (C* + 0.1 %)."""
    pairs = zip(costs, bounds, strict=True)
    return geometric_mean((cost + FLOOR_PCT) / (bound + FLOOR_PCT) for cost, bound in pairs)
