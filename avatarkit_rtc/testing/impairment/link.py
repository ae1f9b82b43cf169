"""One direction of a link: which packet arrives when. Pure: it knows neither sockets nor clocks."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from avatarkit_rtc.testing.impairment.conditions import CLEAN, Impairment

LONGEST_JITTER_S: Final = 10.0
"""Random delays of a heavy tail end here."""


@dataclass(slots=True)
class LinkCounters:
    """What became of the packets."""

    packets: int = 0
    """Packets that were sent into it."""
    bytes: int = 0
    delivered: int = 0
    """Packets that come out of it, once or twice."""
    duplicated: int = 0
    out_of_order: int = 0
    """Packets that come out before one that was sent earlier."""
    lost_random: int = 0
    lost_burst: int = 0
    lost_queue: int = 0
    """Lost because the queue was full."""
    lost_outage: int = 0
    lost_trace: int = 0

    @property
    def lost(self) -> int:
        """All that never came out."""
        return self.packets - self.delivered


class _Chances(NamedTuple):
    """What chance has in store for one packet."""

    lost_in_burst: bool
    lost: bool
    jitter_s: float
    reorders: bool
    twice: bool
    jitter_again_s: float


class Link:
    """Decides for each packet when it arrives. Deterministic for a seed and a sequence of calls; each cause
    has random numbers of its own, so that more loss leaves the jitter of the other packets as it was."""

    def __init__(self, impairment: Impairment = CLEAN, *, seed: int = 0) -> None:
        self.counters = LinkCounters()
        """Live counters."""
        causes = ("loss", "burst", "jitter", "reorder", "duplicate", "again")
        self._random = {cause: random.Random(f"{seed}/{cause}") for cause in causes}
        self._now = -math.inf
        self._free_at = -math.inf
        self._last_due = -math.inf
        self._furthest = -math.inf
        self._queue: deque[tuple[float, int]] = deque()
        self._queued_bytes = 0
        self._bad = False
        self._origin: float | None = None
        self._impairment = impairment

    @property
    def impairment(self) -> Impairment:
        """The conditions in force."""
        return self._impairment

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting for their turn, as of the last packet."""
        return self._queued_bytes

    def change(self, impairment: Impairment, now: float | None = None) -> None:
        """Other conditions from now on; packets on their way stay on it, and nobody overtakes them.

        Args:
            impairment: the new conditions.
            now: when outages and trace begin (monotonic seconds); None for the time of the next packet.
        """
        self._impairment = impairment
        self._origin = now

    def due(self, now: float, size: int) -> list[float]:
        """When a packet of ``size`` bytes that is sent at ``now`` (monotonic seconds) arrives: once, twice,
        or (an empty list) never. In order of time; never before ``now``."""
        self._now = now = max(now, self._now)
        if self._origin is None:
            self._origin = now
        self.counters.packets += 1
        self.counters.bytes += size
        since = max(0.0, now - self._origin)
        chances = self._draw()
        leaves_at = self._leave(now, since, size)
        if leaves_at is None or self._is_lost(chances):
            return []
        path_s = self._impairment.delay_s
        if self._impairment.trace is not None:
            recorded = self._impairment.trace.delay_at(since)
            if recorded is None:
                self.counters.lost_trace += 1
                return []
            path_s += recorded
        times = self._arrivals(leaves_at + path_s, chances)
        self.counters.delivered += 1
        self.counters.duplicated += len(times) - 1
        return times

    def _leave(self, now: float, since: float, size: int) -> float | None:
        """When the packet is through the bottleneck; None if it does not get there."""
        conditions = self._impairment
        for outage in conditions.outages:
            if not outage.holds and outage.end_at(since) is not None:
                self.counters.lost_outage += 1
                return None
        queue = self._queue
        while queue and queue[0][0] <= now:
            self._queued_bytes -= queue.popleft()[1]
        if queue and self._queued_bytes + size > conditions.queue_bytes:
            self.counters.lost_queue += 1
            return None
        leaves_at = self._held_until(max(now, self._free_at))
        if conditions.rate_bps is not None:
            leaves_at += size * 8 / conditions.rate_bps
        if leaves_at > now:
            queue.append((leaves_at, size))
            self._queued_bytes += size
        self._free_at = leaves_at
        return leaves_at

    def _held_until(self, t: float) -> float:
        """The end of the outages that hold at ``t``, if there are any."""
        assert self._origin is not None
        held = [outage for outage in self._impairment.outages if outage.holds]
        # One may begin before another has ended; each is passed once, so that two which together
        # cover all time cannot hold a packet for ever.
        for _ in held:
            for outage in held:
                end = outage.end_at(t - self._origin)
                if end is not None:
                    t = max(t, self._origin + end)
        return t

    def _draw(self) -> _Chances:
        """All that is left to chance, for each packet alike, whatever becomes of it."""
        conditions, draw = self._impairment, self._random
        lost_in_burst = False
        if (burst := conditions.burst_loss) is not None:
            turn = burst.to_good if self._bad else burst.to_bad
            if draw["burst"].random() < turn:
                self._bad = not self._bad
            lost_in_burst = draw["burst"].random() < (burst.loss_in_bad if self._bad else burst.loss_in_good)
        return _Chances(
            lost_in_burst,
            draw["loss"].random() < conditions.loss,
            self._jitter("jitter"),
            draw["reorder"].random() < conditions.reorder,
            draw["duplicate"].random() < conditions.duplicate,
            self._jitter("again"),
        )

    def _is_lost(self, chances: _Chances) -> bool:
        self.counters.lost_burst += chances.lost_in_burst
        self.counters.lost_random += chances.lost and not chances.lost_in_burst
        return chances.lost_in_burst or chances.lost

    def _arrivals(self, base: float, chances: _Chances) -> list[float]:
        due = base + chances.jitter_s
        if chances.reorders:
            due += self._impairment.reorder_extra_s
        else:
            due = self._last_due = max(due, self._last_due)
        self.counters.out_of_order += due < self._furthest
        self._furthest = max(self._furthest, due)
        return [due, max(due, base + chances.jitter_again_s)] if chances.twice else [due]

    def _jitter(self, purpose: str) -> float:
        mean, draw = self._impairment.jitter_s, self._random[purpose]
        if mean == 0:
            return 0.0
        match self._impairment.jitter_distribution:
            case "uniform":
                jitter = draw.uniform(0.0, 2.0 * mean)
            case "normal":
                jitter = abs(draw.gauss(0.0, mean * math.sqrt(math.pi / 2.0)))
            case "exponential":
                jitter = draw.expovariate(1.0 / mean)
            case "pareto":
                # Shape 2.5: a mean and a variance, and once in a thousand packets 20 times the mean.
                jitter = 1.5 * mean * (draw.paretovariate(2.5) - 1.0)
        return min(jitter, LONGEST_JITTER_S)
