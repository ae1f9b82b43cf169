"""The pictures of the report. matplotlib is loaded on first use: the bench runs without it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from bench.playout.bounds import CurvePoint
from bench.playout.evaluate import Settings, TraceResult
from bench.playout.measures import FREEZE_GAP_S, SKIP_STEP, Shown, sliding_base
from bench.playout.policies import DEFAULT, NETEQ, POLICIES, REFERENCE, SMOOTH
from bench.playout.rounds import Session
from bench.playout.summary import Row
from bench.playout.traces import FloatArray, Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = {
    "ours": "#0b6e99",
    "reference": "#c4501b",
    "fixed": "#7a7f87",
    "neteq": "#7d4aa8",
    "hindsight": "#3c8c40",
}
MARKERS: Final = {"ours": "o", "reference": "s", "fixed": "^", "neteq": "D", "hindsight": "*"}
DRAWN: Final = ((DEFAULT, "#0b6e99"), (SMOOTH, "#3aa7a0"), (REFERENCE, "#c4501b"), (NETEQ, "#7d4aa8"))
"""Policies in the picture of a trace."""

INK: Final = "#33383f"
DETAIL_S: Final = 12.0
"""Width of the close-up."""

LATENCY_ROOM: Final = 1.35
"""The overview ends at so much more than the largest latency of any policy."""


def _figure(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    # The object interface: no display, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(panels, 1, number + 1) for number in range(panels)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(True, color="#e6e8eb", linewidth=0.8)
        each.set_axisbelow(True)
    return figure, axes


def overview_picture(path: Path, results: Sequence[TraceResult], rows: Sequence[Row]) -> None:
    """Freeze against latency for all policies, with the best players at every price of latency as curves."""
    figure, (axes,) = _figure(10, 6)
    shown = [each for each in rows if not np.isnan(each.latency_ms)]
    right = LATENCY_ROOM * max((each.latency_ms for each in shown), default=100.0)
    # A policy that freezes most of the time would press all others into a corner.
    usual = sorted(each.freeze_pct for each in shown)
    top = 1.25 * max((each for each in usual if each < 4 * usual[len(usual) // 2] + 1.0), default=1.0)
    for name, colour, style in (("warp", INK, "-"), ("cut", INK, "--")):
        latency, freeze = mean_curve([getattr(each, f"{name}_curve") for each in results])
        label = "bound, with warping and interpolation" if name == "warp" else "bound, without"
        axes.plot(latency, freeze, style, color=colour, linewidth=1.6, label=label)
    places = []
    for each in shown:
        policy = POLICIES[each.policy]
        inside = each.freeze_pct <= top
        y = min(each.freeze_pct, top * 0.985)
        axes.plot(
            each.latency_ms,
            y,
            MARKERS[policy.family],
            color=COLOURS[policy.family],
            markersize=9,
            clip_on=False,
        )
        text = policy.label if inside else f"{policy.label}: {each.freeze_pct:.0f} % (off the scale)"
        places.append((each.latency_ms, y, text, COLOURS[policy.family]))
    for (x, y, text, colour), shift in zip(places, _shifts(places, right, top), strict=True):
        axes.annotate(
            text, (x, y), (9, shift), textcoords="offset points", color=colour, fontsize=9, va="center"
        )
    axes.set(
        xlim=(0, right), ylim=(0, top), xlabel="added latency, ms (mean)", ylabel="frozen, % of the time"
    )
    figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=9)
    title = "Lower left is better. Curves: who knows every arrival beforehand, at each price of latency."
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    figure.savefig(path)


def mean_curve(curves: Sequence[Sequence[CurvePoint]]) -> tuple[FloatArray, FloatArray]:
    """Latency (ms) and freeze (%) at each price, means over the traces."""
    if not curves or not curves[0]:
        return np.zeros(0), np.zeros(0)
    points = np.array([[(each.latency_ms, each.freeze_pct) for each in one] for one in curves])
    mean = points.mean(axis=0)
    return mean[:, 0], mean[:, 1]


def _shifts(places: Sequence[tuple[float, float, str, str]], right: float, top: float) -> list[float]:
    """Moves labels up or down, in points, until those that are close together can be read."""
    height, width = 13.0, 600.0 / max(right, 1e-9)
    up = 340.0 / max(top, 1e-9)
    settled: list[tuple[float, float, float]] = []
    result = [0.0] * len(places)
    for index in sorted(range(len(places)), key=lambda each: places[each][1]):
        x, y, text, _ = places[index]
        left, wanted = x * width, y * up
        at = wanted
        for other_left, other_right, other_at in sorted(settled, key=lambda each: each[2]):
            overlaps = left < other_right and other_left < left + 5.2 * len(text) + 12
            if overlaps and abs(at - other_at) < height:
                at = other_at + height
        settled.append((left, left + 5.2 * len(text) + 12, at))
        result[index] = at - wanted
    return result


def cost_picture(path: Path, results: Sequence[TraceResult], policies: Sequence[str]) -> None:
    """Cost of the main policies on each trace, on a logarithmic scale, from the bound up."""
    figure, (axes,) = _figure(10, 1.6 + 0.36 * len(results))
    order = sorted(results, key=lambda each: each.warp_pct)
    lines = np.arange(len(order))
    for index, each in enumerate(order):
        axes.plot(
            [each.warp_pct, each.cut_pct], [index, index], color="#9aa0a8", linewidth=5, alpha=0.55, zorder=1
        )
    axes.plot([], [], color="#9aa0a8", linewidth=5, alpha=0.55, label="from C*warp to C*cut")
    for name, colour in DRAWN:
        if name in policies:
            cost = [each.measures[name].cost_pct if name in each.measures else np.nan for each in order]
            policy = POLICIES[name]
            axes.plot(cost, lines, MARKERS[policy.family], color=colour, label=policy.label, markersize=7)
    axes.set_xscale("log")
    axes.set_yticks(lines, [each.trace for each in order])
    axes.set_xlabel("cost, % of the duration")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    figure.savefig(path)


def trace_picture(path: Path, trace: Trace, settings: Settings, result: TraceResult) -> bool:
    """One trace: delay of packets and of playing over time, whole and close up; False: nothing was shown."""
    drawn = [
        (name, colour) for name, colour in DRAWN if any(len(each.t) for each in result.shown.get(name, []))
    ]
    if not drawn:
        return False
    session = settings.session(trace)
    base = sliding_base(trace.delay)
    added = 1000 * (trace.delay - base)
    figure, (whole, close) = _figure(11, 7.2, panels=2)
    middle = _worst_moment(result, drawn[-1][0] if REFERENCE not in result.shown else REFERENCE, trace)
    lost = np.isnan(added)
    for axes in (whole, close):
        axes.plot(
            trace.send, added, ".", color="#a9afb8", markersize=2 if axes is whole else 5, label="packets"
        )
        axes.plot(
            trace.send[lost], np.zeros(int(lost.sum())), "|", color="#1c1f23", markersize=7, label="lost"
        )
        for name, colour in drawn:
            t, delay = playing_delay(session, result.shown[name], base)
            label = POLICIES[name].label
            axes.plot(t, delay, color=colour, linewidth=1.0 if axes is whole else 1.8, label=label)
        axes.set_ylabel("delay over the fastest, ms")
    close.set_xlim(max(0.0, middle - DETAIL_S / 3), max(0.0, middle - DETAIL_S / 3) + DETAIL_S)
    _limit(whole, [(trace.send, added)], 99.9)
    _limit(
        close, [(trace.send, added), *(playing_delay(session, result.shown[name], base) for name, _ in drawn)]
    )
    close.set_xlabel("time the frame was sent, s; lines break where the picture froze or frames were skipped")
    whole.set_title(_title(result), loc="left", fontsize=10, color=INK)
    close.set_title("close up: the longest freeze of the reference", loc="left", fontsize=10, color=INK)
    handles, labels = close.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=len(labels), loc="outside lower center", fontsize=9)
    figure.savefig(path)
    return True


def playing_delay(
    session: Session, shown: Sequence[Shown], base: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Time at which the shown positions were sent (s) and the delay they were shown with (ms), with NaN at
    freezes, skips and between rounds, where no line is to be drawn."""
    times, delays = [np.zeros(0)], [np.zeros(0)]
    for span, poses in zip(session.spans, shown, strict=True):
        if not len(poses.t):
            continue
        sent = session.origin(span) + poses.m * FRAME_INTERVAL_S
        delay = poses.t - sent - np.interp(poses.m + span.begin, np.arange(len(base)), base)
        breaks = np.flatnonzero((np.diff(poses.t) > FREEZE_GAP_S) | (np.diff(poses.m) > SKIP_STEP)) + 1
        times += [np.insert(sent, breaks, np.nan), np.array([np.nan])]
        delays += [np.insert(delay, breaks, np.nan), np.array([np.nan])]
    return np.concatenate(times), 1000 * np.concatenate(delays)


def _limit(axes: Axes, lines: Sequence[tuple[FloatArray, FloatArray]], share: float = 100.0) -> None:
    """Fit the height to what lies within the width."""
    left, right = axes.get_xlim()
    tops = []
    for x, y in lines:
        inside = y[(x >= left) & (x <= right) & np.isfinite(y)]
        if len(inside):
            tops.append(float(np.percentile(inside, share)))
    top = max([60.0, *tops])
    axes.set_ylim(-0.05 * top, 1.25 * top)


def _worst_moment(result: TraceResult, policy: str, trace: Trace) -> float:
    moment, longest = len(trace) * FRAME_INTERVAL_S / 2, 0.0
    for poses in result.shown.get(policy, []):
        gaps = np.diff(poses.t)
        if len(gaps) and gaps.max() > longest:
            index = int(gaps.argmax())
            moment, longest = float(poses.t[index]), float(gaps[index])
    return moment


def _title(result: TraceResult) -> str:
    bounds = f"C*warp {result.warp_pct:.2f} %, C*cut {result.cut_pct:.2f} %"
    costs = ", ".join(
        f"{name} {result.measures[name].cost_pct:.2f} %" for name, _ in DRAWN if name in result.measures
    )
    return f"{result.trace}: {result.loss_pct:.2f} % lost; cost: {costs}; {bounds}"
