"""Processor time of a player with a video avatar against a bare LiveKit program: ``bench.video_cpu``.

Both read the same tracks in the same room at the same time. Start-up is left out.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Any, Final

from avatarkit_rtc.cli.options import join_token
from bench.cpu import WARM_UP_S, check_same
from bench.processes import Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish
from bench.video_sync import avatar_program

GOAL: Final = 1.3
WAYS: Final = ("player", "bare")


def measure_once(
    where: Place, seconds: float, size: tuple[int, int], *, ours_first: bool
) -> tuple[float, float]:
    """Percent of a core of the player and of the bare program.

    Raises:
        RuntimeError: a program failed, or the two did not receive the same.
    """
    with ExitStack() as close:
        avatar = close.enter_context(avatar_program(where, size, 25.0, "vp8"))
        programs: dict[str, Program] = {}
        for way in WAYS if ours_first else reversed(WAYS):
            token = join_token(where.key, where.secret, where.room, way)
            access = {"LIVEKIT_URL": where.url, "LIVEKIT_TOKEN": token}
            programs[way] = close.enter_context(
                Program("-m", "bench.video_receiver", way, environment=access)
            )
            programs[way].wait_for("connected")
        time.sleep(min(WARM_UP_S, seconds))
        before = {way: programs[way].cpu_s() for way in WAYS}
        begun = time.monotonic()
        time.sleep(seconds)
        wall = time.monotonic() - begun
        used = {way: 100 * (programs[way].cpu_s() - before[way]) / wall for way in WAYS}
        received: dict[str, dict[str, Any]] = {}
        for way in WAYS:
            programs[way].stop()
            # The SDK may print something of its own as well.
            lines = [line for line in programs[way].output.splitlines() if line.startswith("{")]
            received[way] = json.loads(lines[-1])
        for what, slack in (("pictures", 75), ("audio_s", 3.0)):
            try:
                check_same(what, received["player"][what], received["bare"][what], slack=slack)
            except RuntimeError as error:
                raise RuntimeError(f"{error}; the avatar said:\n{avatar.output}") from None
    return used["player"], used["bare"]


def measure(where: Place, *, seconds: float, runs: int, size: tuple[int, int] = (640, 480)) -> Report:
    """Several runs; the program that starts first changes from one to the next."""
    done = [measure_once(where, seconds, size, ours_first=bool(run % 2)) for run in range(runs)]
    ratios = [ours / bare for ours, bare in done]
    return Report(
        "video_cpu",
        [
            Figure("a player", statistics.median(ours for ours, _ in done), "%"),
            Figure("bare livekit program", statistics.median(bare for _, bare in done), "%"),
            Figure("ratio, median of the runs", statistics.median(ratios), "", GOAL),
            Figure("ratio, highest", max(ratios), ""),
        ],
        {"seconds": seconds, "runs": runs, "size": list(size), "ratios": [round(each, 3) for each in ratios]},
        [f"of one core, user and system time, {runs} run(s) of {seconds:g} s, {size[0]} x {size[1]}, 25 a s"],
    )


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a run")
    parser.add_argument("--runs", type=int, default=3, help="runs")
    parser.add_argument("--size", default="640x480")
    options = parser.parse_args()
    seconds, runs = (10.0, 1) if options.quick else (options.seconds, options.runs)
    width, height = (int(side) for side in options.size.split("x"))
    on = machine()
    with place() as where:
        found = measure(where, seconds=seconds, runs=runs, size=(width, height))
    return publish(found, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
