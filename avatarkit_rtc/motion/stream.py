"""Packets in, rounds out: the order of things in a motion stream, under loss, reordering and restarts.

:class:`MotionStream` is pure: it takes each packet with the moment it came and returns what it means. Nothing
that comes over the network makes it raise; what it cannot use it counts.

The rules (each has its test in ``tests/motion``):

* A round opens with its first transition packet, with a start flag, or, when those were lost, with its first
  frame.
* The first transition of a round is latched; frames do not clear the latch, so a transition that arrives
  behind a frame cannot open the round again.
* A frame arrives once, by whatever packet brings it first: its own, or a redundant copy in one of the next
  two.
* Transition-end and the end flag close a round; stragglers of the next 0.3 s still belong to it. A
  transition-end that differs from the newest frame carries a last frame that was lost, and stands in for it.
* Idle packets have no number and may be late, so they close a round only after five of them with no frame for
  0.3 s.
* Up to 64 behind the newest a frame is late; further behind, or with other content under a number seen
  before, it is a candidate, and two candidates in order open a new round. More than 250 ahead is a new
  position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from avatarkit_rtc.motion.events import (
    FrameArrived,
    RoundCause,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    StreamEvent,
    TransitionArrived,
)
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.message import Malformed, MotionMessage, PacketError, decode_message
from avatarkit_rtc.motion.packet import Packet, PacketKind, decode_packet
from avatarkit_rtc.motion.sequence import REORDER_WINDOW, Arrival, SequenceTracker

REORDER_S: Final = 0.3
"""Packets overtake each other by no more than this."""

IDLE_PACKETS_TO_CLOSE: Final = 5
"""So many idle packets, with no frame for :data:`REORDER_S`, close a round whose end was lost."""

LINGER_S: Final = 1.0
"""So long after a round a lone frame without a start flag is not yet taken for a new round."""

_CANDIDATE_S: Final = 2.0


@dataclass(slots=True)
class StreamCounters:
    """What a stream has seen since it was made."""

    packets: int = 0
    """Packets, malformed ones included."""
    frames: int = 0
    """Frames delivered, each counted once."""
    recovered: int = 0
    """Frames of these that a redundant copy or a transition-end brought."""
    idle: int = 0
    transitions: int = 0
    transition_ends: int = 0
    duplicates: int = 0
    """Frames that had arrived before by another packet."""
    stragglers: int = 0
    """Frames of a round that is over, dropped."""
    muted: int = 0
    """Frames dropped because their round was flushed."""
    unconfirmed: int = 0
    """Frames far out of order that no second one confirmed, dropped."""
    rebased: int = 0
    """Jumps of the numbering by more than 250 ahead."""
    restarts: int = 0
    """New rounds found by their numbering alone."""
    resized_fields: int = 0
    """Fields padded or cut to FLAME's lengths."""
    extra_keyframes: int = 0
    """Keyframes beyond the first of a message, ignored."""
    malformed: dict[Malformed, int] = field(default_factory=dict)
    """Packets (or redundant copies in them) refused, by kind."""

    def refuse(self, kind: Malformed) -> None:
        """Count one malformed packet."""
        self.malformed[kind] = self.malformed.get(kind, 0) + 1


class _Phase(Enum):
    OPENING = "opening"  # a transition has come, no frame yet
    OPEN = "open"
    CLOSED = "closed"


@dataclass(slots=True)
class _Round:
    number: int
    opened_at: float
    phase: _Phase = _Phase.OPENING
    started: bool = False
    first_frame_at: float = 0.0
    active_at: float = 0.0
    closed_at: float = 0.0
    idle_packets: int = 0
    muted: bool = False
    latch: MotionFrame | None = None
    tracker: SequenceTracker | None = None
    lowest: int = 0


class MotionStream:
    """Turns motion packets into rounds and frames."""

    def __init__(self) -> None:
        self.counters = StreamCounters()
        """Live counters."""
        self.last_activity: float | None = None
        """Moment of the last well-formed packet."""
        self._round: _Round | None = None
        self._previous: _Round | None = None
        self._candidate: tuple[Packet, float] | None = None
        self._end_pose: MotionFrame | None = None
        self._rounds = 0
        self._now = -math.inf
        self._out: list[StreamEvent] = []

    @property
    def open_round(self) -> int | None:
        """Number of the round that is open, from its first transition or frame to its end."""
        current = self._round
        return current.number if current is not None and current.phase is not _Phase.CLOSED else None

    @property
    def muted(self) -> bool:
        """Whether the current round was flushed and its rest is dropped."""
        return self._round is not None and self._round.muted

    def receive(self, data: bytes, now: float) -> list[StreamEvent]:
        """Take one packet that arrived at ``now`` (monotonic seconds). Never raises on what it contains."""
        self._advance(now)
        self.counters.packets += 1
        try:
            packet = decode_packet(data)
        except PacketError as error:
            self.counters.refuse(error.kind)
            return []
        self.last_activity = self._now
        if packet.message is not None:
            self._count_message(packet.message)
        if packet.kind is PacketKind.FRAME:
            self._on_frame(packet)
        elif packet.kind is PacketKind.IDLE:
            self._on_idle()
        elif packet.kind is PacketKind.TRANSITION:
            self._on_transition(_message(packet))
        else:
            self._on_transition_end(_message(packet).frame)
        return self._take()

    def close(self, reason: RoundEndReason, now: float) -> list[StreamEvent]:
        """Close the open round for a reason that is not in the stream (a stall, a lost connection, a flush).

        After ``FLUSHED`` the rest of the round is dropped until the next round or idle.
        """
        self._advance(now)
        self._drop_candidate()
        current = self._round
        if current is not None:
            if current.phase is not _Phase.CLOSED:
                self._close(current, reason)
            current.muted = reason is RoundEndReason.FLUSHED
        return self._take()

    def _advance(self, now: float) -> None:
        self._now = max(self._now, now)  # in this order a NaN, like a step back, changes nothing

    def _take(self) -> list[StreamEvent]:
        out, self._out = self._out, []
        return out

    # -- packets ---------------------------------------------------------------------------------------------

    def _on_frame(self, packet: Packet) -> None:
        current = self._round
        if packet.start and not (current is not None and self._is_own_start(current, packet)):
            self._open(RoundCause.START, _message(packet))
            self._begin(packet)
        elif current is None or (current.tracker is None and current.phase is _Phase.CLOSED):
            self._open(RoundCause.FRAME, _message(packet))
            self._begin(packet)
        elif current.tracker is None:
            if not packet.start and self._is_straggler(packet):
                self.counters.stragglers += 1
            else:
                self._begin(packet)
        else:
            self._place(current, current.tracker, packet)

    def _place(self, current: _Round, tracker: SequenceTracker, packet: Packet) -> None:
        """Sort a frame into the numbering of the current (or just closed) round."""
        position = tracker.position_of(_seq(packet))
        arrival = tracker.classify(position, _message(packet).frame)
        since_end = self._now - current.closed_at if current.phase is _Phase.CLOSED else None
        if since_end is not None and since_end > LINGER_S and not current.muted:
            self._open(RoundCause.FRAME, _message(packet))
            self._begin(packet)
            return
        if arrival is Arrival.DUPLICATE:
            self._note_activity(current)
            self._deliver_copies(current, tracker, packet, position)
            self.counters.duplicates += 1
            return
        before_start = current.started and position < current.lowest
        far = before_start or arrival in (Arrival.BEHIND, Arrival.CONFLICT)
        if since_end is not None and not current.muted:
            far = far or since_end > REORDER_S or arrival is Arrival.JUMP
        if far:
            self._consider(packet)
            return
        if arrival is not Arrival.LATE:
            self._drop_candidate()
        current.started |= packet.start
        self._deliver(current, tracker, packet, position, rebased=arrival is Arrival.JUMP)

    def _on_transition(self, message: MotionMessage) -> None:
        self.counters.transitions += 1
        current = self._round
        if current is not None and self._is_own_transition(current, message.frame):
            self._note_activity(current)
            current.latch = current.latch or message.frame
            return
        self._open(RoundCause.TRANSITION, message)
        assert self._round is not None
        self._round.latch = message.frame
        self._out.append(TransitionArrived(self._round.number, message.frame))

    def _on_transition_end(self, frame: MotionFrame) -> None:
        self.counters.transition_ends += 1
        current = self._round
        if current is None:
            return
        if current.phase is _Phase.CLOSED:
            current.muted = False
            return
        if frame == self._end_pose and self._now - current.opened_at <= REORDER_S:
            return  # a repeat of the previous round's end that was overtaken by this round
        self._end_pose = frame
        if current.tracker is None:
            current.tracker = SequenceTracker(0)
            self._emit(current, current.tracker, 0, frame, recovered=True)
        elif current.tracker.newest_frame != frame:
            self._emit(current, current.tracker, current.tracker.newest + 1, frame, recovered=True)
        self._close(current, RoundEndReason.TRANSITION_END)

    def _on_idle(self) -> None:
        self.counters.idle += 1
        current = self._round
        if current is None:
            return
        current.idle_packets += 1
        if current.idle_packets < IDLE_PACKETS_TO_CLOSE or self._now - current.active_at <= REORDER_S:
            return
        if current.phase is _Phase.CLOSED:
            current.muted = False
        else:
            self._close(current, RoundEndReason.IDLE)

    # -- whose is it? ----------------------------------------------------------------------------------------

    def _is_own_start(self, current: _Round, packet: Packet) -> bool:
        """Whether a start flag belongs to the round that is open: a duplicate, or overtaken by later
        frames."""
        tracker, frame = current.tracker, _message(packet).frame
        if tracker is None:
            return current.phase is not _Phase.CLOSED
        position = tracker.position_of(_seq(packet))
        if position == current.lowest and tracker.get(position) == frame:
            return self._now - current.first_frame_at <= REORDER_S
        recent = self._now - current.first_frame_at <= LINGER_S
        early = current.lowest - REORDER_WINDOW <= position <= current.lowest
        return recent and early and not current.started and not tracker.has(position)

    def _is_straggler(self, packet: Packet) -> bool:
        """Whether a frame right after a new round's transition is still one of the round before."""
        previous = self._previous
        if previous is None or previous.tracker is None or self._now - previous.active_at > REORDER_S:
            return False
        position = previous.tracker.position_of(_seq(packet))
        arrival = previous.tracker.classify(position, _message(packet).frame)
        near = arrival in (Arrival.LATE, Arrival.DUPLICATE) or 0 < position - previous.tracker.newest <= 3
        return near and position > 3

    def _is_own_transition(self, current: _Round, frame: MotionFrame) -> bool:
        """Whether a transition is another copy of the one that opened (or should have) the current round."""
        if current.phase is _Phase.OPENING:
            return True
        if current.phase is _Phase.CLOSED:
            return current.latch == frame and self._now - current.closed_at <= REORDER_S
        return current.latch == frame or self._now - current.first_frame_at <= LINGER_S / 2

    def _consider(self, packet: Packet) -> None:
        """Two frames in order far from the current numbering open a new round."""
        if self._candidate is not None:
            first, since = self._candidate
            step = SequenceTracker(_seq(first)).position_of(_seq(packet)) - _seq(first)
            if 0 < step <= REORDER_WINDOW and self._now - since <= _CANDIDATE_S:
                self._candidate = None
                self.counters.restarts += 1
                self._open(RoundCause.RESTART, _message(first))
                self._begin(first)
                self._on_frame(packet)
                return
        self._drop_candidate()
        self._candidate = (packet, self._now)

    def _drop_candidate(self) -> None:
        if self._candidate is not None:
            self.counters.unconfirmed += 1
            self._candidate = None

    # -- rounds and frames -----------------------------------------------------------------------------------

    def _open(self, cause: RoundCause, message: MotionMessage) -> None:
        current = self._round
        if current is not None:
            if current.phase is not _Phase.CLOSED:
                self._close(current, RoundEndReason.SUPERSEDED)
            self._previous = current
        self._drop_candidate()
        self._rounds += 1
        self._round = _Round(self._rounds, self._now, active_at=self._now)
        self._out.append(RoundOpened(self._rounds, cause, message.req_id))

    def _begin(self, packet: Packet) -> None:
        """The first frame of the current round."""
        current = self._round
        assert current is not None
        seq = _seq(packet)
        current.tracker = SequenceTracker(seq)
        current.lowest = seq
        current.phase = _Phase.OPEN
        current.started = packet.start
        current.first_frame_at = self._now
        self._deliver(current, current.tracker, packet, seq)

    def _deliver(
        self,
        current: _Round,
        tracker: SequenceTracker,
        packet: Packet,
        position: int,
        *,
        rebased: bool = False,
    ) -> None:
        if rebased:
            self.counters.rebased += 1
        self._note_activity(current)
        if not rebased:
            self._deliver_copies(current, tracker, packet, position)
        self._emit(current, tracker, position, _message(packet).frame, rebased=rebased)
        if packet.end and current.phase is _Phase.OPEN:
            self._end_pose = _message(packet).frame
            self._close(current, RoundEndReason.END_FLAG)

    def _deliver_copies(
        self,
        current: _Round,
        tracker: SequenceTracker,
        packet: Packet,
        position: int,
    ) -> None:
        if packet.start:
            return  # whatever came before belongs to another round
        for back in range(len(packet.copies), 0, -1):
            copy, at = packet.copies[back - 1], position - back
            if copy is None or at < 0 or tracker.has(at) or at < tracker.newest - REORDER_WINDOW:
                continue
            try:
                message = decode_message(copy)
            except PacketError as error:
                self.counters.refuse(error.kind)
                continue
            if not self._was_in_previous(at, message.frame):
                self._count_message(message)
                self._emit(current, tracker, at, message.frame, recovered=True)

    def _was_in_previous(self, position: int, frame: MotionFrame) -> bool:
        previous = self._previous
        return (
            previous is not None and previous.tracker is not None and previous.tracker.get(position) == frame
        )

    def _emit(
        self,
        current: _Round,
        tracker: SequenceTracker,
        position: int,
        frame: MotionFrame,
        *,
        recovered: bool = False,
        rebased: bool = False,
    ) -> None:
        tracker.record(position, frame)
        current.lowest = min(current.lowest, position)
        if current.muted:
            self.counters.muted += 1
            return
        self.counters.frames += 1
        self.counters.recovered += recovered
        self._out.append(FrameArrived(current.number, position, frame, recovered, rebased))

    def _close(self, current: _Round, reason: RoundEndReason) -> None:
        current.phase = _Phase.CLOSED
        current.closed_at = self._now
        current.idle_packets = 0
        self._out.append(RoundClosed(current.number, reason))

    def _note_activity(self, current: _Round) -> None:
        current.active_at = self._now
        current.idle_packets = 0

    def _count_message(self, message: MotionMessage) -> None:
        self.counters.resized_fields += message.resized_fields
        self.counters.extra_keyframes += message.extra_keyframes


def _message(packet: Packet) -> MotionMessage:
    assert packet.message is not None  # decode_packet gives every kind but idle its message
    return packet.message


def _seq(packet: Packet) -> int:
    assert packet.seq is not None  # decode_packet gives every frame its number
    return packet.seq
