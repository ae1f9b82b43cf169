"""The rules of the reference client, faults included, so that others can be measured against them.

At most four frames are held. Playing starts when a frame with a sequence number of 1 or more has come. One
clock ticks each 40 ms; it is anchored anew when frames come after it has found nothing. A missing frame is
passed over once the oldest held one has waited ``max_delay_s``. An overflow drops the frame that is due next.
"""

from __future__ import annotations

from typing import Final

from avatarkit_rtc.motion.clock import forward
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.buffer import BufferedPose
from avatarkit_rtc.playout.delay import DelayEstimator
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.playout.stats import ShownMeter

HELD_FRAMES: Final = 4
"""Frames held at most."""

_TIMER_SLACK_S: Final = 1e-9


class ReferenceBuffer:
    """Plays as the reference client does: a round of one frame is never drawn, a loss delays what follows."""

    def __init__(self, estimator: DelayEstimator, *, max_delay_s: float = 0.080) -> None:
        """
        Args:
            estimator: told nothing: the reference client measures no jitter. Its target is the cap.
            max_delay_s: how long the oldest held frame waits for a missing one.
        """
        self._estimator = estimator
        self._max_delay = max_delay_s
        self._meter = ShownMeter()
        self.counters = self._meter.counters
        """Live counters of this round."""
        self._frames: dict[int, tuple[MotionFrame, bool, float]] = {}
        self._next: int | None = None
        self._tick: float | None = None
        self._last: BufferedPose | None = None
        self._ended = False
        self._now = float("-inf")

    @property
    def drained(self) -> bool:
        """True once the round has ended and nothing that is held will be shown."""
        return self._ended and (not self._frames or self._next is None)

    @property
    def current_delay_s(self) -> float | None:
        """Not known to the reference client."""
        return None

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
        if seq in self._frames or (self._next is not None and seq < self._next and not rebased):
            self.counters.late += 1
            return
        self._frames[seq] = (frame, recovered, now)
        if len(self._frames) > HELD_FRAMES:
            del self._frames[min(self._frames)]
            self.counters.skipped += 1
            self.counters.overflowed += 1
        if self._next is None and seq >= 1:
            self._next = min(self._frames)
        if self._next is not None and self._tick is None:
            self._tick = now

    def next_deadline(self) -> float | None:
        """The next tick; None while the clock stands still."""
        return None if self.drained else self._tick

    def pop(self, now: float) -> BufferedPose | None:
        """The frame that this tick shows, the last pose again while it waits, or None."""
        now = self._advance_clock(now)
        if self._tick is None or now < self._tick or self.drained:
            return None
        on_time = now - self._tick < FRAME_INTERVAL_S / 2
        if not self._frames:
            self._tick = None
            return self._hold(now)
        self._tick = (self._tick if on_time else now) + FRAME_INTERVAL_S
        assert self._next is not None  # the clock runs only after the start
        if self._next not in self._frames:
            oldest = min(self._frames)
            if now - self._frames[oldest][2] < self._max_delay - _TIMER_SLACK_S:
                return self._hold(now)
            self._next = oldest
        frame, recovered, _ = self._frames.pop(self._next)
        kind = PoseKind.RECOVERED if recovered else PoseKind.RECEIVED
        self._last = BufferedPose(kind, frame, float(self._next))
        self._next += 1
        self._meter.shown(kind, now)
        return self._last

    def _advance_clock(self, now: float) -> float:
        last, self._now = self._now, forward(self._now, now)
        if self._now < last:  # the clock was set; wall clocks are the reference client's, not ours
            step = self._now - last
            self._tick = None if self._tick is None else self._tick + step
            self._frames = {seq: (*entry[:2], entry[2] + step) for seq, entry in self._frames.items()}
        return self._now

    def _hold(self, now: float) -> BufferedPose | None:
        if self._last is None:
            return None
        self._meter.shown(PoseKind.HELD, now)
        return self._last._replace(kind=PoseKind.HELD)
