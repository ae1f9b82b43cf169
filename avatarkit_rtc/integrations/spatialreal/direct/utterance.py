"""One thing that is said: its sound, and the motion that the service has made for it so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S

BLOCK_S: Final = 0.010
"""Length of a block of sound."""
BLOCKS_PER_FRAME: Final = round(FRAME_INTERVAL_S / BLOCK_S)
SLACK_FRAMES: Final = 25
"""A service may round up, and let the mouth come to rest: so many frames beyond the sound it was given are no
surplus."""

MAX_KEYFRAME_BYTES: Final = 4096
"""A full keyframe has 505."""

Block = npt.NDArray[np.int16]


class Keyframe(NamedTuple):
    """One frame of motion."""

    number: int
    """It belongs to the sound at ``number`` x 40 ms."""
    data: bytes
    """A serialised ``Flame``."""


class Utterance:
    """Sound and motion that were not played yet. Pure; bounded by the sound that it is given."""

    def __init__(self, key: int) -> None:
        self.key = key
        """The caller's name for it."""
        self.req_id: str | None = None
        """The service's; None until it is known."""
        self.blocks: deque[Block] = deque()
        """Sound that was not played yet, in blocks of 10 ms."""
        self.sound_ended = False
        """There is no further sound."""
        self.played = 0
        """Blocks that went to the player."""
        self.motion_ended = False
        """There is no further motion."""
        self.began = False
        """Its first sound went to the player."""
        self._frames: deque[Keyframe] = deque()
        self._coming = 0
        self.unclaimed: dict[str, tuple[list[bytes], bool]] = {}
        """Motion for names that may turn out to be this one's: keyframes, and whether they are all."""

    @property
    def blocks_given(self) -> int:
        """Blocks of sound that there were so far."""
        return self.played + len(self.blocks)

    @property
    def asked_frames(self) -> int:
        """Frames that there may be for the sound so far."""
        return -(-self.blocks_given // BLOCKS_PER_FRAME) + SLACK_FRAMES

    @property
    def frames(self) -> int:
        """Frames that are held."""
        return len(self._frames)

    @property
    def frames_unclaimed(self) -> int:
        """Frames that are held for names that may turn out to be its own."""
        return sum(len(frames) for frames, _ in self.unclaimed.values())

    @property
    def next_frame(self) -> Keyframe | None:
        """The first frame that is held."""
        return self._frames[0] if self._frames else None

    def take(self, keyframes: Sequence[bytes], end: bool) -> int:
        """Further motion; what there cannot be for the sound so far is dropped.

        Returns:
            Frames dropped.
        """
        dropped = 0
        for data in keyframes:
            # Numbered all the same: what comes later keeps its place.
            beyond = self.motion_ended or self._coming >= self.asked_frames
            if beyond or len(data) > MAX_KEYFRAME_BYTES:
                dropped += 1
            else:
                self._frames.append(Keyframe(self._coming, data))
            self._coming += 1
        self.motion_ended = self.motion_ended or end
        return dropped

    def keep_unclaimed(self, req_id: str, keyframes: Sequence[bytes], end: bool) -> int:
        """Motion for a name that may be this one's; returns the frames dropped."""
        room = max(0, self.asked_frames - self.frames_unclaimed)
        if req_id not in self.unclaimed and (room == 0 or len(self.unclaimed) >= SLACK_FRAMES):
            return len(keyframes)
        frames, ended = self.unclaimed.setdefault(req_id, ([], False))
        taken = [data for data in keyframes[:room] if len(data) <= MAX_KEYFRAME_BYTES]
        frames.extend(taken)
        self.unclaimed[req_id] = (frames, ended or end)
        return len(keyframes) - len(taken)

    def due(self, number: int) -> Iterable[Keyframe]:
        """Take out the frames up to ``number``, in order."""
        while self._frames and self._frames[0].number <= number:
            yield self._frames.popleft()

    def drop_motion(self) -> int:
        """Drop what is held and what is unclaimed; returns how many frames that were."""
        dropped = len(self._frames) + self.frames_unclaimed
        self._frames.clear()
        self.unclaimed.clear()
        return dropped
