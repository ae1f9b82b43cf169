"""A recorded delay over time, to be replayed."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError

SMALLEST_DELAY_S: Final = 0.020
"""The clocks of sender and receiver need not have agreed: the fastest packet is taken to have needed this."""

_LOST: Final = frozenset({"", "nan", "na", "none", "null", "lost", "inf", "-"})


class DelayTrace:
    """What happened to packets sent one after the other: the delay of each, or that it was lost.

    Replayed in a loop. Between two packets that arrived, the delay is interpolated; a packet sent between a
    lost one and the next is lost.
    """

    def __init__(
        self,
        send_s: Iterable[float],
        recv_s: Iterable[float],
        *,
        name: str = "trace",
        smallest_delay_s: float | None = SMALLEST_DELAY_S,
    ) -> None:
        """
        Args:
            send_s: when each packet was sent, in seconds, in any order.
            recv_s: when it arrived, in seconds; NaN or infinity: never.
            name: what to call it.
            smallest_delay_s: all delays are shifted so that this is the smallest; None to take them as they
                are.

        Raises:
            ConfigurationError: these are no two lists of equal length with something in them, a send time is
                missing, nothing arrived, or a delay is negative.
        """
        send, recv = (np.fromiter(each, float) for each in (send_s, recv_s))
        if send.shape != recv.shape or len(send) < 2:
            raise ConfigurationError(
                f"{name}: a delay trace needs two lists of one length, 2 packets or more"
            )
        if not np.isfinite(send).all():
            raise ConfigurationError(f"{name}: every packet needs the time it was sent at")
        order = np.argsort(send, kind="stable")
        send, recv = send[order], recv[order]
        delay = np.where(np.isfinite(recv), recv, np.nan) - send
        if np.isnan(delay).all():
            raise ConfigurationError(f"{name}: nothing arrived in this trace")
        if smallest_delay_s is not None:
            delay += smallest_delay_s - np.nanmin(delay)
        if np.nanmin(delay) < 0:
            raise ConfigurationError(
                f"{name}: a packet arrives before it is sent; give smallest_delay_s to shift the clocks"
            )
        self.name: Final = name
        self.send_s: Final[npt.NDArray[np.float64]] = send - send[0]
        """When each packet was sent, seconds from the first, shape (n,)."""
        self.delay_s: Final[npt.NDArray[np.float64]] = delay
        """Delay of each packet in seconds, shape (n,); NaN: lost."""
        # The last packet lasts as long as the others do, so that the first one follows it in the loop.
        self.duration_s: Final = float(self.send_s[-1] * len(send) / (len(send) - 1))
        """Length of one pass, in seconds."""
        if self.duration_s <= 0:
            raise ConfigurationError(f"{name}: all packets of this trace were sent at the same time")

    @classmethod
    def load(cls, path: Path | str, *, smallest_delay_s: float | None = SMALLEST_DELAY_S) -> DelayTrace:
        """A trace from an ``.npz`` file (arrays ``send_time_s`` and ``recv_time_s``, NaN for lost) or a
        ``.csv`` file (columns ``send_s,recv_s``, with or without a header, ``nan`` or nothing for lost; lines
        that begin with ``#`` are comments).

        Raises:
            ConfigurationError: it cannot be read, or is no such trace.
        """
        path = Path(path)
        try:
            send, recv = _read_npz(path) if path.suffix.lower() == ".npz" else _read_csv(path)
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise ConfigurationError(
                f"{path} is no delay trace: {error}; it needs send_time_s and recv_time_s (.npz) or "
                "send_s,recv_s (.csv), in seconds"
            ) from error
        return cls(send, recv, name=path.stem, smallest_delay_s=smallest_delay_s)

    def __len__(self) -> int:
        return len(self.send_s)

    def __repr__(self) -> str:
        return f"<DelayTrace {self.name}: {len(self)} packets, {self.duration_s:.1f} s>"

    @property
    def loss(self) -> float:
        """Share of the packets lost, 0 … 1."""
        return float(np.isnan(self.delay_s).mean())

    def delay_at(self, t: float) -> float | None:
        """Delay in seconds of a packet sent ``t`` (0 or more) seconds after the start; None: it is lost."""
        t %= self.duration_s
        index = int(np.searchsorted(self.send_s, t, side="right")) - 1
        here = float(self.delay_s[index])
        if math.isnan(here):
            return None
        if index + 1 == len(self):
            return here
        since, until = float(self.send_s[index]), float(self.send_s[index + 1])
        there = float(self.delay_s[index + 1])
        if math.isnan(there):
            return here
        return here + (there - here) * (t - since) / (until - since)


def _read_npz(path: Path) -> tuple[list[float], list[float]]:
    with np.load(path, allow_pickle=False) as stored:
        return stored["send_time_s"].astype(float).tolist(), stored["recv_time_s"].astype(float).tolist()


def _read_csv(path: Path) -> tuple[list[float], list[float]]:
    send: list[float] = []
    recv: list[float] = []
    columns = (0, 1)
    for cells in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()):
        row = [cell.strip() for cell in cells]
        if not any(row) or row[0].startswith("#"):
            continue
        if not send and {"send_s", "recv_s"} <= set(row):
            columns = (row.index("send_s"), row.index("recv_s"))
            continue
        at = row[columns[1]] if columns[1] < len(row) else ""
        send.append(float(row[columns[0]]))
        recv.append(math.nan if at.lower() in _LOST else float(at))
    return send, recv
