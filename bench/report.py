"""What every measurement prints and writes: a table of figures, and the machine they come from."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    """It should be at most this; None where there is nothing to reach."""
    at_least: bool = False
    """It should be at least :attr:`goal` instead."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        # A figure of numpy's would give a bool of numpy's, which is neither False nor JSON.
        return bool(self.value >= self.goal if self.at_least else self.value <= self.goal)


@dataclass(frozen=True, slots=True)
class Report:
    """What one measurement found."""

    name: str
    figures: Sequence[Figure]
    settings: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def met(self) -> bool:
        """Whether every figure with a goal reaches it."""
        return all(figure.met is not False for figure in self.figures)

    def figure(self, name: str) -> Figure:
        """The figure called ``name``."""
        return next(figure for figure in self.figures if figure.name == name)

    def table(self) -> str:
        """The figures, a line each."""
        rows = [(each.name, f"{each.value:.4g} {each.unit}".strip(), _verdict(each)) for each in self.figures]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"{name:<{widths[0]}}  {value:>{widths[1]}}  {goal}".rstrip() for name, value, goal in rows]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _verdict(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    bound = "least" if figure.at_least else "most"
    return f"{'ok' if figure.met else 'MISSED'} (goal: at {bound} {figure.goal:g})"


def machine() -> dict[str, Any]:
    """This machine, and how busy it is with other things (looks at it for a second)."""
    busy = psutil.cpu_percent(interval=1.0)
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "livekit": version("livekit"),
        "busy_before_percent": busy,
        "load_before": round(psutil.getloadavg()[0], 2),
    }


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all measurements have."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--quick", action="store_true", help="a short form, for a look: seconds each")
    return parser


def publish(report: Report, where: dict[str, Any], path: Path | None) -> int:
    """Print ``report`` and write it to ``path``; returns the exit code: 1 where a goal is missed."""
    where = {**where, "load_after": round(psutil.getloadavg()[0], 2)}
    print(f"== {report.name}")
    print(report.table())
    print(
        f"on: {where['cpu']}, {where['cores']} cores, Python {where['python']}, livekit {where['livekit']}; "
        f"other work before the start: {where['busy_before_percent']:.0f} % of the machine "
        f"(load {where['load_before']}, at the end {where['load_after']})"
    )
    if path is not None:
        figures = [{**asdict(each), "met": each.met} for each in report.figures]
        data = {
            "benchmark": report.name,
            "machine": where,
            "settings": report.settings,
            "figures": figures,
            "notes": list(report.notes),
        }
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return 0 if report.met else 1
