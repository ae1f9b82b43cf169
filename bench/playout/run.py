"""The command: which traces, which modes, where the results go."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.playout import conditions
from bench.playout.evaluate import Settings, TraceResult, as_json, evaluate_all, playable
from bench.playout.policies import HINDSIGHT, POLICIES
from bench.playout.summary import goals, rows
from bench.playout.terminal import print_results
from bench.playout.traces import Trace, TraceError, load_traces

COPIES = 2
"""Frames before its own that a packet of a redundant stream carries."""

QUICK_S = 20.0
"""Length of the traces of ``--quick``."""

WIDTH = 150
"""Columns of a table that is not written to a terminal."""


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(
        prog="python -m bench.playout",
        description="Play network traces with every playout policy, on a virtual clock, and compare.",
    )
    result.add_argument(
        "--traces", type=Path, metavar="DIR", help="folder of .npz and .csv traces, or one of them"
    )
    result.add_argument(
        "--conditions",
        nargs="*",
        metavar="NAME",
        help="generated network conditions (all, or by name); the default when --traces is not given: "
        + ", ".join(conditions.CONDITIONS),
    )
    result.add_argument(
        "--rounds", action="store_true", help="cut into rounds of 2-15 s with pauses of 1-10 s"
    )
    result.add_argument(
        "--redundancy",
        choices=("both", "with", "without"),
        default="both",
        help="whether each packet carries the previous two frames (default: a table for each)",
    )
    result.add_argument("--seed", type=int, default=1, help="of the generated conditions and of the rounds")
    result.add_argument(
        "--policies",
        nargs="+",
        choices=list(POLICIES),
        metavar="NAME",
        help="some only: " + ", ".join(POLICIES),
    )
    result.add_argument(
        "--hindsight", action="store_true", help="the best constant target of each trace too (slow)"
    )
    result.add_argument("--on-backlog", choices=("catch_up", "skip"), default="catch_up", help="for ours")
    result.add_argument(
        "--render-hz", type=float, metavar="HZ", help="show poses at a display's rate, 60 say"
    )
    result.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    result.add_argument(
        "--report", type=Path, metavar="DIR", help="write a page with pictures there (matplotlib)"
    )
    result.add_argument(
        "--processes", type=int, default=min(2, os.cpu_count() or 1), help="workers (default: 2)"
    )
    result.add_argument(
        "--quick", action="store_true", help="the first 20 s of each trace, to try things out"
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status: 0, or 2 where the traces cannot be used."""
    options = parser().parse_args(arguments)
    wide = Console().width if sys.stdout.isatty() else WIDTH
    console = Console(width=max(wide, 100))
    try:
        traces, silent = playable(_traces(options))
    except TraceError as error:
        console.print(f"[red]{error}[/]")
        return 2
    for name in silent:
        console.print(f"{name}: nothing ever arrived; left out.")
    if not traces:
        console.print("[red]no trace is left to play.[/]")
        return 2
    results = _evaluate(traces, _settings(options), max(1, options.processes), console)
    for settings, each in results:
        print_results(console, each, rows(each, settings.policies), goals(each, settings), settings)
    if options.json is not None:
        _write_json(options.json, results)
    if options.report is not None:
        from bench.playout.report import write_report

        page = write_report(options.report, traces, results)
        console.print(f"report: {page}")
    return 0


def _traces(options: argparse.Namespace) -> list[Trace]:
    traces: list[Trace] = []
    length = QUICK_S if options.quick else conditions.DURATION_S
    if options.traces is not None:
        traces += load_traces(options.traces)
    if options.conditions is not None or options.traces is None:
        names = options.conditions or list(conditions.CONDITIONS)
        unknown = sorted(set(names) - set(conditions.CONDITIONS))
        if unknown:
            raise TraceError(f"no condition is called {', '.join(unknown)}; see --help")
        traces += [conditions.condition(name, options.seed, length) for name in names]
    return [each.shortened(QUICK_S) for each in traces] if options.quick else traces


def _settings(options: argparse.Namespace) -> list[Settings]:
    names = options.policies or [each for each in POLICIES if each != HINDSIGHT or options.hindsight]
    base = Settings(
        policies=tuple(each for each in POLICIES if each in names),
        rounds=options.rounds,
        seed=options.seed,
        on_backlog=options.on_backlog,
        render_hz=options.render_hz,
        pictures=options.report is not None,
    )
    copies = {"both": (0, COPIES), "with": (COPIES,), "without": (0,)}[options.redundancy]
    return [replace(base, copies=each) for each in copies]


def _evaluate(
    traces: Sequence[Trace], settings: Sequence[Settings], processes: int, console: Console
) -> list[tuple[Settings, list[TraceResult]]]:
    jobs = [(trace, each) for each in settings for trace in traces]
    done: dict[int, TraceResult] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("playing", total=len(jobs))
        for number, result in evaluate_all(jobs, processes):
            done[number] = result
            progress.update(task, advance=1, description=result.trace)
    n = len(traces)
    return [(each, [done[k * n + i] for i in range(n)]) for k, each in enumerate(settings)]


def _write_json(path: Path, results: Sequence[tuple[Settings, list[TraceResult]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sections: list[dict[str, Any]] = []
    for settings, each in results:
        sections.append(
            {
                "mode": "rounds" if settings.rounds else "endless",
                "redundancy": settings.copies,
                "seed": settings.seed,
                "on_backlog": settings.on_backlog,
                "render_hz": settings.render_hz,
                "summary": [_finite(asdict(row)) for row in rows(each, settings.policies)],
                "goals": [
                    _finite(asdict(goal)) | {"held": goal.held, "aimed": goal.aimed}
                    for goal in goals(each, settings)
                ],
                "traces": [as_json(result) for result in each],
            }
        )
    path.write_text(json.dumps({"runs": sections}, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    # JSON knows neither NaN nor infinity.
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in figures.items()
    }
