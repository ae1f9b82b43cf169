"""``play`` behind a bad network: what it showed, and what the simulation makes of the same arrivals.

A stand-in avatar publishes into a real LiveKit server; the player runs in a network namespace of its own, and
all its media passes a relay that loses, delays and reorders packets. Needs Linux, root and the program `ip`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.testing.impairment import CLEAN, BurstLoss, DelayTrace, ImpairedServer, Impairment
from avatarkit_rtc.testing.server_build import ensure_server
from bench.network_logs import Run, read_run
from bench.playout.conditions import condition
from bench.playout.measures import Measures, measures
from bench.playout.player import play
from bench.playout.policies import DEFAULT, POLICIES
from bench.processes import AVATARKIT, Place, Program
from bench.report import Figure, Report, arguments, machine, publish

DELAY_S: Final = 0.020
"""One way, on top of every condition but ``clean``."""
LTE_S: Final = 120.0
"""Length of the LTE trace, which begins anew with each run."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A network between server and player."""

    label: str
    down: Callable[[int], Impairment]
    """From the server to the player, given the seed."""
    up: Impairment = CLEAN
    """From the player to the server."""


_LOSS: Final = Impairment(loss=0.05, delay_s=DELAY_S, jitter_s=0.020)
_OVERTAKING: Final = Impairment(loss=0.05, delay_s=DELAY_S, jitter_s=0.020, reorder=1.0)
_BURSTS: Final = Impairment(burst_loss=BurstLoss.of(0.05, 8.0), delay_s=DELAY_S, jitter_s=0.005)


def _lte(seed: int) -> Impairment:
    trace = condition("lte_queue", seed, LTE_S)
    return Impairment(trace=DelayTrace(trace.send, trace.recv, name=trace.name, smallest_delay_s=DELAY_S))


CONDITIONS: Final = {
    "clean": Condition("no impairment", lambda _: CLEAN),
    "loss": Condition("5 % random loss, 20 ms of jitter, order kept", lambda _: _LOSS, _LOSS),
    "overtaking": Condition("the same, order not kept", lambda _: _OVERTAKING, _OVERTAKING),
    "bursts": Condition("5 % lost in runs of 8 packets of the link", lambda _: _BURSTS, _BURSTS),
    "lte": Condition("replayed delay of an LTE queue", _lte, Impairment(delay_s=DELAY_S)),
}


@dataclass(frozen=True, slots=True)
class Sending:
    """How the avatar sends its motion."""

    reliable: bool
    redundancy: bool

    @property
    def name(self) -> str:
        """In a word or two."""
        return f"{'reliable' if self.reliable else 'lossy'}{', redundant' if self.redundancy else ''}"

    @property
    def options(self) -> list[str]:
        """Of ``publish``."""
        return [
            *(["--reliable"] if self.reliable else []),
            "--redundancy" if self.redundancy else "--no-redundancy",
        ]


SENDINGS: Final = tuple(
    Sending(reliable, redundancy) for reliable in (False, True) for redundancy in (False, True)
)


@dataclass(frozen=True, slots=True)
class Row:
    """One condition, one way of sending."""

    condition: str
    sending: str
    lost_pct: float
    """Frames that never reached the buffer."""
    delay_ms: tuple[float, float]
    """From sending a frame to its first arrival: median and 95 %."""
    shown: Measures
    """What the player's view was shown."""
    simulated: Measures
    """What the shipped buffer shows for the same arrivals on a virtual clock."""

    def figures(self) -> list[Figure]:
        """For programs."""
        about = f"{self.condition}, {self.sending}"
        result = [Figure(f"{about}: frames lost", self.lost_pct, "%")]
        for name, value in zip(("median", "95 %"), self.delay_ms, strict=True):
            result.append(Figure(f"{about}: network delay, {name}", value, "ms"))
        for name, unit, field in _MEASURED:
            result.append(Figure(f"{about}: {name}", getattr(self.shown, field), unit))
            result.append(Figure(f"{about}: {name}, simulated", getattr(self.simulated, field), unit))
        return result


_MEASURED: Final = (
    ("freeze", "%", "freeze_pct"),
    ("skipped", "%", "skipped_pct"),
    ("added latency", "ms", "latency_ms"),
)


class SideBySide(Report):
    """A report whose table has a line for each run."""

    def table(self) -> str:
        """The rows that the notes hold after their first line."""
        return "\n".join(self.notes)


def measure(
    conditions: Sequence[str],
    sendings: Sequence[Sending],
    *,
    rounds: int,
    pause_s: float = 2.0,
    seed: int = 1,
) -> Report:
    """Play ``rounds`` rounds in each condition, sent in each way.

    Raises:
        ServerError, MissingDependencyError: there can be no such network on this machine.
        RuntimeError: one of the programs failed.
    """
    rows: list[Row] = []
    binary = ensure_server(lambda line: print(line, file=sys.stderr))
    for name in conditions:
        with ImpairedServer(seed=seed, binary=binary) as network:
            for sending in sendings:
                print(f"{name}: {sending.name} …", file=sys.stderr)
                run = _play(network, CONDITIONS[name], sending, rounds, pause_s, seed)
                rows.append(_row(name, sending, run))
    figures = [figure for row in rows for figure in row.figures()]
    labels = [f"{name}: {CONDITIONS[name].label}" for name in conditions]
    settings: dict[str, Any] = {"rounds": rounds, "pause_s": pause_s, "seed": seed, "conditions": labels}
    return SideBySide("network", figures, settings, [*_table(rows), *labels])


def _play(
    network: ImpairedServer, where: Condition, sending: Sending, rounds: int, pause_s: float, seed: int
) -> Run:
    outside = Place(network.server.url, network.server.api_key, network.server.api_secret)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        sent, poses, arrivals = (Path(folder) / name for name in ("sent", "poses", "arrivals"))
        watching = [*AVATARKIT, "play", "--headless", "--room", outside.room]
        watching += ["--motion-log", str(poses), "--arrival-log", str(arrivals)]
        speaking = [*AVATARKIT, "publish", "--room", outside.room, "--rounds", str(rounds), *sending.options]
        speaking += ["--pause", str(pause_s), "--sent-log", str(sent)]
        with Program(
            *watching, environment=network.environment, within=network.namespace.command([])
        ) as player:
            player.wait_for("connected", 60.0)
            # Not before: how to join over such a network is another question.
            network.change(up=where.up, down=where.down(seed))
            with Program(*speaking, environment=outside.environment) as publisher:
                publisher.wait(60.0 + 15.0 * rounds)
            network.change(up=CLEAN, down=CLEAN)
            player.stop()
        return read_run(sent, poses, arrivals)


def _row(name: str, sending: Sending, run: Run) -> Row:
    session = run.session
    strategy = POLICIES[DEFAULT].makers[0]("catch_up")
    delays = np.array(run.delays_s) * 1000
    median, high = np.percentile(delays, [50, 95]) if len(delays) else (np.nan, np.nan)
    return Row(
        name,
        sending.name,
        100 * run.lost / max(run.sent, 1),
        (float(median), float(high)),
        measures(session.tally(run.shown)),
        measures(session.tally(play(session, strategy).shown)),
    )


def _table(rows: Sequence[Row]) -> list[str]:
    head = ["condition", "sent", "lost %", "delay 50/95 % ms"]
    head += [f"{name} {unit} / sim." for name, unit, _ in _MEASURED]
    lines = [head]
    for row in rows:
        both = [(getattr(row.shown, field), getattr(row.simulated, field)) for *_, field in _MEASURED]
        line = [row.condition, row.sending, f"{row.lost_pct:.1f}", "{:.0f} / {:.0f}".format(*row.delay_ms)]
        lines.append([*line, *(f"{live:.1f} / {simulated:.1f}" for live, simulated in both)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="rounds of each run, about 5 s of speech each")
    parser.add_argument("--seed", type=int, default=1, help="decides about losses, delays and the LTE trace")
    parser.add_argument(
        "--conditions",
        nargs="+",
        choices=list(CONDITIONS),
        default=list(CONDITIONS),
        metavar="NAME",
        help="some only: "
        + ", ".join(f"{name} ({each.label})" for name, each in CONDITIONS.items()).replace("%", "%%"),
    )
    options = parser.parse_args()
    on = machine()
    try:
        if options.quick:
            report = quick(options.seed)
        else:
            report = measure(options.conditions, SENDINGS, rounds=options.rounds, seed=options.seed)
    except AvatarKitError as error:
        print(error, file=sys.stderr)
        return 2
    return publish(report, on, options.json)


def quick(seed: int = 1) -> Report:
    """The short form: one bad network, one round, lossy with copies and reliable without."""
    return measure(["loss"], [SENDINGS[1], SENDINGS[2]], rounds=1, pause_s=0.5, seed=seed)


if __name__ == "__main__":
    sys.exit(main())
