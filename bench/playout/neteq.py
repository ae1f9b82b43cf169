"""A controller after WebRTC's NetEQ, for comparison: its target delay and its decisions, on motion frames.

Target: the arrival delay of each packet relative to the fastest of the last 2 s; of each 500 ms the largest
goes into a histogram of 20 ms cells that forgets slowly; the target is its 95 % quantile. Decisions: the
buffer level, smoothed, above the upper limit: play faster; below the lower: play slower; the next frame
missing: stretch the last one over its time and leave it out when a later one is there, else wait (expand).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.pose import PoseKind
from bench.playout.player import ShownPose

CELL_S: Final = 0.020
CELLS: Final = 100
QUANTILE: Final = 0.95
FORGET: Final = 0.983
START_WEIGHT: Final = 2.0
INTERVAL_S: Final = 0.5
HISTORY_S: Final = 2.0
START_TARGET_S: Final = 0.080
TICK_S: Final = 0.010
"""NetEQ decides for each 10 ms of sound."""
STRETCH_S: Final = 0.010
"""What one accelerate or expand operation takes out or puts in: about one pitch period."""
CAPACITY: Final = 50
"""Packets held at most; beyond it the buffer is flushed, as NetEQ does."""


class NetEqStrategy:
    """The target, which outlives the rounds."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, float]] = deque()
        self._histogram = [0.0] * CELLS
        self._forget = 0.0
        self._added = 0
        self._interval_begin: float | None = None
        self._largest = 0.0
        self.target_delay_s = START_TARGET_S
        """95 % quantile, in seconds."""

    def new_buffer(self) -> NetEqBuffer:
        """The buffer of the next round."""
        self._history.clear()
        return NetEqBuffer(self)

    def clock_packet(self, now: float) -> None:
        """NetEQ learns from the stream's own packets only."""

    def observe(self, seq: int, now: float) -> None:
        """A packet of the round arrived."""
        delay = now - seq * FRAME_INTERVAL_S
        self._history.append((now, delay))
        while self._history[0][0] < now - HISTORY_S:
            self._history.popleft()
        relative = delay - min(each[1] for each in self._history)
        if self._interval_begin is None:
            self._interval_begin = now
        if now - self._interval_begin > INTERVAL_S:
            self._add(min(int(self._largest / CELL_S), CELLS - 1))
            self._interval_begin, self._largest = now, 0.0
        self._largest = max(self._largest, relative)

    def _add(self, cell: int) -> None:
        self._histogram = [each * self._forget for each in self._histogram]
        self._histogram[cell] += 1.0 - self._forget
        self._added += 1
        self._forget = max(0.0, min(FORGET, 1.0 - START_WEIGHT / (self._added + 1)))
        total = 0.0
        for index, share in enumerate(self._histogram):
            total += share
            if total >= QUANTILE - 1e-12:
                self.target_delay_s = (1 + index) * CELL_S
                return


class NetEqBuffer:
    """The decisions of one round."""

    def __init__(self, strategy: NetEqStrategy) -> None:
        self._strategy = strategy
        self._frames: dict[int, bool] = {}
        self._next: int | None = None
        self._due = 0.0
        self._level = 0.0
        self._pending = 0.0
        self._next_stretch = 0.0
        self._expanding = False
        self._last: ShownPose | None = None
        self._ended = False

    current_delay_s: float | None = None
    """NetEQ knows the filling of its buffer, no delay."""

    @property
    def drained(self) -> bool:
        """Ended, and all was shown."""
        return self._ended and not self._frames

    def end(self) -> None:
        """No further frame is expected."""
        self._ended = True

    def next_deadline(self) -> float | None:
        """When to pop next."""
        return None if self._next is None or self.drained else self._due

    def push(self, seq: int, frame: MotionFrame, now: float, *, recovered: bool = False) -> None:
        """A frame arrived."""
        if not recovered:
            self._strategy.observe(seq, now)
        if self._next is None:
            # It starts with the first packet and lets the slower playing fill the buffer.
            self._next, self._due = seq, now
        if seq < self._next:
            return
        if len(self._frames) >= CAPACITY:
            self._frames.clear()
            self._next = seq
        self._frames[seq] = recovered

    def pop(self, now: float) -> ShownPose | None:
        """The pose that is due, or None."""
        if self._next is None or self.drained or now < self._due:
            return None
        if self._next not in self._frames:
            return self._expand(now)
        interval = self._interval(now)
        recovered = self._frames.pop(self._next)
        pose = ShownPose(PoseKind.RECOVERED if recovered else PoseKind.RECEIVED, float(self._next))
        self._last, self._next, self._due, self._expanding = pose, self._next + 1, now + interval, False
        return pose

    def _expand(self, now: float) -> ShownPose | None:
        assert self._next is not None
        if self._frames:
            if self._expanding:
                # Sound was stretched meanwhile: go on with what is there.
                self._next = min(self._frames)
                self._expanding = False
                return self.pop(now)
            # The last pose stands for the missing one, then the next follows.
            self._next += 1
            self._due = now + FRAME_INTERVAL_S
        else:
            self._expanding = True
            self._due = now + TICK_S
        return self._last._replace(kind=PoseKind.HELD) if self._last is not None else None

    def _interval(self, now: float) -> float:
        """How long the next frame stays, after the level of the buffer."""
        target = self._strategy.target_delay_s
        present = len(self._frames) * FRAME_INTERVAL_S
        factor = 251 if target <= 0.020 else 252 if target <= 0.060 else 253 if target <= 0.140 else 254
        for _ in range(round(FRAME_INTERVAL_S / TICK_S)):
            self._level = factor / 256 * self._level + (1 - factor / 256) * present
        self._level = max(0.0, self._level + self._pending)
        self._pending = 0.0
        low = max(0.75 * target, target - 0.085)
        high = max(target, low + 0.020)
        if now < self._next_stretch or self._expanding:
            return FRAME_INTERVAL_S
        stretch = 0.0
        if self._level >= 4 * high:
            stretch = -2 * STRETCH_S
        elif self._level >= high:
            stretch = -STRETCH_S
        elif self._level < low:
            stretch = STRETCH_S
        if stretch:
            self._next_stretch = now + 5 * TICK_S
            self._pending = stretch
        return FRAME_INTERVAL_S + stretch
