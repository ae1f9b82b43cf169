"""Sequence numbers of one round: wrap, reorder, duplicates, jumps."""

from __future__ import annotations

from enum import Enum
from typing import Final

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.packet import SEQUENCE_MODULUS

REORDER_WINDOW: Final = 64
"""Up to this far behind the newest, a frame is late or a duplicate; further behind it may be a restart."""

JUMP_AHEAD: Final = 250
"""More than this far ahead of the newest (10 s), a frame is a new position and not a gap to wait for."""


class Arrival(Enum):
    """How a sequence number stands to those before it."""

    NEXT = "next"
    """Ahead of the newest, with a gap of up to :data:`JUMP_AHEAD`."""
    LATE = "late"
    """Behind the newest and not seen yet."""
    DUPLICATE = "duplicate"
    """Seen before, with the same parameters."""
    CONFLICT = "conflict"
    """Seen before, with other parameters: it belongs to another numbering."""
    BEHIND = "behind"
    """Further behind than reordering explains."""
    JUMP = "jump"
    """Further ahead than loss explains."""


class SequenceTracker:
    """Follows the sequence numbers of one round and remembers its last 64 frames."""

    def __init__(self, seq: int) -> None:
        """Begin at ``seq``, the first number that came; it still has to be recorded."""
        self.newest = seq
        """Highest position so far, unwrapped."""
        self._seen: dict[int, MotionFrame] = {}

    def position_of(self, seq: int) -> int:
        """Unwrapped position of ``seq``, compared with the newest modulo 2^32."""
        half = SEQUENCE_MODULUS // 2
        return self.newest + (seq - self.newest + half) % SEQUENCE_MODULUS - half

    def classify(self, position: int, frame: MotionFrame) -> Arrival:
        """How ``frame`` at ``position`` stands to what was recorded."""
        known = self._seen.get(position)
        if known is not None:
            return Arrival.DUPLICATE if known == frame else Arrival.CONFLICT
        ahead = position - self.newest
        if ahead > JUMP_AHEAD:
            return Arrival.JUMP
        if ahead > 0 or not self._seen:
            return Arrival.NEXT
        return Arrival.LATE if ahead >= -REORDER_WINDOW else Arrival.BEHIND

    def record(self, position: int, frame: MotionFrame) -> None:
        """Remember ``frame``, and forget what has left the reorder window."""
        self._seen[position] = frame
        if position > self.newest:
            self.newest = position
            while self._seen and (oldest := next(iter(self._seen))) < position - REORDER_WINDOW:
                del self._seen[oldest]

    def has(self, position: int) -> bool:
        """Whether the frame at ``position`` is remembered."""
        return position in self._seen

    def get(self, position: int) -> MotionFrame | None:
        """The remembered frame at ``position``."""
        return self._seen.get(position)

    @property
    def newest_frame(self) -> MotionFrame | None:
        """The frame at the newest position."""
        return self._seen.get(self.newest)
