"""Time from the avatar's ``publish_data`` to the pose in a headless view, through a real LiveKit server.

Avatar and player run in processes of their own; each notes the moments on the clock that all processes of a
machine share.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.processes import AVATARKIT, Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish

GOAL_MS = 60.0
_COPIES = 2
_KINDS = ("received", "recovered", "interpolated")


def latencies(
    sent: Iterable[Mapping[str, Any]], shown: Iterable[Mapping[str, Any]]
) -> dict[str, list[float]]:
    """Milliseconds from sending to showing, by kind of the shown pose.

    A frame whose own packet was withheld counts from the packet that first carried it again. ``transition``
    counts from a round's first transition packet to its first pose on the way to speech.

    Args:
        sent: lines of ``publish --sent-log``.
        shown: lines of ``play --motion-log``, of a player that has been there from the first round on.
    """
    frames: dict[tuple[int, int], float] = {}
    leads: dict[int, float] = {}
    for line in sent:
        if line["kind"] == "frame":
            frames[line["round"], line["seq"]] = line["t"]
        elif line["kind"] == "transition":
            leads.setdefault(line["round"], line["t"])
    found: dict[str, list[float]] = defaultdict(list)
    for line in shown:
        if line["kind"] in _KINDS and line["position"] is not None:
            seq = int(line["position"])
            carriers = (frames.get((line["round"], seq + later)) for later in range(_COPIES + 1))
            since = next((t for t in carriers if t is not None), None)
        elif line["kind"] == "transition":
            since = leads.pop(line["round"], None)
        else:
            continue
        if since is not None:
            found[line["kind"]].append((line["t"] - since) * 1000)
    return dict(found)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 … 1) of ``values`` lie."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def measure(where: Place, *, rounds: int, withhold_every: int | None = None) -> Report:
    """Let an avatar play ``rounds`` rounds (21 s of speech in four) to a player.

    Raises:
        RuntimeError: one of the programs failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        sent_log, motion_log, stats = (Path(folder) / name for name in ("sent", "motion", "stats"))
        play = [*AVATARKIT, "play", "--headless", "--room", where.room]
        avatar = [*AVATARKIT, "publish", "--room", where.room, "--rounds", str(rounds)]
        if withhold_every is not None:
            avatar += ["--withhold-every", str(withhold_every)]
        with Program(
            *play, "--motion-log", str(motion_log), "--stats", str(stats), environment=where.environment
        ) as player:
            player.wait_for("connected")
            with Program(*avatar, "--sent-log", str(sent_log), environment=where.environment) as publisher:
                publisher.wait(60.0 + 15.0 * rounds)
            player.stop()
        by_kind = latencies(_lines(sent_log), _lines(motion_log))
        figures = json.loads(stats.read_text(encoding="utf-8"))
    return _report(by_kind, figures["playout"], rounds, withhold_every)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _report(
    by_kind: Mapping[str, Sequence[float]],
    playout: Mapping[str, Any],
    rounds: int,
    withhold_every: int | None,
) -> Report:
    figures: list[Figure] = []
    for kind, values in sorted(by_kind.items()):
        # The goal is one for a clean network.
        goal = GOAL_MS if kind == "received" and withhold_every is None else None
        figures += [
            Figure(f"{kind}, median", statistics.median(values), "ms", goal),
            Figure(f"{kind}, 95 %", percentile(values, 0.95), "ms", goal),
            Figure(f"{kind}, longest", max(values), "ms"),
        ]
    counters = playout["counters"]
    figures += [
        Figure("target delay at the end", playout["target_delay_ms"], "ms"),
        Figure("jitter at the end", playout["jitter_ms"], "ms"),
        Figure("freezes", counters["freezes"], ""),
    ]
    counts = ", ".join(f"{len(values)} {kind}" for kind, values in sorted(by_kind.items()))
    return Report(
        "latency",
        figures,
        {"rounds": rounds, "withhold_every": withhold_every},
        [f"poses: {counts} (of transitions the first of each round)"],
    )


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="rounds of speech, about 5 s each")
    parser.add_argument("--withhold-every", type=int, metavar="N", help="never send every Nth frame packet")
    options = parser.parse_args()
    on = machine()
    with place() as where:
        rounds = 1 if options.quick else options.rounds
        report = measure(where, rounds=rounds, withhold_every=options.withhold_every)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
