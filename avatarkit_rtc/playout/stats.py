"""Figures of one round and of a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.playout.pose import PoseKind

FREEZE_GAP_S: Final = 0.060
"""A longer pause between two new poses is a freeze."""

SKIP_STEP: Final = 1.51
"""A longer step, in frames, leaves frames out."""


@dataclass(slots=True)
class PlayoutCounters:
    """What was shown, and what went wrong; of one round or, summed up, of a session."""

    received: int = 0
    """Poses shown as their own packet brought them."""
    recovered: int = 0
    """Poses shown as a redundant copy brought them."""
    interpolated: int = 0
    """Poses made from their neighbours."""
    held: int = 0
    """Times the last pose had to stay for another 40 ms."""
    late: int = 0
    """Frames that came after their place had been passed, or a second time, dropped."""
    hurried: int = 0
    """Frames that came in time and, far behind, were played at almost twice the speed, between two poses."""
    skipped: int = 0
    """Frames that came in time and were jumped over all the same."""
    overflowed: int = 0
    """Frames of these jumped over because the buffer was full."""
    freezes: int = 0
    """Pauses of more than 60 ms between two new poses."""
    frozen_s: float = 0.0
    """Seconds of those pauses beyond the 40 ms that are due."""
    worst_freeze_s: float = 0.0
    """Longest of them, beyond the 40 ms that are due."""
    warped_s: float = 0.0
    """Seconds won or lost by playing faster or slower, freezes and jumps aside."""
    played_s: float = 0.0
    """Seconds from the first to the last new pose, summed over rounds."""

    @property
    def shown(self) -> int:
        """New poses shown: received, recovered and interpolated."""
        return self.received + self.recovered + self.interpolated

    def add(self, other: PlayoutCounters) -> None:
        """Sum ``other`` up into this."""
        self.received += other.received
        self.recovered += other.recovered
        self.interpolated += other.interpolated
        self.held += other.held
        self.late += other.late
        self.hurried += other.hurried
        self.skipped += other.skipped
        self.overflowed += other.overflowed
        self.freezes += other.freezes
        self.frozen_s += other.frozen_s
        self.worst_freeze_s = max(self.worst_freeze_s, other.worst_freeze_s)
        self.warped_s += other.warped_s
        self.played_s += other.played_s


@dataclass(slots=True)
class ShownMeter:
    """Counts poses as they are shown, and the freezes between them."""

    counters: PlayoutCounters = field(default_factory=PlayoutCounters)
    _last: float | None = None

    def shown(self, kind: PoseKind, now: float, step: float = 1.0) -> None:
        """A pose of ``kind`` was shown at ``now``, ``step`` frames after the one before."""
        counters = self.counters
        if kind is PoseKind.HELD:
            counters.held += 1
            return
        if kind is PoseKind.RECEIVED:
            counters.received += 1
        elif kind is PoseKind.RECOVERED:
            counters.recovered += 1
        else:
            counters.interpolated += 1
        if self._last is not None:
            gap = max(0.0, now - self._last)
            counters.played_s += gap
            if gap > FREEZE_GAP_S:
                counters.freezes += 1
                counters.frozen_s += gap - FRAME_INTERVAL_S
                counters.worst_freeze_s = max(counters.worst_freeze_s, gap - FRAME_INTERVAL_S)
            elif step < SKIP_STEP:
                counters.warped_s += abs(gap - FRAME_INTERVAL_S * step)
        self._last = now


@dataclass(frozen=True, slots=True)
class RoundStats:
    """One round, when it is over."""

    round: int
    reason: RoundEndReason
    counters: PlayoutCounters
    """What was shown; no longer changes."""
    duration_s: float
    """From the moment the round became the one on show to its end."""


@dataclass(frozen=True, slots=True)
class PlayoutStats:
    """A snapshot of the playout."""

    state: str
    """``idle``, ``transition-in``, ``speech``, ``transition-out`` or ``disconnect-transition``."""
    round: int | None
    """Round on show."""
    rounds_ended: dict[RoundEndReason, int]
    """Rounds that are over, by reason."""
    counters: PlayoutCounters
    """Sum over the session, the round on show included."""
    target_delay_ms: float
    """Delay behind the fastest packet that is aimed at."""
    current_delay_ms: float | None
    """Delay behind the fastest packet now; None outside speech."""
    jitter_ms: float
    """Smoothed jitter of arrivals."""
    queued_frames: int
    """Frames that wait for their moment."""
    idle_errors: int
    """Times the caller's idle function failed and the neutral pose stood in."""
