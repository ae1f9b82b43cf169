"""Stalls that come at a steady period, and when the next one is due.

A Wi-Fi card that scans for other networks every 11 s, or a satellite terminal that is handed over every 15 s,
holds back everything for some tenths of a second, again and again. A target delay that covers such stalls all
the time is dear; raising it just before the next one costs little.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from avatarkit_rtc.motion.clock import SET_BACK_S

STALL_S: Final = 0.060
"""A packet that is later than this (against the fastest) belongs to a stall."""

SAME_STALL_S: Final = 0.6
"""Late packets that were sent closer together than this belong to the same stall."""

MIN_PERIOD_S: Final = 4.0
MAX_PERIOD_S: Final = 40.0

TOLERANCE_S: Final = 0.25
"""A stall may be that much off its period and still be of it."""

HITS_TO_BELIEVE: Final = 3
"""So many of the last four periods must have had their stall."""

MISSES_TO_DOUBT: Final = 2
"""So many stalls in a row that do not come end the prediction."""

REMEMBERED: Final = 24
"""Stalls remembered; the search for a period looks at pairs of them, so its time is bounded as well."""

MARGIN_S: Final = 0.012
RAISING_SPEED: Final = 0.20
"""Seconds of delay that a playback rate of 0.80 gains per second."""

LEAD_S: Final = 0.3


class PeriodicStalls:
    """Learns the period and the length of stalls from late packets. Pure: ``now`` in monotonic seconds."""

    def __init__(self) -> None:
        self._now = float("-inf")
        self._forget()

    def _forget(self) -> None:
        self._onsets: deque[float] = deque(maxlen=REMEMBERED)
        self._lengths: deque[float] = deque(maxlen=REMEMBERED)
        self._last_late = float("-inf")
        self._period: float | None = None
        self._due = 0.0
        self._length = 0.0
        self._misses = 0
        self._last_sent = float("-inf")

    @property
    def period_s(self) -> float | None:
        """Period of the stalls, in seconds; None while none is known."""
        return self._period

    def observe(self, late_s: float, now: float) -> None:
        """A packet arrived at ``now``, ``late_s`` later than the fastest would have."""
        if now < self._now - SET_BACK_S:
            self._forget()
        self._now = now
        sent = now - late_s
        if late_s > STALL_S:
            if sent - self._last_late < SAME_STALL_S and self._lengths:
                self._lengths[-1] = max(self._lengths[-1], late_s)
            else:
                self._onsets.append(sent)
                self._lengths.append(late_s)
                self._began(sent)
            self._last_late = sent
        if self._period is not None and sent > self._due + TOLERANCE_S:
            # Where no packets came at the time, nobody knows whether the stall did.
            self._misses += self._last_sent > self._due
            self._due += math.ceil((sent - self._due - TOLERANCE_S) / self._period) * self._period
            if self._misses >= MISSES_TO_DOUBT:
                self._period = None
        self._last_sent = sent

    def wanted_delay_s(self, now: float) -> float:
        """Delay to have at ``now`` for the sake of the next predicted stall, in seconds; 0 for none."""
        if self._period is None:
            return 0.0
        wanted = self._length + MARGIN_S
        begin = self._due - wanted / RAISING_SPEED - LEAD_S
        return wanted if begin <= now <= self._due + TOLERANCE_S + LEAD_S else 0.0

    def foreseen_s(self, late_s: float, now: float) -> float:
        """How much of a packet's lateness was to be expected of a predicted stall, in seconds."""
        if self._period is None:
            return 0.0
        sent = now - late_s
        since_last = sent - (self._due - self._period)
        inside = abs(sent - self._due) <= TOLERANCE_S or -TOLERANCE_S <= since_last < 2 * TOLERANCE_S
        return self._length + MARGIN_S if inside else 0.0

    def _began(self, onset: float) -> None:
        if self._period is not None:
            if abs(onset - self._due) <= TOLERANCE_S:
                self._period += 0.1 * (onset - self._due)
                self._hit(onset)
            return
        self._period = self._find_period(onset)
        if self._period is not None:
            self._hit(onset)

    def _hit(self, onset: float) -> None:
        assert self._period is not None
        self._misses = 0
        self._due = onset + self._period
        lengths = sorted(
            length
            for at, length in zip(self._onsets, self._lengths, strict=True)
            if self._on_period(onset - at, self._period)
        )
        # A longer delay is dear and a shorter one too short every time: the median costs least.
        self._length = lengths[len(lengths) // 2]

    @staticmethod
    def _on_period(age: float, period: float) -> bool:
        return abs(age - round(age / period) * period) <= TOLERANCE_S

    def _find_period(self, onset: float) -> float | None:
        """The period with most stalls before ``onset``; of equal ones the shortest."""
        ages = [onset - at for at in self._onsets]
        best: tuple[int, float] | None = None
        for age in ages:
            for period in (age, age / 2):
                if not MIN_PERIOD_S <= period <= MAX_PERIOD_S:
                    continue
                hits = 0
                for count in range(1, HITS_TO_BELIEVE + 2):
                    slack = min(TOLERANCE_S, 0.15 * count)
                    hits += any(abs(each - count * period) <= slack for each in ages)
                if hits >= HITS_TO_BELIEVE and (best is None or (hits, -period) > best):
                    best = (hits, -period)
        return -best[1] if best is not None else None
