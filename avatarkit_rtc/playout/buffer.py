"""What the playout asks of a buffer; the buffers themselves are in the files beside this one."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.playout.stats import PlayoutCounters


class BufferedPose(NamedTuple):
    """One pose of a round."""

    kind: PoseKind
    frame: MotionFrame
    position: float
    """Frame number in the round; fractional when the pose lies between two frames."""


class FrameBuffer(Protocol):
    """What the playout asks of a buffer; one per round."""

    counters: PlayoutCounters
    """Live counters of the round."""

    def push(
        self, seq: int, frame: MotionFrame, now: float, *, recovered: bool = False, rebased: bool = False
    ) -> None:
        """A frame of the round arrived."""

    def pop(self, now: float) -> BufferedPose | None:
        """The pose that is due, or None when nothing is due."""

    def next_deadline(self) -> float | None:
        """When to call :meth:`pop` next; None while there is nothing to wait for."""

    def end(self) -> None:
        """No further frame is expected."""

    @property
    def drained(self) -> bool:
        """True once the round has ended and all its frames were shown."""

    @property
    def current_delay_s(self) -> float | None:
        """Delay of playing behind the fastest packet; None before the first frame."""

    def __len__(self) -> int:
        """Frames that wait for their moment."""
