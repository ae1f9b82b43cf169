"""A source into which the caller pushes sound."""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Samples, from_bytes, to_int16
from avatarkit_rtc.errors import ConfigurationError


class PushSource:
    """A source into which the caller pushes samples, on the event loop.

    Iterating over it (which :func:`open_source` does) gives what was pushed.
    """

    def __init__(self, sample_rate: int, channels: int = 1, *, max_seconds: float = 1.0) -> None:
        """Take samples of ``sample_rate`` and ``channels``, at most ``max_seconds`` of them waiting.

        Raises:
            ConfigurationError: a value is not positive.
        """
        if sample_rate < 1 or channels < 1 or max_seconds * sample_rate < 1:
            raise ConfigurationError("sample_rate, channels and max_seconds must be positive")
        self.sample_rate = sample_rate
        self.channels = channels
        self._capacity = int(max_seconds * sample_rate)
        self._chunks: collections.deque[Samples] = collections.deque()
        self._waiting = 0
        self._ended = False
        self._rest = b""
        self._cleared = 0  # so that what was pushed before and waits is known
        self._order = asyncio.Lock()  # several pushers do not mix their samples
        self._room = asyncio.Event()
        self._filled = asyncio.Event()

    @property
    def queued_seconds(self) -> float:
        """Sound that waits to be read, in seconds."""
        return self._waiting / self.sample_rate

    @property
    def ended(self) -> bool:
        """``end()`` was called."""
        return self._ended

    async def push(self, samples: npt.NDArray[Any] | bytes | bytearray | memoryview) -> None:
        """Add ``samples``; waits while too much is queued. What still waits when ``clear()`` is called is
        dropped.

        Args:
            samples: shape (n,) or (n, channels), int16 or float in -1 … 1; or interleaved little-endian
                16-bit PCM, cut anywhere.

        Raises:
            ConfigurationError: shape, type or channel count is wrong, or the source has ended.
        """
        cleared = self._cleared
        async with self._order:
            if cleared != self._cleared:
                return
            array = self._take(samples)
            while len(array) and cleared == self._cleared:
                room = self._capacity - self._waiting
                if room > 0:
                    self._append(array[:room])
                    array = array[room:]
                    continue
                self._room.clear()
                await self._room.wait()
                if cleared == self._cleared:
                    self._check_open()

    def push_nowait(self, samples: npt.NDArray[Any] | bytes | bytearray | memoryview) -> bool:
        """Add ``samples`` if there is room for all of them; False (and nothing taken) if not.

        Raises:
            ConfigurationError: shape, type or channel count is wrong, the source has ended, or there could
                never be room for so much.
        """
        rest = self._rest
        array = self._take(samples)
        if len(array) > self._capacity:
            self._rest = rest
            raise ConfigurationError(
                f"{len(array)} samples never fit into a source that holds {self._capacity}; "
                "push less at once, or make it with a larger max_seconds"
            )
        if self._order.locked() or self._waiting + len(array) > self._capacity:
            self._rest = rest
            return False
        self._append(array)
        return True

    def end(self) -> None:
        """No more samples come; readers finish with what is queued. More than once is fine."""
        self._ended = True
        self._room.set()
        self._filled.set()

    def clear(self) -> None:
        """Drop what is queued, what waits in ``push()``, and half a sample that bytes ended with."""
        self._cleared += 1
        self._chunks.clear()
        self._rest = b""
        self._waiting = 0
        self._room.set()

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        while not self._chunks:
            if self._ended:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        chunk = self._chunks.popleft()
        self._waiting -= len(chunk)
        self._room.set()
        return AudioBlock(chunk, self.sample_rate, time.monotonic())

    def _check_open(self) -> None:
        if self._ended:
            raise ConfigurationError("the source has ended; make a new one to push more")

    def _take(self, samples: npt.NDArray[Any] | bytes | bytearray | memoryview) -> Samples:
        self._check_open()
        if isinstance(samples, np.ndarray):
            array = to_int16(samples)
        else:
            data = self._rest + bytes(samples)
            whole = len(data) - len(data) % (2 * self.channels)
            self._rest = data[whole:]
            array = from_bytes(data[:whole], self.channels)
        if array.shape[1] != self.channels:
            raise ConfigurationError(f"the source has {self.channels} channel(s), not {array.shape[1]}")
        return array

    def _append(self, array: Samples) -> None:
        if len(array):
            self._chunks.append(array.copy())  # the caller may use its array again
            self._waiting += len(array)
            self._filled.set()
