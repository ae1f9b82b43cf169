"""Poses at the display's rate, between those that the playout gives at 25 a second.

A pose between two others needs both of them, so this runs one frame (40 ms) behind. Pure: ``now`` in
monotonic seconds.
"""

from __future__ import annotations

import math
from typing import Final

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.interpolation import blend
from avatarkit_rtc.playout.pose import Pose, PoseKind

DEFAULT_RATE_HZ: Final = 60.0
"""Rate of most displays."""


class RenderClock:
    """Gives a pose at each tick of a display, on the playout's own, warped, media time."""

    def __init__(self, rate_hz: float = DEFAULT_RATE_HZ) -> None:
        """
        Args:
            rate_hz: poses per second, 1 … 1000.

        Raises:
            ValueError: the rate is out of range.
        """
        if not 1.0 <= rate_hz <= 1000.0:
            raise ValueError("the render rate must lie between 1 and 1000 Hz")
        self._interval = 1.0 / rate_hz
        self._from: Pose | None = None
        self._to: Pose | None = None
        self._duration = FRAME_INTERVAL_S
        self._next = -math.inf

    def push(self, pose: Pose, until: float) -> None:
        """The playout gave ``pose`` at ``pose.t``, and will give the next one at ``until``."""
        self._from = self._at(pose.t) if self._to is not None else pose
        self._to = pose
        # A late or unknown next pose must not slow the motion down that is known.
        self._duration = min(max(until - pose.t, self._interval), 1.25 * FRAME_INTERVAL_S)

    def next_deadline(self) -> float | None:
        """When to call :meth:`pose` next; None before the first pose."""
        return self._next if self._to is not None else None

    def pose(self, now: float) -> Pose | None:
        """The pose to show at ``now``; None when none is due yet."""
        if self._to is None or now < self._next:
            return None
        on_time = now - self._next < self._interval
        self._next = (self._next if on_time else now) + self._interval
        return self._at(now)

    def _at(self, now: float) -> Pose:
        begin, end = self._from, self._to
        assert begin is not None
        assert end is not None
        weight = (now - end.t) / self._duration
        if weight >= 1.0 or begin is end:
            return Pose(now, end.kind, end.frame, end.round, end.position, end.presentation_time)
        weight = max(weight, 0.0)
        seen = end.presentation_time
        if seen is not None and begin.presentation_time is not None:
            seen = begin.presentation_time + weight * (seen - begin.presentation_time)
        frame: MotionFrame = blend(begin.frame, end.frame, weight)
        if begin.position is None or end.position is None or begin.round != end.round:
            # Into speech or out of it: until the end is reached, it is a transition to it.
            kind = PoseKind.TRANSITION if begin.kind is not end.kind else end.kind
            return Pose(now, kind, frame, end.round, None, seen)
        kind = PoseKind.HELD if end.kind is PoseKind.HELD else PoseKind.INTERPOLATED
        position = begin.position + weight * (end.position - begin.position)
        return Pose(now, kind, frame, end.round, position, seen)
