"""What is read where there is no microphone: silence in real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.devices import AudioDevice


class NullMicrophone:
    """Silence in real time: what stands in for a :class:`Microphone` where there is none."""

    device: str | None = None
    opened: AudioDevice | None = None
    active = False
    stalled_s = 0.0

    def __init__(self) -> None:
        self._due: float | None = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        """The next 10 ms of silence, mono at 48 kHz."""
        now = time.monotonic()
        if self._due is None or now - self._due > 0.5:
            self._due = now  # after a pause there is no silence to catch up on
        await asyncio.sleep(max(0.0, self._due - now))
        if self._closed:
            raise StopAsyncIteration
        self._due += 0.01
        return AudioBlock(np.zeros((480, 1), np.int16), 48000, self._due - 0.01)

    recorded = dropped = overflows = 0

    def discard(self) -> None:
        """Nothing is held."""

    def fail(self, reason: str) -> None:
        """It cannot."""

    async def aclose(self) -> None:
        """End the iteration."""
        self._closed = True
