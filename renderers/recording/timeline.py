"""One time for everything in a file: presentation times of poses and sound, from an epoch on.

Pure. A player gives poses and the avatar's sound their times on one scale (see
:mod:`avatarkit_rtc.playout.presentation`); the user's own sound is only known by the moment it was sent.
What no player gave has its moment (``t``) for its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from avatarkit_rtc.playout.delay import SlidingMinimum

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.playout.pose import Pose
    from avatarkit_rtc.video.picture import Picture

PROMPT_WINDOW_S: Final = 3.0
"""The most prompt block of so many seconds tells how presentation time lies against the clock."""


class Timeline:
    """Gives times since the beginning of a recording, in seconds; below 0 is before it."""

    def __init__(self) -> None:
        self._epoch: float | None = None
        self._prompt = SlidingMinimum(PROMPT_WINDOW_S)
        self._pose_offset = 0.0

    @property
    def epoch(self) -> float:
        """Presentation time of the beginning; 0 before there is one."""
        return self._epoch or 0.0

    def pose(self, pose: Pose | Picture) -> float:
        """Time of a pose, or of a video avatar's picture."""
        at = pose.t if pose.presentation_time is None else pose.presentation_time
        self._pose_offset = pose.t - at
        return self._since(at)

    def sound(self, block: AudioBlock) -> float:
        """Time of the first sample of a block of the avatar's sound."""
        at: float | None = getattr(block, "presentation_time", None)
        if at is None:
            at = block.t
        self._prompt.update(block.t, block.t - at)
        return self._since(at)

    def moment(self, t: float) -> float:
        """Time of what happens at ``t``, in monotonic seconds."""
        offset = self._prompt.value
        return self._since(t - (self._pose_offset if offset is None else offset))

    def _since(self, at: float) -> float:
        if self._epoch is None:
            self._epoch = at
        return at - self._epoch
