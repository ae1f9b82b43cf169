"""The avatar's sound on its way to the mouth: blocks from any thread, shapes for any moment."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face.mouth_estimator import MouthEstimator
from avatarkit_rtc.face.mouth_track import MouthTrack
from avatarkit_rtc.motion.frame import FloatArray
from avatarkit_rtc.playout.pose import Pose, PoseKind

QUEUE: Final = 1000
"""Blocks that wait for the next pose: 10 s."""

_TOUCHING_S: Final = 0.002
_LOWEST_RATE: Final = 8000


class MouthHearing:
    """Tells the mouth's shapes from the sound that was heard of."""

    def __init__(self) -> None:
        self._queue: deque[AudioBlock | None] = deque(maxlen=QUEUE)  # None: what came before is not heard
        self._estimator = MouthEstimator()
        self._track = MouthTrack()
        self._by_presentation = False
        self._moved: Pose | None = None
        self._asked = float("-inf")
        self.dropped = 0
        """Blocks that were dropped because no pose was asked for in 10 s, or because nothing can be made of
        them."""

    def hear(self, block: AudioBlock) -> None:
        """Take a block; only queues it. Any thread."""
        self.dropped += len(self._queue) == QUEUE
        self._queue.append(block)

    def hush(self) -> None:
        """What came so far and is later than the last pose is not heard: it was cut off. Any thread."""
        self._queue.append(None)

    def shape(self, pose: Pose) -> FloatArray | None:
        """Weights of the mouth's shapes that belong to ``pose``, shape (8,); None where no sound is known.

        The two are brought together by their presentation times (see
        :mod:`avatarkit_rtc.playout.presentation`); where they have none, by ``t``: then the sound counts as
        heard when it came.
        """
        run: list[AudioBlock] = []
        while self._queue:
            block = self._queue.popleft()
            if block is None:
                if run:
                    self._listen(run)
                    run = []
                self._estimator.forget()
                self._track.silence_after(self._asked)
                continue
            if run and not _follows(run[-1], block):
                self._listen(run)
                run = []
            run.append(block)
        if run:
            self._listen(run)
        t = self._presentation_time_of(pose) if self._by_presentation else pose.t
        if t is not None:
            self._asked = t
        return self._track.at(t) if t is not None else None

    def _presentation_time_of(self, pose: Pose) -> float | None:
        """When ``pose`` is presented. While frames are missing poses are held, and their time stands still;
        the sound goes on, and the mouth with it."""
        if pose.kind is not PoseKind.HELD or self._moved is None or self._moved.presentation_time is None:
            self._moved = pose
            return pose.presentation_time
        return self._moved.presentation_time + pose.t - self._moved.t

    def _listen(self, run: list[AudioBlock]) -> None:
        first = run[0]
        usable = first.sample_rate >= _LOWEST_RATE and all(block.samples.ndim == 2 for block in run)
        if not usable:
            self.dropped += len(run)
            return
        samples = np.concatenate([block.samples[:, 0] for block in run])
        self._by_presentation = _presentation_time(first) is not None
        self._track.add(self._estimator.hear(samples, first.sample_rate, _time(first)))


def _presentation_time(block: AudioBlock) -> float | None:
    return getattr(block, "presentation_time", None)


def _time(block: AudioBlock) -> float:
    presented = _presentation_time(block)
    return block.t if presented is None else presented


def _follows(before: AudioBlock, block: AudioBlock) -> bool:
    """Whether the two can be listened to as one."""
    late = _time(block) - _time(before) - before.duration
    return block.sample_rate == before.sample_rate and abs(late) < _TOUCHING_S
