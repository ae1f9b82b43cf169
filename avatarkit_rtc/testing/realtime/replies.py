"""What a stand-in model says and calls, and how loud somebody has to be for it to listen. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.voice import speak

RATE: Final = 24000
"""Samples per second of sound in both directions, mono: the only rate of the protocol's PCM."""

CHUNK_S: Final = 0.1
"""Sound in one delta. Models send pieces of 50 to 400 ms."""

_FRAME: Final = RATE // 100
_LOUD_FRAMES: Final = 3


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model calls."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    """Its arguments; a str is sent as it stands, JSON or not."""
    call_id: str | None = None
    """None for one that is made up."""

    @property
    def text(self) -> str:
        """The arguments as they are sent."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Reply:
    """One response of the model: first it speaks, then it calls."""

    text: str = "Hello, nice to see you."
    """What is said; the transcript of the sound, or the text where the session wants text only."""
    seconds: float = 2.0
    """Length of the sound; 0 for a response without words."""
    seed: int = 1
    """Which voice, see :func:`avatarkit_rtc.testing.voice.speak`."""
    calls: tuple[Call, ...] = ()
    """Tools it calls when it has spoken."""
    speech: bytes | None = field(default=None, repr=False)
    """Sound in place of the voice made by code: 16-bit mono PCM at :data:`RATE`."""
    status: Literal["completed", "failed", "incomplete"] = "completed"
    """How it ends."""

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigurationError: the length is out of range.
        """
        if not 0 <= self.seconds <= 600:
            raise ConfigurationError(f"seconds must be 0 … 600, not {self.seconds}")

    def pcm(self) -> bytes:
        """Its sound."""
        if self.speech is not None:
            return self.speech
        return _spoken(self.seed, self.seconds) if self.seconds else b""


@functools.lru_cache(maxsize=16)
def _spoken(seed: int, seconds: float) -> bytes:
    return speak(seed, seconds, RATE).pcm.astype("<i2").tobytes()


def words(text: str) -> list[str]:
    """``text`` in the pieces in which a model sends it: word by word, put together the same again."""
    return [each + " " for each in text.split(" ")[:-1]] + text.split(" ")[-1:] if text else []


def chunks(pcm: bytes, seconds: float = CHUNK_S) -> Iterator[bytes]:
    """``pcm`` in pieces of ``seconds``, the last one shorter."""
    size = 2 * max(1, round(seconds * RATE))
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]


class Heard(NamedTuple):
    """Somebody began or ended to speak."""

    started: bool
    at_ms: int
    """Where in the sound, in milliseconds since the session's first."""


class EnergyDetector:
    """Tells speech from silence by loudness alone, as a simple server does."""

    def __init__(
        self, *, threshold_dbfs: float = -40.0, silence_ms: float = 500.0, padding_ms: float = 300.0
    ) -> None:
        """
        Args:
            threshold_dbfs: 10 ms louder than this are speech, once three in a row are.
            silence_ms: so much silence ends a turn.
            padding_ms: a turn counts from so long before its first loud moment.
        """
        self._threshold = 32768.0 * 10 ** (threshold_dbfs / 20)
        self._silence_ms = silence_ms
        self._padding_ms = padding_ms
        self._rest: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self._ms = 0
        self._loud = 0
        self._last_loud_ms = 0
        self.speaking = False
        """Somebody speaks."""

    @property
    def heard_ms(self) -> int:
        """All the sound so far, in milliseconds."""
        return self._ms

    def hear(self, samples: npt.NDArray[np.int16]) -> list[Heard]:
        """Take mono sound at :data:`RATE`, shape (n,); returns what changed, in order."""
        sound = np.concatenate([self._rest, samples])
        count = len(sound) // _FRAME
        self._rest = sound[count * _FRAME :]
        frames = sound[: count * _FRAME].reshape(count, _FRAME).astype(np.float64)
        changes: list[Heard] = []
        for rms in np.sqrt(np.square(frames).mean(axis=1)) if count else ():
            self._ms += 10
            self._loud = self._loud + 1 if rms > self._threshold else 0
            if self._loud:
                self._last_loud_ms = self._ms
            if not self.speaking and self._loud >= _LOUD_FRAMES:
                self.speaking = True
                begin = self._ms - 10 * _LOUD_FRAMES - self._padding_ms
                changes.append(Heard(True, max(0, round(begin))))
            elif self.speaking and self._ms - self._last_loud_ms >= self._silence_ms:
                self.speaking = False
                changes.append(Heard(False, self._ms))
        return changes

    def forget(self) -> None:
        """Nobody speaks; the time goes on."""
        self.speaking = False
        self._loud = 0
