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
* What is left of a flushed round is dropped until its end, the next round, idle, or 3 s without a frame of
  it. After any other end from outside (a stall, a lost connection) the next frame opens a round.
"""

from __future__ import annotations

import math
from typing import Final

from avatarkit_rtc.motion.clock import forward
from avatarkit_rtc.motion.counters import StreamCounters
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
from avatarkit_rtc.motion.message import MotionMessage, PacketError, decode_message
from avatarkit_rtc.motion.packet import Packet, PacketKind, decode_packet
from avatarkit_rtc.motion.round import LINGER_S, REORDER_S, Phase, Round
from avatarkit_rtc.motion.sequence import REORDER_WINDOW, Arrival, SequenceTracker

__all__ = ["IDLE_PACKETS_TO_CLOSE", "LINGER_S", "REORDER_S", "MotionStream", "StreamCounters"]

IDLE_PACKETS_TO_CLOSE: Final = 5
"""So many idle packets, with no frame for :data:`REORDER_S`, close a round whose end was lost."""

_CANDIDATE_S: Final = 2.0


class MotionStream:
    """Turns motion packets into rounds and frames."""

    def __init__(self) -> None:
        self.counters = StreamCounters()
        """Live counters."""
        self.last_activity: float | None = None
        """Moment of the last well-formed packet."""
        self.last_kind: PacketKind | None = None
        """Kind of the last well-formed packet."""
        self._round: Round | None = None
        self._previous: Round | None = None
        self._candidate: tuple[Packet, float] | None = None
        self._end_pose: MotionFrame | None = None
        self._rounds = 0
        self._now = -math.inf
        self._out: list[StreamEvent] = []

    @property
    def open_round(self) -> int | None:
        """Number of the round that is open, from its first transition or frame to its end."""
        current = self._round
        return current.number if current is not None and current.phase is not Phase.CLOSED else None

    @property
    def muted(self) -> bool:
        """Whether the rest of a flushed round is being dropped."""
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
        self.last_kind = packet.kind
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
        if current is not None and current.phase is not Phase.CLOSED:
            self._close(current, reason)
            current.muted = reason is RoundEndReason.FLUSHED
            current.broken = not current.muted
        return self._take()

    def _advance(self, now: float) -> None:
        last, self._now = self._now, forward(self._now, now)
        if self._now < last:
            for each in (self._round, self._previous):
                if each is not None:
                    each.move(self._now - last)
            self._drop_candidate()

    def _take(self) -> list[StreamEvent]:
        out, self._out = self._out, []
        return out

    # -- packets ---------------------------------------------------------------------------------------------

    def _on_frame(self, packet: Packet) -> None:
        current, frame = self._round, _message(packet).frame
        if packet.start:
            if current is None or not current.owns_start(_seq(packet), frame, self._now):
                self._open_with(RoundCause.START, packet)
                return
        elif current is not None and self._is_straggler(current, packet):
            self.counters.stragglers += 1
            return
        if current is not None and current.tracker is not None:
            self._place(current, current.tracker, packet)
        elif current is not None and current.awaits_first_frame(self._now):
            self._begin(current, packet)
        else:
            self._open_with(RoundCause.FRAME, packet)

    def _place(self, current: Round, tracker: SequenceTracker, packet: Packet) -> None:
        """Sort a frame into the numbering of the current (or just closed) round."""
        frame, position = _message(packet).frame, tracker.position_of(_seq(packet))
        arrival = tracker.classify(position, frame)
        far = arrival in (Arrival.BEHIND, Arrival.CONFLICT) or (current.started and position < current.lowest)
        if current.phase is Phase.CLOSED:
            if current.abandoned(arrival, self._now):
                self._open_with(RoundCause.FRAME, packet)
                return
            since_end = self._now - current.closed_at
            if current.stand_in is not None and since_end <= REORDER_S:
                same = tracker.get(current.stand_in) == frame
                if same or position == current.stand_in:
                    self._deliver_copies(current, tracker, packet, position)
                    self.counters.duplicates += same
                    self.counters.stragglers += not same
                    return
            far = far or (not current.muted and (since_end > REORDER_S or arrival is Arrival.JUMP))
        if arrival is Arrival.DUPLICATE:
            current.note_activity(self._now)
            self._deliver_copies(current, tracker, packet, position)
            self.counters.duplicates += 1
        elif far:
            self._consider(packet)
        else:
            if arrival is not Arrival.LATE:
                self._drop_candidate()
            current.started |= packet.start
            self._deliver(current, tracker, packet, position, rebased=arrival is Arrival.JUMP)

    def _on_transition(self, message: MotionMessage) -> None:
        self.counters.transitions += 1
        current = self._round
        if current is not None and current.owns_transition(message.frame, self._now):
            current.note_activity(self._now)
            current.latch = current.latch or message.frame
            return
        opened = self._open(RoundCause.TRANSITION, message)
        opened.latch = message.frame
        self._out.append(TransitionArrived(opened.number, message.frame))

    def _on_transition_end(self, frame: MotionFrame) -> None:
        self.counters.transition_ends += 1
        current = self._round
        if current is None or current.phase is Phase.CLOSED:
            self._end_pose = frame
            if current is not None:
                self._unmute(current)
            return
        if frame == self._end_pose and self._now - current.opened_at <= REORDER_S:
            return  # a repeat of the previous round's end that was overtaken by this round
        self._end_pose = frame
        if current.tracker is None:
            current.tracker = SequenceTracker(0)
            current.first_frame_at = self._now
            current.stand_in = 0
        elif current.tracker.newest_frame != frame:
            current.stand_in = current.tracker.newest + 1
        if current.stand_in is not None:
            self._emit(current, current.tracker, current.stand_in, frame, recovered=True)
        self._close(current, RoundEndReason.TRANSITION_END)

    def _on_idle(self) -> None:
        self.counters.idle += 1
        current = self._round
        if current is None:
            return
        current.idle_packets += 1
        if current.idle_packets < IDLE_PACKETS_TO_CLOSE or self._now - current.active_at <= REORDER_S:
            return
        if current.phase is Phase.CLOSED:
            self._unmute(current)
        else:
            self._close(current, RoundEndReason.IDLE)

    # -- whose is it? ----------------------------------------------------------------------------------------

    def _is_straggler(self, current: Round, packet: Packet) -> bool:
        """Whether a frame right after a round began is still one of the round before."""
        previous = self._previous
        return previous is not None and previous.left_behind(
            current, _seq(packet), _message(packet).frame, self._now
        )

    def _consider(self, packet: Packet) -> None:
        """Two frames in order far from the current numbering open a new round."""
        if self._candidate is not None:
            first, since = self._candidate
            step = SequenceTracker(_seq(first)).position_of(_seq(packet)) - _seq(first)
            if 0 < step <= REORDER_WINDOW and self._now - since <= _CANDIDATE_S:
                self._candidate = None
                self.counters.restarts += 1
                self._open_with(RoundCause.RESTART, first)
                self._on_frame(packet)
                return
        self._drop_candidate()
        self._candidate = (packet, self._now)

    def _drop_candidate(self) -> None:
        if self._candidate is not None:
            self.counters.unconfirmed += 1
            self._candidate = None

    # -- rounds and frames -----------------------------------------------------------------------------------

    def _open(self, cause: RoundCause, message: MotionMessage) -> Round:
        current = self._round
        if current is not None:
            if current.phase is not Phase.CLOSED:
                self._close(current, RoundEndReason.SUPERSEDED)
            self._previous = current
        self._drop_candidate()
        self._rounds += 1
        self._round = opened = Round(self._rounds, self._now, active_at=self._now)
        self._out.append(RoundOpened(self._rounds, cause, message.req_id))
        return opened

    def _open_with(self, cause: RoundCause, packet: Packet) -> None:
        self._begin(self._open(cause, _message(packet)), packet)

    def _begin(self, current: Round, packet: Packet) -> None:
        """The first frame of the current round."""
        seq = _seq(packet)
        current.tracker = SequenceTracker(seq)
        current.lowest = seq
        if current.phase is Phase.OPENING:  # not when it was flushed before its first frame
            current.phase = Phase.OPEN
        current.started = packet.start
        current.first_frame_at = self._now
        self._deliver(current, current.tracker, packet, seq)

    def _deliver(
        self,
        current: Round,
        tracker: SequenceTracker,
        packet: Packet,
        position: int,
        *,
        rebased: bool = False,
    ) -> None:
        current.note_activity(self._now)
        if rebased:
            self.counters.rebased += 1
        else:
            self._deliver_copies(current, tracker, packet, position)
        frame = _message(packet).frame
        self._emit(current, tracker, position, frame, rebased=rebased)
        if packet.end:
            self._end_pose = frame
            if current.phase is Phase.OPEN:
                self._close(current, RoundEndReason.END_FLAG)
            self._unmute(current)

    def _deliver_copies(
        self, current: Round, tracker: SequenceTracker, packet: Packet, position: int
    ) -> None:
        if packet.start:
            return  # whatever came before belongs to another round
        for back in range(len(packet.copies), 0, -1):
            copy, at = packet.copies[back - 1], position - back
            if copy is None or at < 0 or tracker.has(at) or at < tracker.newest - REORDER_WINDOW:
                continue
            if current.started and at < current.lowest:
                continue
            try:
                message = decode_message(copy)
            except PacketError:
                self.counters.malformed_copies += 1
                continue
            if self._previous is None or not self._previous.held(at, message.frame):
                self._count_message(message)
                self._emit(current, tracker, at, message.frame, recovered=True)

    def _emit(
        self,
        current: Round,
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

    def _close(self, current: Round, reason: RoundEndReason) -> None:
        current.phase = Phase.CLOSED
        current.closed_at = self._now
        current.idle_packets = 0
        self._out.append(RoundClosed(current.number, reason))

    def _unmute(self, current: Round) -> None:
        """A flushed round is over; its stragglers are still dropped as those of any round that has ended."""
        if current.muted:
            current.muted = False
            current.closed_at = self._now

    def _count_message(self, message: MotionMessage) -> None:
        self.counters.resized_fields += message.resized_fields
        self.counters.extra_keyframes += message.extra_keyframes


def _message(packet: Packet) -> MotionMessage:
    assert packet.message is not None  # decode_packet gives every kind but idle its message
    return packet.message


def _seq(packet: Packet) -> int:
    assert packet.seq is not None  # decode_packet gives every frame its number
    return packet.seq
