"""How hard the encoder may work: less when it cannot keep up, more again when there is room. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BEHIND_S: Final = 0.4
"""So far behind, the next step down is taken."""

STEP_DOWN_S: Final = 0.8
"""A step down has so long to show what it brings."""

CAUGHT_UP_S: Final = 0.1
"""Less behind than this it keeps up."""

ROOM: Final = 0.5
"""Up again goes only who was busy for less than this share of the time."""

STEP_UP_S: Final = 5.0
"""It must have kept up for so long before a step up; twice as long after each that had to be taken back."""

LONGEST_WAIT_S: Final = 600.0

DIVIDERS: Final = (2, 3, 5, 10)
"""Pictures left out when no lighter encoder is left: every second is drawn, every third, …"""


@dataclass(frozen=True, slots=True)
class Load:
    """One way to work."""

    level: int
    """Of the encoder: 0 works hardest."""
    divider: int
    """One picture of so many is drawn and encoded."""


class LoadControl:
    """Chooses the load by how far behind the work is."""

    def __init__(self, levels: int, dividers: Sequence[int] = DIVIDERS, *, first: int = 0) -> None:
        """
        Args:
            levels: of the encoder.
            first: the level to begin with, and never to go above.
            dividers: of the picture rate, on top of the lightest level.
        """
        steps = [Load(level, 1) for level in range(first, levels)]
        steps += [Load(levels - 1, divider) for divider in dividers]
        self._steps: Final = tuple(steps)
        self._at = 0
        self._changed = -math.inf
        self._kept_up_since: float | None = None
        self._wait = STEP_UP_S
        self._went_up = -math.inf

    @property
    def load(self) -> Load:
        """The load in force."""
        return self._steps[self._at]

    def update(self, now: float, behind_s: float, busy: float) -> Load | None:
        """The load to change to, if it has to be another.

        Args:
            now: monotonic seconds.
            behind_s: how long the newest work done had waited.
            busy: share of the last second or so that was spent working, 0 … 1.
        """
        if behind_s >= CAUGHT_UP_S or busy >= ROOM:
            self._kept_up_since = None
        elif self._kept_up_since is None:
            self._kept_up_since = now
        if behind_s > BEHIND_S:
            return self._down(now)
        kept_up = self._kept_up_since
        if self._at and kept_up is not None and now - max(kept_up, self._changed) >= self._wait:
            self._at -= 1
            self._changed = self._went_up = now
            return self.load
        return None

    def _down(self, now: float) -> Load | None:
        if self._at + 1 == len(self._steps) or now - self._changed < STEP_DOWN_S:
            return None
        if now - self._went_up < self._wait:
            self._wait = min(2 * self._wait, LONGEST_WAIT_S)
        self._at += 1
        self._changed, self._kept_up_since = now, None
        return self.load
