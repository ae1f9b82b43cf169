"""The least cost that any player could have had who knew every arrival beforehand.

Dynamic programming over the playout delay D on a grid: frame k is shown at s(k) + D. It is exact on the grid.

* Show frame k at a delay of at least need_k; raising D by x costs 0.02 x up to 20 ms (the step stays below
  60 ms), else x, a freeze; lowering it by at most 8 ms a frame costs 0.02 x; each frame costs
  0.1 x 40 ms x (D - base_k).
* Skip frame k: costs 0.5 x 40 ms, and D falls by 40 ms.

With warping and interpolation need_k is the earliest arrival of any frame from k on. Without (*cut*) it is
that of frame k itself and D falls by skipping only: the classical optimum of Moon, Kurose and Towsley (1998).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from bench.playout.measures import FREEZE_GAP_S, WEIGHTS, Weights
from bench.playout.traces import FloatArray

GRID_S: Final = 0.002
FREE_RAISE_S: Final = FREEZE_GAP_S - FRAME_INTERVAL_S
LOWER_S: Final = 0.008
MAX_CELLS: Final = 8000
"""Widest range of delays, in cells (16 s at 2 ms). Beyond it frames can only be skipped: see ``clipped``."""

LATENCY_WEIGHTS: Final = (0.006, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Prices of latency along the curve of the best players; 0.1 is that of the cost."""


class Round(NamedTuple):
    """One round as a bound sees it."""

    arrival: FloatArray
    """When each frame is first there, frame k being sent at k x 40 ms; NaN: never. Shape (n,)."""
    base: FloatArray
    """Network delay without jitter, seconds, shape (n,)."""


class Bound(NamedTuple):
    """A least cost."""

    cost_s: FloatArray
    """In seconds, shape (weights,)."""
    clipped: bool
    """Delays beyond the range occurred: the figure is that of a good player, not of the best."""


class CurvePoint(NamedTuple):
    """What the best player reaches at one price of latency."""

    latency_weight: float
    latency_ms: float
    freeze_pct: float


def bound(
    rounds: Sequence[Round],
    *,
    warp: bool,
    weights: Sequence[Weights] = (WEIGHTS,),
    grid_s: float = GRID_S,
    free_raise_s: float = FREE_RAISE_S,
    lower_s: float = LOWER_S,
) -> Bound:
    """The least cost of the rounds, for several prices at once.

    Args:
        rounds: the rounds; each begins at the delay that suits it best.
        warp: see above; False for the classical bound.
        weights: prices; all are reckoned in one go.
        grid_s: cell of the playout delay; the limits below are multiples of it.
        free_raise_s: raising the delay by up to this is no freeze.
        lower_s: largest fall of the delay per frame.
    """
    total, clipped = np.zeros(len(weights)), False
    for each in rounds:
        cost, cut_off = _round_bound(each, warp, weights, grid_s, free_raise_s, lower_s)
        total += cost
        clipped |= cut_off
    return Bound(total, clipped)


def curve(rounds: Sequence[Round], *, warp: bool, grid_s: float = GRID_S) -> list[CurvePoint]:
    """Freeze and mean latency of the best player at each of :data:`LATENCY_WEIGHTS`.

    By the envelope theorem: the part of the cost that a price multiplies is the derivative of the least cost
    with respect to that price.
    """
    step = 0.02
    weights = [replace(WEIGHTS, latency=each) for each in LATENCY_WEIGHTS]
    frozen = [replace(each, freeze=each.freeze * (1 + step)) for each in weights]
    slower = [replace(each, latency=each.latency * (1 + step)) for each in weights]
    cost = bound(rounds, warp=warp, weights=[*weights, *frozen, *slower], grid_s=grid_s).cost_s
    plain, by_freeze, by_latency = np.split(cost, 3)
    frames = sum(int(np.isfinite(each.arrival).sum()) for each in rounds)
    duration = sum(len(each.arrival) for each in rounds) * FRAME_INTERVAL_S
    points = []
    for k, weight in enumerate(LATENCY_WEIGHTS):
        latency = (by_latency[k] - plain[k]) / (weight * step) / max(frames * FRAME_INTERVAL_S, 1e-9)
        freeze = (by_freeze[k] - plain[k]) / step / max(duration, 1e-9)
        points.append(CurvePoint(weight, 1000 * float(latency), 100 * float(freeze)))
    return points


def _round_bound(
    each: Round, warp: bool, weights: Sequence[Weights], grid_s: float, free_raise_s: float, lower_s: float
) -> tuple[FloatArray, bool]:
    there = np.flatnonzero(np.isfinite(each.arrival))
    if not len(there):
        return np.zeros(len(weights)), False
    # No player knows of frames before the first and after the last that arrived.
    inside = slice(int(there[0]), int(there[-1]) + 1)
    base = each.base[inside]
    due = np.arange(inside.start, inside.stop) * FRAME_INTERVAL_S
    arrival = np.where(np.isfinite(each.arrival[inside]), each.arrival[inside], np.inf)
    need = (np.minimum.accumulate(arrival[::-1])[::-1] if warp else arrival) - due
    lowest = float(base.min()) - (
        FRAME_INTERVAL_S if warp else (_longest_loss(arrival) + 2) * FRAME_INTERVAL_S
    )
    highest = float(need[np.isfinite(need)].max()) + 0.05
    if not warp:
        # A high delay before a run of losses spares the freeze after it.
        highest += _longest_loss(arrival) * FRAME_INTERVAL_S
    cells = math.ceil((highest - lowest) / grid_s) + 2
    clipped = cells > MAX_CELLS
    cells = min(cells, MAX_CELLS)
    # The end of a cell counts as reached with its beginning: no player on a finer grid does better.
    needed = np.where(np.isfinite(need), np.floor((need - lowest) / grid_s + 1e-9), cells)
    needed = needed.clip(0, cells).astype(int)
    delay: FloatArray = np.asarray(lowest + grid_s * np.arange(cells), np.float64)
    solver = _Solver(delay, weights, grid_s, free_raise_s, lower_s if warp else 0.0)
    for k in range(len(base)):
        solver.step(int(needed[k]), float(base[k]))
    return np.asarray(solver.value.min(axis=1)), clipped


def _longest_loss(arrival: FloatArray) -> int:
    there = np.flatnonzero(np.isfinite(arrival))
    return int(np.diff(there).max()) - 1 if len(there) > 1 else 0


class _Solver:
    """The least cost of being at each delay, frame by frame; rows are prices, columns delays."""

    def __init__(
        self,
        delay: FloatArray,
        weights: Sequence[Weights],
        grid_s: float,
        free_raise_s: float,
        lower_s: float,
    ) -> None:
        def column(name: str) -> FloatArray:
            return np.array([[getattr(each, name)] for each in weights])

        self.value = np.zeros((len(weights), len(delay)))
        self._delay = delay
        self._free = round(free_raise_s / grid_s)
        self._lower = round(lower_s / grid_s)
        self._skip = round(FRAME_INTERVAL_S / grid_s)
        self._freeze_ramp = column("freeze") * delay
        self._warp_ramp = column("warp") * delay
        self._latency_rate = column("latency") * FRAME_INTERVAL_S
        self._latency = self._latency_rate * delay
        self._skip_cost = column("skip") * FRAME_INTERVAL_S

    def step(self, needed: int, base: float) -> None:
        """The next frame, which can be shown from cell ``needed`` on."""
        value, free, lower, skip = self.value, self._free, self._lower, self._skip
        best = _window_minimum(value - self._warp_ramp, free, ahead=False) + self._warp_ramp
        if free + 1 < value.shape[1]:
            frozen = np.minimum.accumulate(value - self._freeze_ramp, axis=1)[:, : -free - 1]
            frozen += self._freeze_ramp[:, free + 1 :]
            np.minimum(best[:, free + 1 :], frozen, out=best[:, free + 1 :])
        if lower:
            falling = _window_minimum(value + self._warp_ramp, lower, ahead=True)
            falling -= self._warp_ramp
            np.minimum(best, falling, out=best)
        best += self._latency
        best -= self._latency_rate * base
        best[:, :needed] = np.inf
        if skip < value.shape[1]:
            skipped = value[:, skip:] + self._skip_cost
            np.minimum(best[:, :-skip], skipped, out=best[:, :-skip])
        self.value = best


def _window_minimum(values: FloatArray, reach: int, *, ahead: bool) -> FloatArray:
    """Minimum of each cell and the ``reach`` cells after it (``ahead``) or before it, along the last axis; by
    doubling, in log(reach) passes."""
    result = values.copy()
    covered = 0
    while covered < reach:
        step = min(covered + 1, reach - covered)
        if step >= result.shape[1]:
            step = result.shape[1] - 1
            if step <= 0:
                break
        # Read from a copy: in place, a minimum would run on along the whole row.
        before = result.copy()
        if ahead:
            np.minimum(result[:, :-step], before[:, step:], out=result[:, :-step])
        else:
            np.minimum(result[:, step:], before[:, :-step], out=result[:, step:])
        covered += step
    return result
