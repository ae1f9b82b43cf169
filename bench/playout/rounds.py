"""A trace as one endless stream, or cut into rounds with pauses as real sessions are."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from bench.playout import bounds
from bench.playout.measures import Shown, Tally, sliding_base, tally
from bench.playout.traces import FloatArray, Trace

ROUND_S: Final = (2.0, 15.0)
PAUSE_S: Final = (1.0, 10.0)
"""A pause's last 320 ms are the transition packets before frame 0, the rest idle packets."""


@dataclass(frozen=True, slots=True)
class Span:
    """The packets of a trace that carry the frames of one round: sequence number 0 is packet ``begin``."""

    begin: int
    end: int


class Session:
    """A trace, the rounds in it, and whether each packet carries the frames before its own too."""

    def __init__(self, trace: Trace, spans: list[Span], copies: int = 0) -> None:
        """
        Args:
            trace: the network. The packets outside the spans carry no frame; they still arrive.
            spans: the rounds, in order, not overlapping.
            copies: how many frames before its own each packet carries too (within its round).
        """
        self.trace = trace
        self.spans = spans
        self.copies = copies
        base = sliding_base(trace.delay)
        self.rounds = [self._round(each, base) for each in spans]
        """Arrivals and base of each round, on its own time axis: frame k is sent at k x 40 ms."""

    def _round(self, span: Span, base: FloatArray) -> bounds.Round:
        trace, inside = self.trace, slice(span.begin, span.end)
        again = None if trace.again is None else trace.again[inside]
        part = Trace(trace.name, trace.send[inside], trace.recv[inside], again)
        return bounds.Round(part.arrival(self.copies) - self.origin(span), base[inside])

    def origin(self, span: Span) -> float:
        """When frame 0 of a round is sent."""
        return float(self.trace.send[span.begin])

    @property
    def duration_s(self) -> float:
        """Media time of the rounds, in seconds."""
        return sum(each.end - each.begin for each in self.spans) * FRAME_INTERVAL_S

    def tally(self, shown: list[Shown]) -> Tally:
        """The sums over all rounds of what was shown, each on the time axis of the trace."""
        total = Tally(latencies=[])
        for span, network, poses in zip(self.spans, self.rounds, shown, strict=True):
            own = poses._replace(t=poses.t - self.origin(span))
            total.add(tally(network.arrival, network.base, own))
        return total


def endless(trace: Trace, copies: int = 0) -> Session:
    """The whole trace as one round."""
    return Session(trace, [Span(0, len(trace))] if len(trace) else [], copies)


def in_rounds(trace: Trace, seed: int = 1, copies: int = 0) -> Session:
    """The trace cut into rounds of 2-15 s with pauses of 1-10 s; a trace too short for a pause is one round.

    The cuts depend on ``seed`` and on the trace's name alone.
    """
    rng = np.random.default_rng([seed, zlib.crc32(trace.name.encode())])
    spans: list[Span] = []
    at, shortest = 0, round(ROUND_S[0] / FRAME_INTERVAL_S)
    while True:
        begin = at + round(rng.uniform(*PAUSE_S) / FRAME_INTERVAL_S)
        end = min(begin + round(rng.uniform(*ROUND_S) / FRAME_INTERVAL_S), len(trace))
        if end - begin < shortest:
            break
        spans.append(Span(begin, end))
        at = end
    return Session(trace, spans, copies) if spans else endless(trace, copies)
