"""Pictures that wait for their sound to be heard. Pure: moments are arguments, in monotonic seconds."""

from __future__ import annotations

from collections import deque
from typing import Final

from avatarkit_rtc.video.picture import Picture

MAX_PICTURES: Final = 24
"""Pictures that wait at most: 0.8 s at 30 a second, 33 MB at 1280 x 720. A loudspeaker's sound is heard
0.1-0.3 s after it was received."""


class HeldPictures:
    """A queue by due time. Of several that are due the newest is shown."""

    def __init__(self, max_pictures: int = MAX_PICTURES) -> None:
        self._max = max_pictures
        self._waiting: deque[Picture] = deque()
        self.skipped = 0
        """Pictures that were never shown because a newer one was due too."""
        self.hurried = 0
        """Pictures that were due early because too many were waiting. Dropping them would leave nothing to be
        shown for as long as pictures have to wait longer than the queue is."""

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, picture: Picture) -> None:
        """Hold ``picture`` until its ``t``, or until the one before it is shown."""
        self._waiting.append(picture)

    def next_deadline(self) -> float | None:
        """When to call :meth:`due`; None while nothing waits."""
        if not self._waiting:
            return None
        return self._waiting[0].t if len(self._waiting) <= self._max else float("-inf")

    def due(self, now: float) -> Picture | None:
        """The picture to show now; None if that is not to change."""
        newest: Picture | None = None
        while self._waiting and (self._waiting[0].t <= now or len(self._waiting) > self._max):
            if newest is not None:
                self.skipped += 1
            newest = self._waiting.popleft()
            if newest.t > now:
                self.hurried += 1
        return newest

    def clear(self) -> int:
        """Drop what waits; returns how many."""
        count = len(self._waiting)
        self._waiting.clear()
        return count
