"""How many recordings at once this machine carries: ``python -m bench.recorders``.

Bots, each a process of its own, record the same avatar of a room at 25 pictures a second with x264. Server
and avatar run on the same machine. A bot keeps up when it writes all pictures, drops nothing and never has to
lower its load. For each size, face and preset: processor time per bot, by what it goes into, and the most
bots that kept up.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.processes import AVATARKIT, Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish

PRESETS: Final = ("veryfast", "superfast", "ultrafast")
"""By level of the recorder."""

MUST: Final = 6
"""Bots with ``cartoon`` at 256 x 256 and ``veryfast`` that have to keep up."""

SETTLE_S: Final = 30.0
"""So long bots have to come back from what the start of the others cost them, at most."""

WARM_UP_S: Final = 4.0
MOST: Final = 16
PARTS: Final = ("draw", "encode", "sound", "loop", "livekit")
"""Where a bot's time goes: drawing, encoding pictures, sound and sidecar, the player's event loop, and
LiveKit's own threads with what little is left."""

_PICTURES_SHARE: Final = 0.97
"""Of 25 a second: fewer are missing pictures."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is recorded, and how."""

    face: str
    size: int
    level: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.face} {self.size} x {self.size} {PRESETS[self.level]}"


SETUPS: Final = tuple(
    Setup(face, size, level) for size in (256, 512) for face in ("cartoon", "head") for level in (0, 2)
)


@dataclass(frozen=True, slots=True)
class Bot:
    """What one bot did while it was watched."""

    percent: dict[str, float]
    """Of a core, by part."""
    pictures_per_s: float
    kept_up: bool

    @property
    def total_percent(self) -> float:
        """Of a core, all of it."""
        return sum(self.percent.values())


def bot_of(first: dict[str, float], last: dict[str, float], between: Sequence[dict[str, float]]) -> Bot:
    """What a bot did between two of its lines.

    Args:
        first: its counters at the beginning.
        last: at the end.
        between: all lines from one to the other.
    """
    wall = last["t"] - first["t"]
    spent = {part: last[part] - first[part] for part in PARTS if part != "livekit"}
    spent["livekit"] = max(0.0, last["cpu"] - first["cpu"] - sum(spent.values()))
    rate = (last["pictures"] - first["pictures"]) / wall
    same = all(line["level"] == first["level"] and line["rate"] == 25 for line in between)
    kept_up = same and last["dropped"] == first["dropped"] and rate >= _PICTURES_SHARE * 25
    return Bot({part: 100 * seconds / wall for part, seconds in spent.items()}, rate, kept_up)


def run(where: Place, setup: Setup, count: int, seconds: float) -> list[Bot]:
    """Let ``count`` bots record for ``seconds``, once they have come back from the others' starts.

    Raises:
        RuntimeError: one of the programs failed.
    """
    with ExitStack() as close:
        folder = Path(close.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        avatar = [*AVATARKIT, "publish", "--room", where.room, "--pause", "0.5"]
        close.enter_context(Program(*avatar, environment=where.environment)).wait_for("publishing")
        bots = []
        for number in range(count):
            out = folder / f"{number}.mp4"
            what = [str(out), where.room, setup.face, str(setup.size), str(setup.level)]
            bot = close.enter_context(
                Program("-m", "bench.recorder_bot", *what, environment=where.environment)
            )
            # One after the other: what a start costs is another question.
            bot.wait_for("recording", 60.0)
            bots.append(bot)
        time.sleep(WARM_UP_S)
        patience = time.monotonic() + SETTLE_S
        while time.monotonic() < patience and not all(_settled(bot.output, setup) for bot in bots):
            time.sleep(0.5)
        begin = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
        for bot in bots:
            bot.stop()
        return [_watched(bot.output, begin, end) for bot in bots]


def _settled(output: str, setup: Setup) -> bool:
    """Whether a bot works as hard as it was told to."""
    lines = [line for line in output.splitlines() if line.startswith("{") and line.endswith("}")]
    last = json.loads(lines[-1]) if lines else {"level": -1, "rate": 0}
    return bool(last["level"] == setup.level and last["rate"] == 25)


def _watched(output: str, begin: float, end: float) -> Bot:
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    inside = [line for line in lines if begin <= line["t"] <= end]
    if len(inside) < 2:
        raise RuntimeError(f"a bot said too little:\n{output[-2000:]}")
    return bot_of(inside[0], inside[-1], inside)


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one setup."""

    setup: Setup
    bots: tuple[Bot, ...]
    """Of the run that tells the processor time: the largest that kept up, or the only one."""
    most: int
    """Most bots that kept up; 0 for none."""
    failed_at: int | None
    """Fewest that did not; None where that was not reached."""

    def percent(self, part: str) -> float:
        """Of a core, per bot, the median."""
        return statistics.median(bot.percent[part] for bot in self.bots)

    @property
    def total_percent(self) -> float:
        """Of a core, per bot, the median."""
        return statistics.median(bot.total_percent for bot in self.bots)


def most(where: Place, setup: Setup, seconds: float, *, first: int, at_most: int = MOST) -> Row:
    """Look for the number of bots that keep up, from ``first`` on, by what a bot costs."""
    tried: dict[int, list[Bot]] = {}
    good, bad, count = 0, at_most + 1, first
    while good + 1 < bad:
        print(f"{setup.name}: {count} bots …", file=sys.stderr)
        tried[count] = run(where, setup, count, seconds)
        if all(bot.kept_up for bot in tried[count]):
            good = count
        else:
            bad = count
        if bad <= at_most:
            count = (good + bad) // 2
        else:
            cost = statistics.median(bot.total_percent for bot in tried[count])
            room = int(0.85 * 100 * (os.cpu_count() or 1) / cost)
            count = min(max(room, good + (good + 1) // 2), at_most)
    return Row(setup, tuple(tried[good or min(tried)]), good, bad if bad <= at_most else None)


class Table(Report):
    """A report whose table has a line for each setup."""

    def table(self) -> str:
        """The rows that the notes hold."""
        return "\n".join(self.notes)


def report(rows: Sequence[Row], settings: dict[str, Any]) -> Report:
    """The figures of ``rows``."""
    figures = []
    head = ["face", "size", "preset", "keep up", "CPU per bot %", *PARTS]
    lines = [head]
    for row in rows:
        setup = row.setup
        for part in PARTS:
            figures.append(Figure(f"{setup.name}: {part}", row.percent(part), "% of a core"))
        figures.append(Figure(f"{setup.name}: a bot", row.total_percent, "% of a core"))
        must = MUST if (setup.face, setup.size, setup.level) == ("cartoon", 256, 0) else None
        # Goals are upper bounds: what is missing to the six that must keep up.
        if must is not None and settings.get("judged", True):
            figures.append(Figure(f"{setup.name}: bots missing to {must}", max(0, must - row.most), "", 0))
        figures.append(Figure(f"{setup.name}: bots that keep up", row.most, ""))
        kept = str(row.most) if row.failed_at is not None else f"{row.most} or more"
        cells = [setup.face, str(setup.size), PRESETS[setup.level], kept, f"{row.total_percent:.1f}"]
        lines.append([*cells, *(f"{row.percent(part):.1f}" for part in PARTS)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    table = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return Table("recorders", figures, settings, table)


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run")
    parser.add_argument("--face", action="append", help="these faces only")
    options = parser.parse_args()
    on = machine()
    with place() as where:
        if options.quick:
            rows = [most(where, SETUPS[0], 8.0, first=2, at_most=2)]
        else:
            chosen = [setup for setup in SETUPS if options.face is None or setup.face in options.face]
            rows = [most(where, setup, options.seconds, first=4) for setup in chosen]
    settings = {"seconds": 8.0 if options.quick else options.seconds, "judged": not options.quick}
    return publish(report(rows, settings), on, options.json)


if __name__ == "__main__":
    sys.exit(main())
