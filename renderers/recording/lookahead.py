"""Poses that wait a moment before they are drawn: for their sound, and until more is known of their time.

A player gives a pose its time by what it knows of the sound's delay at that moment, and corrects itself as it
learns more. Nobody waits for a recording, so it takes a frame's time from what was known a little later. And
a face that moves its mouth by the sound hears it before it draws. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.playout.pose import Pose

LOOKAHEAD_S: Final = 0.75
"""How long poses wait, in their own time: the player's estimate of the sound's delay is about so far behind
when that changes. In a run with 5 % loss and jitter on a busy machine it brought 95 % of the mouths from
within 41 ms of their sound to within 16; more than a second was worse again."""

SOUND_AHEAD_S: Final = 4.0
"""Sound that is so far ahead of a pose releases it: no more poses are coming."""

OTHERS_KEPT: Final = 1000
"""Of what is no pose so much waits at most: where no poses come for hours, events still do."""

_EARLY_S: Final = 0.5 * FRAME_INTERVAL_S
_ROUNDS_KEPT: Final = 50
"""More than wait here, even if each has one frame."""


@dataclass(slots=True)
class Waiting:
    """A pose, or something else that keeps its place among the poses."""

    t: float
    """Its time, in seconds."""
    pose: Pose | None
    other: Any = None
    """What it is when it is no pose."""


class Lookahead:
    """Holds poses back, and gives them their times."""

    def __init__(self, lookahead_s: float = LOOKAHEAD_S) -> None:
        self._lookahead = lookahead_s
        self._waiting: deque[Waiting] = deque()
        self._others = 0
        self._newest = 0.0
        self._sound = 0.0
        self._starts: dict[int | None, float] = {}
        self._last = 0.0
        self.passed_over = 0
        """Poses from between the rounds that were left out because the next round began sooner than
        thought."""

    def __len__(self) -> int:
        return len(self._waiting)

    def pose(self, pose: Pose, t: float) -> None:
        """A pose came whose time is ``t`` by what is known now; no less than that of the one before."""
        self._newest = max(self._newest, t)
        if pose.position is not None:
            if pose.round not in self._starts and len(self._starts) >= _ROUNDS_KEPT:
                del self._starts[next(iter(self._starts))]
            self._starts[pose.round] = t - pose.position * FRAME_INTERVAL_S
        self._waiting.append(Waiting(t, pose))

    def other(self, thing: Any, t: float) -> bool:
        """Something else happened at ``t``; returns whether there was room for it."""
        if self._others == OTHERS_KEPT:
            return False
        self._others += 1
        self._waiting.append(Waiting(t, None, thing))
        return True

    def sound(self, t: float) -> None:
        """Sound has come up to ``t``."""
        self._sound = max(self._sound, t)

    def released(self, *, all_of_it: bool = False) -> Iterator[Waiting]:
        """What need not wait any longer, in order, poses with the times that they keep."""
        until = max(self._newest - self._lookahead, self._sound - SOUND_AHEAD_S)
        while self._waiting:
            first = self._waiting[0]
            if first.pose is not None and first.t > until and not all_of_it:
                return
            self._waiting.popleft()
            if first.pose is None:
                self._others -= 1
                yield first
            elif (t := self._time_of(first, first.pose)) is not None:
                self._last = max(self._last, t)
                yield replace(first, t=self._last)

    def _time_of(self, waiting: Waiting, pose: Pose) -> float | None:
        """Its time; None where it has none any more."""
        if pose.position is not None:
            start = self._starts.get(pose.round)
            return waiting.t if start is None else start + pose.position * FRAME_INTERVAL_S
        begins = self._next_round()
        if begins is not None and waiting.t > begins - _EARLY_S:
            self.passed_over += 1
            return None
        return waiting.t

    def _next_round(self) -> float | None:
        """The time of the first frame that waits here."""
        for each in self._waiting:
            if each.pose is not None and each.pose.position is not None:
                return self._time_of(each, each.pose)
        return None
