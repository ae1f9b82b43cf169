"""The tables on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.playout.evaluate import Settings, TraceResult
from bench.playout.policies import DEFAULT, POLICIES, REFERENCE, SMOOTH
from bench.playout.summary import Goal, Row

COLUMNS = (
    ("freeze%", "freeze_pct", 2),
    ("/min", "freezes_per_min", 1),
    ("worst", "worst_freeze_ms", 0),
    ("skip%", "skipped_pct", 2),
    ("delay", "latency_ms", 0),
    ("p95", "latency_p95_ms", 0),
    ("warp%", "stretch_pct", 1),
    ("late%", "late_pct", 2),
    ("wasted", "wasted", 0),
    ("cost%", "cost_pct", 2),
    ("C/ref", "to_reference", 3),
    ("C/warp", "to_warp", 2),
    ("C/cut", "to_cut", 2),
)
"""Heading, field of :class:`Row`, decimals."""

CAPTION = (
    "means over the traces; worst freeze, delay and p95 in ms; wasted: frames that came in time and were not "
    "shown; "
    "C/ref, C/warp, C/cut: cost against the reference at 80 ms and against the two bounds, geometric means"
)

PICKED = (DEFAULT, SMOOTH, REFERENCE)
"""Policies whose cost is listed trace by trace."""


def number(value: float, decimals: int) -> str:
    """As text; a dash for what is not known."""
    return "–" if math.isnan(value) else f"{value:.{decimals}f}"


def summary_table(rows: Sequence[Row], settings: Settings, traces: int) -> Table:
    """A line for each policy."""
    table = Table(title=f"{traces} traces, {settings.title}", title_justify="left", caption=CAPTION)
    table.add_column("policy", no_wrap=True)
    for heading, _, _ in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    family = ""
    for row in rows:
        policy = POLICIES[row.policy]
        if family and policy.family != family:
            table.add_section()
        family = policy.family
        cells = [number(float(getattr(row, field)), decimals) for _, field, decimals in COLUMNS]
        table.add_row(policy.label, *cells, style="bold" if row.policy == DEFAULT else None)
    return table


def trace_table(results: Sequence[TraceResult], policies: Sequence[str]) -> Table:
    """A line for each trace: what it is like, the bounds, the cost of a few policies."""
    picked = [each for each in PICKED if each in policies]
    table = Table(title="cost % by trace", title_justify="left")
    table.add_column("trace", no_wrap=True)
    for heading in ("loss %", "jitter 99.9 %", "C*warp", "C*cut", *picked):
        table.add_column(heading, justify="right")
    for each in results:
        mark = "~" if each.clipped else ""
        costs = [
            number(each.measures[name].cost_pct, 2) if name in each.measures else "failed" for name in picked
        ]
        about = [number(each.loss_pct, 2), f"{each.jitter_p999_ms:.0f} ms"]
        bounds = [mark + number(each.warp_pct, 2), mark + number(each.cut_pct, 2)]
        table.add_row(each.trace, *about, *bounds, *costs)
    return table


def goal_table(goals: Sequence[Goal]) -> Table:
    """A line for each goal: figure, goal, held or not."""
    table = Table(title="what it must show", title_justify="left")
    table.add_column("goal")
    for heading in ("figure", "at most", "aim", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for goal in goals:
        verdict = "[green]held, aim reached[/]" if goal.held and goal.aimed else "[green]held[/]"
        if not goal.held:
            verdict = "[red]NOT HELD[/]"
        aim = "" if goal.aim is None else f"{goal.aim:g}"
        table.add_row(goal.text, f"{goal.value:.3f} {goal.unit}".strip(), f"{goal.goal:.4g}", aim, verdict)
    return table


def print_results(
    console: Console,
    results: Sequence[TraceResult],
    rows: Sequence[Row],
    goals: Sequence[Goal],
    settings: Settings,
) -> None:
    """Everything about one setting."""
    console.print()
    console.print(summary_table(rows, settings, len(results)))
    console.print(trace_table(results, settings.policies))
    if goals:
        console.print(goal_table(goals))
    failed: dict[tuple[str, str], list[str]] = {}
    for each in results:
        for policy, error in each.errors.items():
            failed.setdefault((policy, error), []).append(each.trace)
    for (policy, error), traces in failed.items():
        console.print(f"[red]{policy} failed on {', '.join(traces)}[/]: {error}")
    if any(each.clipped for each in results):
        console.print("~ delays beyond 16 s: the bound there is the cost of a good player, not the least.")
