"""Holds poses back until the sound that moves their mouths has come. Pure.

Where nothing is played, a pose is due some 50 ms before its sound is received: drawn at once, its mouth would
be late. Where a speaker plays and the face waits for its voice, the sound is there before, and nothing is
held.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from avatarkit_rtc.face.mouth_track import LOOKAHEAD_S

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.playout.pose import Pose

MOST_S: Final = 0.25
"""No pose is held back for longer, by its own time."""

SILENT_S: Final = 1.0
"""Sound that ends so long before a pose is none that will go on."""


class SoundGate:
    """Poses in, poses out, in the same order."""

    def __init__(self) -> None:
        self._waiting: deque[Pose] = deque()
        self._known = float("-inf")

    def pose(self, pose: Pose) -> list[Pose]:
        """A pose came; returns those that may be drawn now."""
        self._waiting.append(pose)
        return self._released(pose.t)

    def sound(self, block: AudioBlock) -> list[Pose]:
        """A block of sound came; returns the poses that may be drawn now."""
        begin = getattr(block, "presentation_time", None)
        if begin is not None:
            self._known = begin + block.duration
        return self._released(block.t)

    def _released(self, now: float) -> list[Pose]:
        released = []
        while self._waiting:
            first = self._waiting[0]
            time = first.presentation_time
            known = time is None or not self._known - LOOKAHEAD_S < time < self._known + SILENT_S
            if not known and now - first.t < MOST_S:
                break
            released.append(self._waiting.popleft())
        return released
