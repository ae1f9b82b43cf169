"""Network traces: when each 40 ms packet was sent and when it arrived."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S

FloatArray: TypeAlias = npt.NDArray[np.float64]

SMALLEST_DELAY_S: Final = 0.020
"""The two clocks of a trace need not agree: its fastest packet is taken to have needed so long."""

MAX_SLOTS: Final = 5_000_000
"""Longest trace, in packets (55 h): a wrong unit in a file must not fill the memory."""

LOST_WORDS: Final = frozenset({"", "nan", "na", "none", "null", "lost", "inf", "-"})


class TraceError(ValueError):
    """A file is no usable trace; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One packet each 40 ms. Packet ``k`` is sent at ``send[k]``."""

    name: str
    send: FloatArray
    """Seconds, shape (n,): k x 0.040."""
    recv: FloatArray
    """First arrival in seconds, shape (n,); NaN: lost."""
    again: FloatArray | None = None
    """Arrival of a second copy of the same packet, shape (n,); NaN: there is none. None: no duplicates."""
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.send)

    @property
    def delay(self) -> FloatArray:
        """Network delay in seconds, shape (n,); NaN: lost."""
        return self.recv - self.send

    @property
    def duration_s(self) -> float:
        """Media time in seconds."""
        return len(self) * FRAME_INTERVAL_S

    @property
    def loss(self) -> float:
        """Share of the packets that are lost, 0 … 1."""
        return float(np.isnan(self.recv).mean()) if len(self) else 1.0

    def arrival(self, copies: int = 0) -> FloatArray:
        """When each frame is first there, when each packet carries the ``copies`` frames before its own too;
        shape (n,), NaN: never."""
        own = self.recv if self.again is None else np.fmin(self.recv, self.again)
        first = own.copy()
        for back in range(1, copies + 1):
            first[:-back] = np.fmin(first[:-back], own[back:])
        return first

    def shortened(self, seconds: float) -> Trace:
        """The first ``seconds`` of it."""
        n = max(1, round(seconds / FRAME_INTERVAL_S))
        again = None if self.again is None else self.again[:n]
        return trimmed(replace(self, send=self.send[:n], recv=self.recv[:n], again=again))


def trimmed(trace: Trace) -> Trace:
    """Without the lost packets at its end: no player can know of them."""
    there = np.flatnonzero(~np.isnan(trace.recv))
    n = int(there[-1]) + 1 if len(there) else 0
    again = None if trace.again is None else trace.again[:n]
    return replace(trace, send=trace.send[:n], recv=trace.recv[:n], again=again)


def from_times(name: str, send: FloatArray, recv: FloatArray, meta: dict[str, Any] | None = None) -> Trace:
    """A trace from measured times.

    Args:
        name: what to call it.
        send: seconds, shape (packets,), in any order, each near a multiple of 40 ms after the first. Missing
            multiples count as lost, a second line for one as a duplicate.
        recv: seconds on any clock, shape (packets,); NaN and infinity: lost.
        meta: anything known about it.

    Raises:
        TraceError: these are no times of a packet each 40 ms.
    """
    send, recv = np.asarray(send, float), np.asarray(recv, float)
    if send.ndim != 1 or send.shape != recv.shape:
        raise TraceError(f"{name}: sent and received times must be two lists of one length")
    if not len(send):
        raise TraceError(f"{name}: the trace is empty")
    if not np.isfinite(send).all():
        raise TraceError(f"{name}: every packet needs the time it was sent; only the arrival may be missing")
    recv = np.where(np.isfinite(recv), recv, np.nan)
    begin = send.min()
    place = (send - begin) / FRAME_INTERVAL_S
    if place.max() >= MAX_SLOTS:
        raise TraceError(
            f"{name}: it spans {place.max() * FRAME_INTERVAL_S:.0f} s; are the times in seconds?"
        )
    slots = np.rint(place).astype(int)
    if np.abs(place - slots).mean() > 0.1 or (len(send) > 1 and len(set(slots.tolist())) < 0.5 * len(slots)):
        step = float(np.median(np.diff(np.unique(send)))) * 1000 if len(np.unique(send)) > 1 else 0.0
        raise TraceError(
            f"{name}: the packets are {step:.3g} ms apart; a trace has one each 40 ms (times in seconds)"
        )
    grid = np.arange(slots.max() + 1) * FRAME_INTERVAL_S
    first, second = np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    recv = recv - begin
    for slot, at in zip(slots.tolist(), recv.tolist(), strict=True):
        earlier = np.fmin(first[slot], at)
        later = at if earlier == first[slot] else first[slot]
        first[slot], second[slot] = earlier, np.fmin(second[slot], later)
    delay = first - grid
    if not np.isnan(delay).all():
        shift = SMALLEST_DELAY_S - float(np.nanmin(delay))
        first, second = first + shift, second + shift
    again = None if np.isnan(second).all() else second
    return trimmed(Trace(name, grid, first, again, dict(meta or {})))


def load_trace(path: Path) -> Trace:
    """A trace from one ``.npz`` (arrays ``send_time_s``, ``recv_time_s``, optional JSON text ``meta``) or
    ``.csv`` (columns ``send_s,recv_s``, with or without a header, arrival empty or ``nan`` for lost).

    Raises:
        TraceError: it is neither.
    """
    if path.suffix.lower() == ".npz":
        return _load_npz(path)
    if path.suffix.lower() == ".csv":
        return _load_csv(path)
    raise TraceError(f"{path.name}: a trace is an .npz or a .csv file")


def load_traces(directory: Path) -> list[Trace]:
    """All traces of a folder, or the one trace a file holds, by name.

    Raises:
        TraceError: there is none, or one of them cannot be read.
    """
    if directory.is_file():
        return [load_trace(directory)]
    if not directory.is_dir():
        raise TraceError(f"{directory}: no such folder")
    paths = sorted(each for each in directory.iterdir() if each.suffix.lower() in {".npz", ".csv"})
    if not paths:
        raise TraceError(f"{directory}: no .npz and no .csv file in it")
    return [load_trace(each) for each in paths]


def _load_npz(path: Path) -> Trace:
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = {"send_time_s", "recv_time_s"} - set(stored.files)
            if missing:
                raise TraceError(f"{path.name}: no array called {' or '.join(sorted(missing))}")
            send, recv = (np.asarray(stored[each], float) for each in ("send_time_s", "recv_time_s"))
            meta = json.loads(str(stored["meta"])) if "meta" in stored.files else {}
    except TraceError:
        raise
    except Exception as error:
        raise TraceError(f"{path.name}: not a readable .npz trace ({error})") from error
    return from_times(path.stem, send, recv, meta if isinstance(meta, dict) else {"meta": meta})


def _load_csv(path: Path) -> Trace:
    send: list[float] = []
    recv: list[float] = []
    columns = (0, 1)
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path.name}: not a readable text file ({error})") from error
    for number, cells in enumerate(lines, 1):
        row = [cell.strip() for cell in cells]
        if not any(row) or row[0].startswith("#"):
            continue
        if not send and not _is_number(row[0]):
            columns = _columns(path, row)
            continue
        try:
            send.append(float(row[columns[0]]))
            at = row[columns[1]] if columns[1] < len(row) else ""
            recv.append(math.nan if at.lower() in LOST_WORDS else float(at))
        except (ValueError, IndexError) as error:
            raise TraceError(f"{path.name}, line {number}: expected send_s,recv_s in seconds") from error
    return from_times(path.stem, np.array(send), np.array(recv))


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int]:
    names = [each.lower() for each in header]
    for sent, received in (("send_s", "recv_s"), ("send_time_s", "recv_time_s")):
        if sent in names and received in names:
            return names.index(sent), names.index(received)
    raise TraceError(
        f"{path.name}: the header must name the columns send_s and recv_s, not {', '.join(header)}"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
