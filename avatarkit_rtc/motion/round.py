"""One round as the stream knows it, and the rules by which a packet belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.sequence import REORDER_WINDOW, Arrival, SequenceTracker

REORDER_S: Final = 0.3
"""Packets overtake each other by no more than this."""

LINGER_S: Final = 1.0
"""So long after a round a lone frame without a start flag is not yet taken for a new round."""

MUTE_SILENCE_S: Final = 3.0
"""After so long without a frame of it, a flushed round is over whatever else was lost."""

_NEAR: Final = 3
"""Frames this close ahead are taken for the next ones."""


class Phase(Enum):
    """How far a round has come."""

    OPENING = "opening"
    """A transition has come, no frame yet."""
    OPEN = "open"
    CLOSED = "closed"


@dataclass(slots=True)
class Round:
    """A round of speech; every moment is in monotonic seconds."""

    number: int
    opened_at: float
    phase: Phase = Phase.OPENING
    started: bool = False
    """Its start flag was seen."""
    first_frame_at: float = 0.0
    active_at: float = 0.0
    """Last frame or transition of it."""
    closed_at: float = 0.0
    idle_packets: int = 0
    """Idle packets since then."""
    muted: bool = False
    """Flushed: what is left of it is dropped."""
    broken: bool = False
    """Closed from outside and not muted: what comes next is played as a new round."""
    latch: MotionFrame | None = None
    """Its first transition."""
    tracker: SequenceTracker | None = None
    """Its numbering, from the first frame on."""
    lowest: int = 0
    stand_in: int | None = None
    """Position at which a transition-end stands in for a last frame that had not come."""

    def move(self, seconds: float) -> None:
        """The clock was set by ``seconds``."""
        self.opened_at += seconds
        self.first_frame_at += seconds
        self.active_at += seconds
        self.closed_at += seconds

    def note_activity(self, now: float) -> None:
        """A frame or transition of it came."""
        self.active_at = now
        self.idle_packets = 0

    def owns_start(self, seq: int, frame: MotionFrame, now: float) -> bool:
        """Whether a start flag belongs to it: a duplicate, or overtaken by later frames."""
        if self.tracker is None:
            return self.awaits_first_frame(now)
        position = self.tracker.position_of(seq)
        if position == self.lowest and self.tracker.get(position) == frame:
            return now - self.first_frame_at <= REORDER_S
        recent = now - self.first_frame_at <= LINGER_S
        early = self.lowest - REORDER_WINDOW <= position <= self.lowest
        return recent and early and not self.started and not self.tracker.has(position)

    def owns_transition(self, frame: MotionFrame, now: float) -> bool:
        """Whether a transition is another copy of the one that opened it (or should have)."""
        if self.phase is Phase.OPENING:
            return self.latch == frame or now - self.active_at <= LINGER_S
        if self.broken:
            return False
        if self.tracker is None:
            return self.latch == frame and now - self.active_at <= (LINGER_S if self.muted else REORDER_S)
        if now - self.first_frame_at <= REORDER_S:
            return True
        if self.phase is Phase.OPEN:
            return self.latch == frame and now - self.first_frame_at <= LINGER_S
        return self.latch == frame and now - self.closed_at <= REORDER_S

    def awaits_first_frame(self, now: float) -> bool:
        """Whether a frame would be its first, as long as none has come: after its transition, even when
        flushed since."""
        return self.phase is Phase.OPENING or (self.muted and now - self.active_at <= LINGER_S)

    def abandoned(self, arrival: Arrival, now: float) -> bool:
        """Whether a frame is too late for it, once closed: it begins a new round."""
        if self.muted:
            return now - self.active_at > MUTE_SILENCE_S
        if self.broken:
            return arrival is not Arrival.DUPLICATE
        return now - self.closed_at > LINGER_S

    def left_behind(self, following: Round, seq: int, frame: MotionFrame, now: float) -> bool:
        """Whether a frame that comes early in the ``following`` round is still one of this."""
        if self.tracker is None or now - self.active_at > REORDER_S:
            return False
        position = self.tracker.position_of(seq)
        ahead = position - self.tracker.newest
        late = self.tracker.classify(position, frame) in (Arrival.LATE, Arrival.DUPLICATE)
        if not (late or 0 < ahead <= _NEAR):
            return False
        if following.tracker is None:
            return position > _NEAR
        return following.tracker.position_of(seq) - following.tracker.newest > _NEAR

    def held(self, position: int, frame: MotionFrame) -> bool:
        """Whether ``frame`` was one of its last two: the first packets of a round that goes on with its
        numbering carry them again."""
        tracker = self.tracker
        return tracker is not None and tracker.newest - position <= 1 and tracker.get(position) == frame
