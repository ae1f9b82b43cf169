"""One turn of speech: the sound that has come, and the motion made of it so far."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.testing.spatialreal_service.performance import Performance, Sound, frame_samples

MAX_TURN_S: Final = 600.0
"""Sound beyond that is dropped and counted."""


class Turn:
    """What the client says under one request id."""

    def __init__(self, req_id: str, performance: Performance, sample_rate: int, heard_at: float) -> None:
        self.req_id = req_id
        self.sample_rate = sample_rate
        self.heard_at = heard_at
        """When its first sound came, in seconds of the event loop's clock."""
        self.frames: list[MotionFrame] = []
        """The motion made so far."""
        self.ended = False
        """The client has said that there is no more sound."""
        self.paused = False
        """Its playback is held."""
        self.interrupted: str | None = None
        """Why it was cut off: ``explicit``, ``preempted``, ``pause_timeout``; None if it was not."""
        self.over = False
        """Played to its end, or cut off."""
        self.played = 0
        """Frames that were sent."""
        self.dropped_s = 0.0
        """Seconds of sound beyond :data:`MAX_TURN_S`."""
        self._performance = performance
        self._sound = bytearray()
        self._size = frame_samples(sample_rate)

    @property
    def sound(self) -> Sound:
        """All its sound so far, shape (n,); a copy."""
        return np.frombuffer(bytes(self._sound[: len(self._sound) // 2 * 2]), "<i2").astype(np.int16)

    @property
    def played_ms(self) -> int:
        """Milliseconds of motion that were sent."""
        return round(1000 * self.played * FRAME_INTERVAL_S)

    def hear(self, audio: bytes) -> None:
        """Take further sound, signed 16-bit little-endian mono; a sample may be cut in two."""
        room = int(MAX_TURN_S * self.sample_rate) * 2 - len(self._sound)
        if len(audio) > room:
            self.dropped_s += (len(audio) - room) / 2 / self.sample_rate
            audio = audio[:room]
        known = len(self._sound) // 2
        self._sound += audio
        if not self.over:
            samples = self._samples(known, len(self._sound) // 2)
            self.frames += self._performance.hear(samples)

    def end(self) -> None:
        """There is no more sound."""
        if not self.ended:
            self.ended = True
            self.frames += self._performance.finish()

    def sound_of(self, index: int) -> Sound:
        """The sound of frame ``index``, filled with silence to 40 ms."""
        samples = self._samples(index * self._size, (index + 1) * self._size)
        return np.concatenate([samples, np.zeros(self._size - len(samples), np.int16)])

    def sound_after(self, index: int) -> Sound:
        """The sound from the beginning of frame ``index`` to the end."""
        return self._samples(index * self._size, len(self._sound) // 2)

    def _samples(self, start: int, stop: int) -> Sound:
        data = bytes(self._sound[2 * start : 2 * stop])
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)
