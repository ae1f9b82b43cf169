"""No buffer: for who wants the lowest delay and takes what comes."""

from __future__ import annotations

from avatarkit_rtc.motion.clock import forward
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.sequence import REORDER_WINDOW
from avatarkit_rtc.playout.buffer import BufferedPose
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.playout.stats import ShownMeter


class DirectBuffer:
    """No buffering at all: each frame is shown the moment it arrives, the newest one wins."""

    def __init__(self) -> None:
        self._meter = ShownMeter()
        self.counters = self._meter.counters
        """Live counters of this round."""
        self._pending: BufferedPose | None = None
        self._newest: int | None = None
        self._now = float("-inf")
        self._ended = False

    current_delay_s: float | None = None
    """There is none."""

    @property
    def drained(self) -> bool:
        """True once the round has ended and the last frame was shown."""
        return self._ended and self._pending is None

    def __len__(self) -> int:
        return int(self._pending is not None)

    def end(self) -> None:
        """No further frame is expected."""
        self._ended = True

    def push(
        self, seq: int, frame: MotionFrame, now: float, *, recovered: bool = False, rebased: bool = False
    ) -> None:
        """A frame arrived; see :meth:`JitterBuffer.push`."""
        self._now = forward(self._now, now)
        if self._newest is not None and 0 <= self._newest - seq <= REORDER_WINDOW:
            self.counters.late += 1
            return
        if self._pending is not None:
            self.counters.skipped += 1
        self._newest = seq
        self._pending = BufferedPose(PoseKind.RECOVERED if recovered else PoseKind.RECEIVED, frame, seq)

    def pop(self, now: float) -> BufferedPose | None:
        """The newest frame that was not shown yet."""
        self._now = forward(self._now, now)
        pose, self._pending = self._pending, None
        if pose is not None:
            self._meter.shown(pose.kind, self._now)
        return pose

    def next_deadline(self) -> float | None:
        """At once, while a frame waits."""
        return self._now if self._pending is not None else None
