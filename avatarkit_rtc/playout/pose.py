"""What a view is given to show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from avatarkit_rtc.motion.frame import MotionFrame


class PoseKind(StrEnum):
    """Where a shown pose came from."""

    RECEIVED = "received"
    """A frame as its own packet brought it."""
    RECOVERED = "recovered"
    """A frame whose own packet was lost or late, as a redundant copy brought it."""
    INTERPOLATED = "interpolated"
    """Made from the frames before and after a missing one."""
    HELD = "held"
    """The last pose again: the next frame is missing and nothing later is there."""
    TRANSITION = "transition"
    """On the way from idle to speech, from speech to idle, or to idle after a stall or a lost connection."""
    IDLE = "idle"
    """Nobody speaks."""


@dataclass(frozen=True, slots=True)
class Pose:
    """One pose, as it is shown at one moment."""

    t: float
    """Moment it is due, in monotonic seconds."""
    kind: PoseKind
    """Where the pose came from."""
    frame: MotionFrame
    """The FLAME parameters to show."""
    round: int | None = None
    """Number of the round (1, 2, …) it belongs to; None when idle."""
    position: float | None = None
    """Frame number within the round, fractional between two frames; None outside speech."""
