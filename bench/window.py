"""Processor time of ``play`` in a window: the default head at 25 pictures a second, and at 60.

Every program runs in a process of its own, on a virtual screen (Xvfb) and against a real LiveKit server. What
is counted is processor time, of all threads of ``play``, the X server's aside: other work on the machine does
not add to it, but may keep a window from 60 pictures a second. ``play --headless`` is measured beside them:
what a window has no part in.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import AVATARKIT, Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish

GOAL_PERCENT = 60.0
"""Of one core: 25 pictures of 512 x 512 a second."""
SCREEN = (1280, 1024)
_WARM_UP_S = 4.0
_ALMOST = 0.9


@dataclass(frozen=True, slots=True)
class Case:
    """One way to play."""

    name: str
    options: tuple[str, ...]
    rate: float | None
    """Pictures a second that are asked for; None without a window."""
    goal: float | None = None


CASES = (
    Case("head 512 x 512, 25 a second", ("--size", "512x512", "--rate", "25"), 25.0, GOAL_PERCENT),
    Case("head 256 x 256, 60 a second", ("--size", "256x256", "--rate", "60"), 60.0, GOAL_PERCENT),
    Case("head 512 x 512, 60 a second", ("--size", "512x512", "--rate", "60"), 60.0),
    Case("cartoon 512 x 512, 60 a second", ("--face", "cartoon", "--size", "512x512"), 60.0),
    Case("head 512 x 512, full screen, 60 a second", ("--fullscreen", "--size", "512x512"), 60.0),
    Case("no window", ("--headless",), None),
)


@contextlib.contextmanager
def virtual_screen() -> Iterator[dict[str, str]]:
    """An X server without a screen; what a program's environment needs for it.

    Raises:
        RuntimeError: there is no Xvfb, or it does not start.
    """
    if shutil.which("Xvfb") is None:
        raise RuntimeError("Xvfb is missing: apt-get install xvfb")
    read, write = os.pipe()
    size = f"{SCREEN[0]}x{SCREEN[1]}x24"
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", size, "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        yield {"DISPLAY": f":{number}", "WAYLAND_DISPLAY": "", "XAUTHORITY": "", "QT_QPA_PLATFORM": ""}
    finally:
        server.kill()
        server.wait()


@dataclass(frozen=True, slots=True)
class Run:
    """What one case did."""

    percent: float
    """Of one core."""
    pictures: float | None
    """That came to the screen in a second: the share of the poses shown, of the rate."""
    window: dict[str, Any]


def measure_once(where: Place, screen: dict[str, str], case: Case, seconds: float) -> Run:
    """Play for ``seconds`` after a warm-up.

    Raises:
        RuntimeError: a program failed.
    """
    with ExitStack() as close:
        stats = Path(close.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))) / "stats"
        options = ("--mute", "--room", where.room, "--stats", str(stats), *case.options)
        if case.rate is None:
            options = tuple(option for option in options if option != "--mute")
        environment = {**where.environment, **screen}
        player = close.enter_context(Program(*AVATARKIT, "play", *options, environment=environment))
        player.wait_for("is here")
        time.sleep(_WARM_UP_S)
        before, began = player.cpu_s(), time.monotonic()
        time.sleep(seconds)
        percent = (player.cpu_s() - before) / (time.monotonic() - began) * 100
        player.stop()
        window = json.loads(stats.read_text(encoding="utf-8")).get("window") or {}
    pictures = case.rate * window["drawn"] / window["shown"] if case.rate is not None else None
    return Run(percent, pictures, window)


def measure(where: Place, *, seconds: float, cases: tuple[Case, ...] = CASES) -> Report:
    """Each case, one after the other, with the same avatar speaking all the time."""
    figures, runs = [], {}
    avatar = ["publish", "--room", where.room, "--pause", "0.5"]
    with virtual_screen() as screen, Program(*AVATARKIT, *avatar, environment=where.environment) as speaking:
        speaking.wait_for("publishing")
        for case in cases:
            run = measure_once(where, screen, case, seconds)
            runs[case.name] = run.window
            figures.append(Figure(case.name, run.percent, "%", case.goal))
            if run.pictures is not None and case.rate is not None:
                least = _ALMOST * case.rate if case.goal is not None else None
                figures.append(Figure(f"  {case.name}: pictures", run.pictures, "/s", least, at_least=True))
                figures.append(Figure(f"  {case.name}: drawing one", run.window["drawing_ms"], "ms"))
        speaking.stop()
    return Report(
        "window",
        figures,
        {"seconds": seconds, "window": runs},
        [f"of one core, user and system time, {seconds:g} s each"],
    )


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a run")
    options = parser.parse_args()
    on = machine()
    with place() as where:
        report = measure(where, seconds=6.0 if options.quick else options.seconds)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
