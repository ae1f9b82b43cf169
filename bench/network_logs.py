"""The logs of one session on one time axis: what was sent, what arrived, what was shown."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from bench.playout.measures import Shown
from bench.playout.rounds import Session, Span
from bench.playout.traces import Trace

_NEW: Final = frozenset({"received", "recovered", "interpolated"})
_CLOCK: Final = frozenset({"idle", "transition", "transition-end"})


class Arrived(NamedTuple):
    """A line of ``play --arrival-log``: a frame, or a packet without one."""

    t: float
    kind: str
    round: int = 0
    """As the player counts them."""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One session."""

    session: Session
    """All arrivals, on the avatar's grid of 40 ms; the rounds are its spans."""
    shown: list[Shown]
    """What was shown of each round, on the same time axis."""
    delays_s: list[float]
    """From the sending of a frame's own packet to the frame's first arrival."""
    sent: int
    """Frames."""
    lost: int
    """Frames that never arrived."""


def read_run(sent: Path, poses: Path, arrivals: Path) -> Run:
    """From the files of ``publish --sent-log``, ``play --motion-log`` and ``play --arrival-log``, all from
    one machine: their times are on one clock."""
    return make_run(
        _json_lines(sent), _json_lines(poses), read_arrivals(arrivals.read_text(encoding="utf-8"))
    )


def read_arrivals(text: str) -> list[Arrived]:
    """The lines of an arrival log, in order of time."""
    found = []
    for line in text.splitlines():
        if line.startswith("#"):
            _, t, kind = line.split()
            if kind in _CLOCK:
                found.append(Arrived(float(t), kind))
        elif not line.startswith("send_s"):
            _, _, number, seq, _, t = line.split(",")
            found.append(Arrived(float(t), "frame", int(number), int(seq)))
    return sorted(found)


def make_run(
    sent: Sequence[Mapping[str, Any]], poses: Sequence[Mapping[str, Any]], arrivals: Sequence[Arrived]
) -> Run:
    """The same from what the files hold.

    Raises:
        ValueError: no frame was sent, or none arrived.
    """
    grid = _Grid(sent)
    recv = np.full(grid.length, math.nan)
    numbers: dict[int, Counter[int]] = defaultdict(Counter)
    delays: list[float] = []
    for each in arrivals:
        if each.kind == "frame":
            number = grid.round_of(each.seq, each.t)
            if number is None:
                continue
            numbers[each.round][number] += 1
            slot = grid.begin[number] + each.seq
            if math.isnan(recv[slot]):
                recv[slot] = each.t - grid.origin
                delays.append(each.t - grid.frames[number][each.seq])
    if not delays:
        raise ValueError("no frame of those that were sent has arrived")
    _place_clock(recv, grid, arrivals, min(delays))
    rounds = sorted(grid.begin)
    spans = [Span(grid.begin[number], grid.begin[number] + grid.count(number)) for number in rounds]
    send = np.arange(grid.length, dtype=np.float64) * FRAME_INTERVAL_S
    trace = Trace("live", np.asarray(send, np.float64), recv)
    theirs = {mine: votes.most_common(1)[0][0] for mine, votes in numbers.items()}
    return Run(
        Session(trace, spans),
        [
            _shown(poses, grid.origin, {mine for mine, it in theirs.items() if it == number})
            for number in rounds
        ],
        delays,
        sum(grid.count(number) for number in rounds),
        sum(int(np.isnan(recv[span.begin : span.end]).sum()) for span in spans),
    )


class _Grid:
    """The avatar's packets on its grid of 40 ms."""

    def __init__(self, sent: Sequence[Mapping[str, Any]]) -> None:
        packets = [line for line in sent if line["kind"] in _CLOCK or line["kind"] == "frame"]
        if not any(line["kind"] == "frame" for line in packets):
            raise ValueError("no frame was sent")
        self.origin = float(packets[0]["t"])
        """When slot 0 was sent, in monotonic seconds."""
        self.begin: dict[int, int] = {}
        """Slot of frame 0 of each round."""
        self.frames: dict[int, dict[int, float]] = defaultdict(dict)
        """When each frame of each round was sent."""
        self.clock: dict[str, list[tuple[float, int]]] = defaultdict(list)
        """Time and slot of the packets without a frame, by kind."""
        slot = -1
        for line in packets:
            t = float(line["t"])
            # A sender held up for long goes on later: slots are what lies between, not less than one.
            slot = max(slot + 1, round((t - self.origin) / FRAME_INTERVAL_S))
            if line["kind"] == "frame":
                number, seq = int(line["round"]), int(line["seq"])
                slot = self.begin.setdefault(number, slot - seq) + seq
                self.frames[number][seq] = t
            else:
                self.clock[line["kind"]].append((t, slot))
        self.length = slot + 1

    def count(self, number: int) -> int:
        """Frames of a round."""
        return max(self.frames[number]) + 1

    def round_of(self, seq: int, t: float) -> int | None:
        """The newest round that had sent this frame by ``t``."""
        known = [number for number, frames in self.frames.items() if frames.get(seq, math.inf) <= t]
        return max(known, default=None)


def _place_clock(recv: Any, grid: _Grid, arrivals: Sequence[Arrived], fastest_s: float) -> None:
    """Packets without a frame have no number: each counts as the newest of its kind that can have arrived."""
    for each in arrivals:
        if each.kind == "frame":
            continue
        sent = grid.clock.get(each.kind, [])
        index = bisect_right(sent, (each.t - fastest_s + 0.001, grid.length)) - 1
        while index >= 0 and not math.isnan(recv[sent[index][1]]):
            index -= 1
        if index >= 0:
            recv[sent[index][1]] = each.t - grid.origin


def _shown(poses: Sequence[Mapping[str, Any]], origin: float, numbers: set[int]) -> Shown:
    new = [each for each in poses if each["round"] in numbers and each["kind"] in _NEW]
    return Shown.of(
        [each["t"] - origin for each in new],
        [each["position"] for each in new],
        [each["kind"] == "interpolated" for each in new],
    )


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
