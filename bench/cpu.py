"""Processor time of a headless player against a bare LiveKit program in the same room at the same time.

Both receive the same data packets and read the same voice; the player decodes, buffers and shows the poses as
well. Start-up is left out.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from avatarkit_rtc.cli.options import join_token
from bench.processes import AVATARKIT, Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish

GOAL = 1.3
WARM_UP_S = 5.0
_SAME_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """One run of both side by side."""

    ours_percent: float
    """Of one core."""
    bare_percent: float

    @property
    def ratio(self) -> float:
        """Ours against the bare program."""
        return self.ours_percent / self.bare_percent


def measure_once(where: Place, seconds: float, *, ours_first: bool) -> Run:
    """Run both for ``seconds`` after a warm-up.

    Raises:
        RuntimeError: a program failed, or the two did not receive the same.
    """
    token = join_token(where.key, where.secret, where.room, "bare-receiver")
    with ExitStack() as close:
        stats = Path(close.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))) / "stats"
        avatar = ["publish", "--room", where.room, "--pause", "1"]
        play = [*AVATARKIT, "play", "--headless", "--room", where.room, "--stats", str(stats)]
        programs: dict[bool, Program] = {}
        for is_ours in (ours_first, not ours_first):
            if is_ours:
                program = Program(*play, environment=where.environment)
            else:
                access = {"LIVEKIT_URL": where.url, "LIVEKIT_TOKEN": token}
                program = Program("-m", "bench.bare_receiver", environment=access)
            programs[is_ours] = close.enter_context(program)
            program.wait_for("connected")
        ours, bare = programs[True], programs[False]
        # It comes last and goes first, so that both receive the same however slowly they start and end.
        publisher = close.enter_context(Program(*AVATARKIT, *avatar, environment=where.environment))
        ours.wait_for("is here")
        time.sleep(min(WARM_UP_S, seconds))
        before = ours.cpu_s(), bare.cpu_s(), time.monotonic()
        time.sleep(seconds)
        after = ours.cpu_s(), bare.cpu_s(), time.monotonic()
        for program in (publisher, ours, bare):
            program.stop()
        # The SDK may print something of its own as well.
        result = next(line for line in bare.output.splitlines() if line.startswith("{"))
        received, theirs = json.loads(stats.read_text(encoding="utf-8")), json.loads(result)
        check_same("packets", received["motion"]["packets"], theirs["packets"], slack=3 * 25)
        sound_s = received["audio"]["blocks_received"] / 100
        check_same("seconds of sound", sound_s, theirs["audio_s"], slack=3.0)
    wall = after[2] - before[2]
    return Run((after[0] - before[0]) / wall * 100, (after[1] - before[1]) / wall * 100)


def check_same(what: str, ours: float, bare: float, *, slack: float) -> None:
    """Both received the same: one of them may have been there for a little longer, by ``slack`` or a tenth.

    Raises:
        RuntimeError: one received much more, or one nothing.
    """
    if min(ours, bare) <= 0 or abs(ours - bare) > max(_SAME_SHARE * bare, slack):
        raise RuntimeError(f"not the same: the player received {ours:.0f} {what}, the other {bare:.0f}")


def measure(where: Place, *, seconds: float, runs: int) -> Report:
    """Several runs; the program that starts first changes from one to the next."""
    done = [measure_once(where, seconds, ours_first=bool(run % 2)) for run in range(runs)]
    return Report(
        "cpu",
        [
            Figure("avatarkit-rtc play --headless", statistics.median(run.ours_percent for run in done), "%"),
            Figure("bare livekit program", statistics.median(run.bare_percent for run in done), "%"),
            Figure("ratio, median of the runs", statistics.median(run.ratio for run in done), "", GOAL),
            Figure("ratio, highest", max(run.ratio for run in done), ""),
        ],
        {"seconds": seconds, "runs": runs, "ratios": [round(run.ratio, 3) for run in done]},
        [f"of one core, user and system time, {runs} run(s) of {seconds:g} s"],
    )


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a run")
    parser.add_argument("--runs", type=int, default=3, help="runs")
    options = parser.parse_args()
    seconds, runs = (10.0, 1) if options.quick else (options.seconds, options.runs)
    on = machine()
    with place() as where:
        report = measure(where, seconds=seconds, runs=runs)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
