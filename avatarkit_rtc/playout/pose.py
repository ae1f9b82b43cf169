"""What a view is given to show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame


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
    presentation_time: float | None = None
    """When it would be seen if the avatar's sound were played as it is received: seconds on the one time that
    poses and sound blocks of a player share, which begins with its first ``connect()`` and goes on through
    reconnects. A frame has the time of the sample that belongs to it, not of the moment it is shown at. Never
    less than that of the pose before; a held pose has the same. None for a pose that no player gave."""

    @property
    def media_time(self) -> float | None:
        """Seconds since frame 0 of the round; None outside speech."""
        return None if self.position is None else self.position * FRAME_INTERVAL_S
