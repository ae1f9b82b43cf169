"""Motion for sound that is still coming: what a service's inference does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.testing.performer import Utterance

Sound: TypeAlias = "npt.NDArray[np.int16]"

_JAW_OPEN_RAD: Final = 0.30
_JAW_LIMIT_RAD: Final = 0.35
_LOUD_AT_FIRST: Final = 0.05
"""Loudness (rms, 1 is full scale) that opens the mouth wide until something louder was heard."""
_EXPRESSIONS: Final = 10


class Performance(Protocol):
    """The motion of one turn, made while its sound comes."""

    def hear(self, samples: Sound) -> list[MotionFrame]:
        """Take further mono sound, shape (n,). Returns the frames that can be made now."""

    def finish(self) -> list[MotionFrame]:
        """There is no more sound. Returns the frames that are left."""


Performer: TypeAlias = Callable[[int], Performance]
"""``f(sample_rate)``: one for each turn."""


def frame_samples(sample_rate: int) -> int:
    """Samples of sound in a frame of 40 ms."""
    return round(FRAME_INTERVAL_S * sample_rate)


class SoundPerformance:
    """A face that speaks what it hears: jaw and expression follow the loudness, the head sways, the eyes
    blink. The same for the same sound, however it is cut into pieces."""

    def __init__(self, sample_rate: int) -> None:
        self._size = frame_samples(sample_rate)
        self._left: Sound = np.zeros(0, np.int16)
        self._loud = _LOUD_AT_FIRST
        self._openings: list[float] = [0.0]
        self._made = 0

    def hear(self, samples: Sound) -> list[MotionFrame]:
        """Take further mono sound, shape (n,). A frame is made when 40 ms beyond it are known."""
        sound = np.concatenate([self._left, samples])
        count = len(sound) // self._size
        self._left = sound[count * self._size :]
        for piece in sound[: count * self._size].reshape(count, self._size):
            loudness = float(np.sqrt(np.mean(np.square(piece / 32768.0))))
            self._loud = max(self._loud, loudness)
            self._openings.append((loudness / self._loud) ** 0.7)
        return self._make(len(self._openings) - 2)

    def finish(self) -> list[MotionFrame]:
        """There is no more sound. Returns the frames that are left."""
        frames: list[MotionFrame] = []
        if len(self._left):
            frames = self.hear(np.zeros(self._size - len(self._left), np.int16))
        self._openings.append(0.0)
        return frames + self._make(len(self._openings) - 2)

    def _make(self, until: int) -> list[MotionFrame]:
        frames = []
        for index in range(self._made, until):
            # Symmetric, so that the mouth is neither early nor late.
            before, now, after = self._openings[index : index + 3]
            frames.append(_face(index, 0.2 * before + 0.6 * now + 0.2 * after))
        self._made = max(self._made, until)
        return frames


class ClipPerformance:
    """A recorded motion, frame by frame as the sound comes; what is left of it when the sound is over."""

    def __init__(self, frames: Sequence[MotionFrame], sample_rate: int) -> None:
        self._frames, self._size = frames, frame_samples(sample_rate)
        self._heard, self._made = 0, 0

    def hear(self, samples: Sound) -> list[MotionFrame]:
        """Take further sound, shape (n,). Returns the frames whose sound is complete."""
        self._heard += len(samples)
        return self._make(self._heard // self._size)

    def finish(self) -> list[MotionFrame]:
        """There is no more sound. Returns the frames that are left."""
        return self._make(len(self._frames))

    def _make(self, until: int) -> list[MotionFrame]:
        frames = list(self._frames[self._made : until])
        self._made += len(frames)
        return frames


def performer_of(what: Utterance | Performer | None) -> Performer:
    """A performer: of a clip, whose motion each turn has; the given one; else :class:`SoundPerformance`."""
    if what is None:
        return SoundPerformance
    if isinstance(what, Utterance):
        frames = what.frames
        return lambda sample_rate: ClipPerformance(frames, sample_rate)
    return what


def _face(index: int, opening: float) -> MotionFrame:
    t = index * FRAME_INTERVAL_S
    sway = [0.03 * np.sin(1.3 * t), 0.05 * np.sin(0.9 * t + 1.0), 0.02 * np.sin(1.7 * t + 2.0)]
    # Shut for 120 ms every 3 s.
    lids = [1.0, 1.0] if index % 75 in (40, 41, 42) else [0.0, 0.0]
    expression = [0.8 * opening * (-1) ** number / (1 + number) for number in range(_EXPRESSIONS)]
    return MotionFrame.from_fields(
        {
            "rotation": sway,
            "jaw_pose": (min(_JAW_OPEN_RAD * opening, _JAW_LIMIT_RAD), 0.0, 0.0),
            "eye_lid": lids,
            "expression": expression,
        }
    )
