"""Plays a session through a buffer on a virtual clock: no time passes, no timer is late."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.playout.render_clock import RenderClock
from bench.playout.measures import Shown, first_at_each_frame
from bench.playout.rounds import Session

FRAME: Final = MotionFrame.neutral()
"""What every packet carries: no policy looks at it."""

GRACE_S: Final = 0.040
"""So long after its last pose an ended round still takes a straggler: then the last pose gives way."""

TAIL_S: Final = 60.0
"""So long after the last packet a buffer may still be showing what it has."""

MAX_POPS_AT_ONCE: Final = 1000
"""More calls at one moment than a buffer holds frames: it would never let time go on."""

_NEW: Final = frozenset({PoseKind.RECEIVED, PoseKind.RECOVERED, PoseKind.INTERPOLATED})


class BufferedPose(Protocol):
    """One pose as a buffer gives it out."""

    @property
    def kind(self) -> PoseKind:
        """Where it came from."""

    @property
    def position(self) -> float:
        """In frames of the round."""


class ShownPose(NamedTuple):
    """A pose of the bench's own policies."""

    kind: PoseKind
    position: float


class Buffer(Protocol):
    """One round's buffer: what the bench asks of a policy, and what the shipped ones offer."""

    def push(self, seq: int, frame: MotionFrame, now: float, *, recovered: bool = False) -> None:
        """A frame arrived."""

    def pop(self, now: float) -> BufferedPose | None:
        """The pose that is due."""

    def next_deadline(self) -> float | None:
        """When to pop next."""

    def end(self) -> None:
        """No further frame is expected."""

    @property
    def drained(self) -> bool:
        """Ended, and all was shown."""

    @property
    def current_delay_s(self) -> float | None:
        """Delay of playing behind the fastest packet."""


class Strategy(Protocol):
    """What a policy keeps from round to round."""

    def new_buffer(self) -> Buffer:
        """The buffer of the next round."""

    def clock_packet(self, now: float) -> None:
        """A packet with no frame arrived, on the same 40 ms grid."""

    @property
    def target_delay_s(self) -> float:
        """Delay aimed at."""


class StuckError(RuntimeError):
    """A buffer is due at the same moment again and again."""


class _Packet(NamedTuple):
    at: float
    slot: int
    round: int
    """-1: it carries no frame."""
    repeated: bool


@dataclass(slots=True)
class _Playing:
    buffer: Buffer
    number: int
    begin: int
    seen: set[int] = field(default_factory=set)
    t: list[float] = field(default_factory=list)
    m: list[float] = field(default_factory=list)
    made: list[bool] = field(default_factory=list)
    ended: bool = False
    clock: RenderClock | None = None
    """The display's clock, where poses are shown at its rate."""
    popped_at: float = -math.inf

    def shown(self) -> Shown:
        if self.clock is None:
            return Shown.of(self.t, self.m, self.made)
        self.tick(math.inf)
        return first_at_each_frame(Shown.of(self.t, self.m))

    def popped(self, pose: BufferedPose | None, now: float) -> None:
        """The buffer gave ``pose`` at ``now``."""
        if pose is None:
            return
        if self.clock is not None:
            until = self.buffer.next_deadline()
            whole = Pose(now, pose.kind, FRAME, self.number, float(pose.position))
            self.clock.push(whole, now + FRAME_INTERVAL_S if until is None else until)
            self.popped_at = now
        elif pose.kind in _NEW:
            self.t.append(now)
            self.m.append(float(pose.position))
            self.made.append(pose.kind is PoseKind.INTERPOLATED)

    def tick(self, until: float) -> None:
        """Let the display show what it shows before ``until``; a pose is reached in 50 ms at most."""
        clock = self.clock
        if clock is None:
            return
        until = min(until, self.popped_at + 2 * FRAME_INTERVAL_S)
        while (due := clock.next_deadline()) is not None and due < until:
            due = max(due, self.popped_at)
            pose = clock.pose(due)
            if pose is not None and pose.kind in _NEW and pose.position is not None:
                self.t.append(due)
                self.m.append(pose.position)


class Playback(NamedTuple):
    """What came of it."""

    shown: list[Shown]
    """Per round, on the time axis of the trace; empty where nothing was shown."""


def play(session: Session, strategy: Strategy, render_hz: float | None = None) -> Playback:
    """Play all rounds of a session.

    Args:
        session: the rounds, and what arrives when.
        strategy: plays them.
        render_hz: show poses at a display's rate, through the shipped render clock, and report the first
            at or after each 40 ms of media time; None: the poses as the buffers give them.

    Raises:
        StuckError: the buffer is due at the same moment again and again.
    """
    packets = _packets(session)
    results = [Shown.of([], []) for _ in session.spans]
    playing: dict[int, _Playing] = {}
    newest, now = -1, -math.inf
    for packet in packets:
        _run(playing, now, packet.at, results)
        now = packet.at
        slot, number = packet.slot, packet.round
        if number < 0:
            if not packet.repeated:
                strategy.clock_packet(packet.at)
        else:
            if number > newest:
                newest = number
                clock = None if render_hz is None else RenderClock(render_hz)
                begin = session.spans[number].begin
                playing[number] = _Playing(strategy.new_buffer(), number, begin, clock=clock)
            if number in playing:
                _push(playing[number], slot, packet.at, session.copies)
        for each in playing.values():
            if not each.ended and slot >= session.spans[each.number].end:
                each.ended = True
                each.buffer.end()
    for each in playing.values():
        each.buffer.end()
    _run(playing, now, now + TAIL_S, results)
    for each in playing.values():
        results[each.number] = each.shown()
    return Playback(results)


def _packets(session: Session) -> list[_Packet]:
    trace = session.trace
    rounds = np.full(len(trace), -1)
    for number, span in enumerate(session.spans):
        rounds[span.begin : span.end] = number
    packets = []
    for times, repeated in ((trace.recv, False), (trace.again, True)):
        if times is None:
            continue
        for slot in np.flatnonzero(np.isfinite(times)).tolist():
            packets.append(_Packet(float(times[slot]), slot, int(rounds[slot]), repeated))
    packets.sort()
    return packets


def _push(playing: _Playing, slot: int, now: float, copies: int) -> None:
    buffer, seen = playing.buffer, playing.seen
    if buffer.drained and playing.t and now > playing.t[-1] + GRACE_S:
        return
    seq = slot - playing.begin
    # As the stream does: oldest first, and no copy of what has come already.
    for copy in range(max(0, seq - copies), seq):
        if copy not in seen:
            seen.add(copy)
            buffer.push(copy, FRAME, now, recovered=True)
    seen.add(seq)
    buffer.push(seq, FRAME, now)


def _run(playing: dict[int, _Playing], now: float, until: float, results: list[Shown]) -> None:
    """Let everything happen that is due from ``now`` to ``until``."""
    for number in list(playing):
        each = playing[number]
        clock, pops_at_once = now, 0
        while True:
            due = each.buffer.next_deadline()
            # What should have been done in the past is done now: a deadline does not turn the clock back.
            if due is None or not max(due, clock) < until:
                break
            due = clock = max(due, clock)
            each.tick(due)
            each.popped(each.buffer.pop(due), due)
            later = each.buffer.next_deadline()
            pops_at_once = pops_at_once + 1 if later is not None and later <= due else 0
            if pops_at_once > MAX_POPS_AT_ONCE:
                raise StuckError(f"round {number}: the buffer is due at {due:.6f} s again and again")
        each.tick(until)
        over = each.ended and each.buffer.drained
        if over and (not each.t or until > each.t[-1] + GRACE_S):
            results[number] = each.shown()
            del playing[number]
