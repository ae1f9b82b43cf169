"""The classical playout buffer: one delay, given once; what has not come by then is passed over.

For comparison. It neither warps time nor makes poses up; every missing frame is a freeze and a skip.
"""

from __future__ import annotations

import math
from typing import Final

from avatarkit_rtc.motion.clock import forward
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.buffer import BufferedPose
from avatarkit_rtc.playout.delay import BASE_WINDOW_S, DelayEstimator, SlidingMinimum
from avatarkit_rtc.playout.jitter_buffer import CAPACITY
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.playout.stats import ShownMeter

_TIMER_SLACK_S: Final = 1e-9


class FixedBuffer:
    """Shows each frame a fixed delay after the fastest packet would have brought it, or not at all."""

    def __init__(self, estimator: DelayEstimator, *, delay_s: float) -> None:
        """
        Args:
            estimator: told of arrivals, for its jitter figure.
            delay_s: the delay, in seconds.
        """
        self._estimator = estimator
        self._delay = delay_s
        self._capacity = CAPACITY + math.ceil(delay_s / FRAME_INTERVAL_S)  # the delay alone may fill 10 s
        self._meter = ShownMeter()
        self.counters = self._meter.counters
        """Live counters of this round."""
        self._base = SlidingMinimum(BASE_WINDOW_S)
        self._frames: dict[int, tuple[MotionFrame, bool]] = {}
        self._shown: int | None = None
        self._ended = False
        self._now = float("-inf")

    @property
    def drained(self) -> bool:
        """True once the round has ended and all its frames were shown."""
        return self._ended and not self._frames

    @property
    def current_delay_s(self) -> float | None:
        """As given; None before the first frame."""
        return self._delay if self._base.value is not None else None

    def __len__(self) -> int:
        return len(self._frames)

    def end(self) -> None:
        """No further frame is expected."""
        self._ended = True

    def push(
        self, seq: int, frame: MotionFrame, now: float, *, recovered: bool = False, rebased: bool = False
    ) -> None:
        """A frame arrived; see :meth:`~avatarkit_rtc.playout.jitter_buffer.JitterBuffer.push`."""
        now = self._advance_clock(now)
        if rebased:
            self._base = SlidingMinimum(BASE_WINDOW_S)
            self.counters.skipped += len(self._frames)
            self._frames.clear()
            self._shown = None
        if seq in self._frames or (self._shown is not None and seq <= self._shown):
            self.counters.late += 1
            return
        arrival = now - seq * FRAME_INTERVAL_S
        base = self._base.update(now, arrival)
        self._estimator.observe(arrival - base, now)
        if arrival - base > self._delay + _TIMER_SLACK_S:
            self.counters.late += 1
            return
        self._frames[seq] = (frame, recovered)
        if len(self._frames) > self._capacity:
            del self._frames[min(self._frames)]
            self.counters.skipped += 1
            self.counters.overflowed += 1

    def next_deadline(self) -> float | None:
        """When the next frame that is there is due."""
        base = self._base.value
        if base is None or not self._frames:
            return None
        return base + min(self._frames) * FRAME_INTERVAL_S + self._delay

    def pop(self, now: float) -> BufferedPose | None:
        """The frame that is due, or None. Frames whose time has passed are dropped for a newer one."""
        now = self._advance_clock(now)
        due = self.next_deadline()
        if due is None or now < due:
            return None
        base = self._base.value
        assert base is not None  # next_deadline has looked
        playing = (now - base - self._delay) / FRAME_INTERVAL_S + 1e-6
        passed = sorted(seq for seq in self._frames if seq <= playing)
        seq = passed.pop() if passed else min(self._frames)
        for each in passed:
            del self._frames[each]
        self.counters.late += len(passed)
        frame, recovered = self._frames.pop(seq)
        self._shown = seq
        kind = PoseKind.RECOVERED if recovered else PoseKind.RECEIVED
        self._meter.shown(kind, now)
        return BufferedPose(kind, frame, float(seq))

    def _advance_clock(self, now: float) -> float:
        last, self._now = self._now, forward(self._now, now)
        base = self._base.value
        if self._now < last and base is not None:  # the clock was set
            self._base = SlidingMinimum(BASE_WINDOW_S)
            self._base.update(self._now, base + self._now - last)
        return self._now
