"""What ``player.publish_audio`` accepts, as a stream of 10 ms blocks of one rate and channel count.

The caller's object stays the caller's: nothing here closes, ends or cancels it, and after a reader is closed
another reader goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Converter, Samples, from_bytes, to_int16
from avatarkit_rtc.audio.files import Pieces, open_file
from avatarkit_rtc.audio.live_microphone import LiveMicrophone
from avatarkit_rtc.audio.microphone import Microphone
from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.errors import ConfigurationError

UPLINK_SAMPLE_RATE: Final = 48000
"""Samples per second of what is published: Opus works at this rate."""
UPLINK_CHANNELS: Final = 1
"""Channels of what is published: voice."""

_PIECE_S: Final = 0.5
"""Length of one piece of an array, in seconds."""
_NEEDS_RATE: Final = "arrays and bytes do not say their sample rate; give sample_rate="

AudioSource: TypeAlias = Any
"""A path to a sound file, a numpy array, bytes, an async iterator of blocks, arrays or bytes, a
:class:`PushSource` or a :class:`~avatarkit_rtc.audio.microphone.Microphone`."""


def is_native_track(source: object) -> bool:
    """Whether ``source`` is a ready ``livekit.rtc.LocalAudioTrack``, which needs no reader."""
    rtc = sys.modules.get("livekit.rtc")  # without that import there can be no such track
    return rtc is not None and isinstance(source, rtc.LocalAudioTrack)


class _Chunks(Protocol):
    """Samples of any rate and channel count, in pieces of any size."""

    paced: bool
    arrived: float | None
    """When the newest piece came from its device, where that is a microphone."""

    async def next(self) -> tuple[Samples, int] | None: ...

    async def aclose(self) -> None: ...


class SourceReader:
    """Async iterator of 10 ms blocks; the last one is filled up with silence. The ``t`` of a
    microphone's is when they came from the device, that of all others when they were read. A cancelled
    ``__anext__`` loses nothing: the next one goes on."""

    def __init__(
        self,
        chunks: _Chunks,
        sample_rate: int,
        channels: int,
        live: Microphone | LiveMicrophone | None = None,
    ) -> None:
        """Use :func:`open_source`."""
        self.sample_rate = sample_rate
        self.channels = channels
        self.paced = chunks.paced
        """The source gives its sound as fast as it is asked (a file, an array): the reader must keep time."""
        self._chunks = chunks
        self._live = live
        self._converter = Converter(sample_rate, channels)
        self._block = sample_rate // 100
        self._held: Samples = np.empty((0, channels), np.int16)
        self._ended = False
        self._converting_s = 0.0  # held back by the converter

    @property
    def live(self) -> bool:
        """The source is a microphone, whose device is the clock."""
        return self._live is not None

    def resync(self) -> bool:
        """After a pause: of a microphone drop what was said meanwhile; everything else goes on where it was.

        Returns:
            Whether it is a microphone, so that what the caller holds back is out of date as well.
        """
        if self._live is None:
            return False
        self._live.discard()
        self._held = self._held[:0]
        return True

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        """The next 10 ms.

        Raises:
            ConfigurationError: the source gave something that is no sound.
            Exception: whatever the caller's own iterator raises.
        """
        while len(self._held) < self._block and not self._ended:
            item = await self._chunks.next()
            if item is None:
                self._ended = True
                more = self._converter.flush()
            else:
                more = self._converter.convert(*item)
                self._converting_s += len(item[0]) / item[1] - len(more) / self.sample_rate
            if len(more):
                self._held = np.concatenate([self._held, more]) if len(self._held) else more
        if not len(self._held):
            raise StopAsyncIteration
        block = self._held[: self._block]
        self._held = self._held[self._block :]
        if len(block) < self._block:
            block = np.concatenate([block, np.zeros((self._block - len(block), self.channels), np.int16)])
        return AudioBlock(block, self.sample_rate, self._time())

    def _time(self) -> float:
        """Of the block that was just taken: now, or when the device brought it."""
        arrived = self._chunks.arrived
        if arrived is None:
            return time.monotonic()
        return arrived - self._converting_s - len(self._held) / self.sample_rate

    async def aclose(self) -> None:
        """Stop reading and close files that were opened for it; the caller's source stays as it is."""
        self._ended = True
        self._held = self._held[:0]
        await self._chunks.aclose()


def open_source(
    source: AudioSource,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    output_rate: int = UPLINK_SAMPLE_RATE,
    output_channels: int = UPLINK_CHANNELS,
) -> SourceReader:
    """A reader of ``source``. Opens files, so call it from a worker thread when ``source`` may be one.

    Args:
        source: a path (WAV; other formats with the ``record`` extra); a numpy array, shape (n,) or (n,
            channels), int16 or float in -1 … 1; bytes (interleaved little-endian 16-bit PCM); a
            :class:`PushSource`; a started microphone; or an async iterator of :class:`AudioBlock`, LiveKit
            audio frames, arrays or bytes.
        sample_rate: samples per second of arrays and bytes, which do not say it themselves.
        channels: channels of bytes (1 if not given); arrays have theirs as their second dimension.
        output_rate: samples per second of the blocks, a multiple of 100.
        output_channels: channels of the blocks.

    Raises:
        ConfigurationError: ``source`` is none of these, the file is missing or is no sound, or the sample
            rate is needed and was not given.
        MissingDependencyError: the file's format needs the ``record`` extra.
    """
    if output_rate < 100 or output_rate % 100 or output_channels < 1:
        raise ConfigurationError("output_rate must be a multiple of 100 and output_channels at least 1")
    if (sample_rate is not None and sample_rate < 1) or (channels is not None and channels < 1):
        raise ConfigurationError("sample_rate and channels must be positive")
    chunks: _Chunks
    live: Microphone | LiveMicrophone | None = None
    if isinstance(source, str | os.PathLike):
        chunks = _BlockingChunks(open_file(source))
    elif isinstance(source, np.ndarray | bytes | bytearray | memoryview):
        if sample_rate is None:
            raise ConfigurationError(_NEEDS_RATE)
        samples = source if isinstance(source, np.ndarray) else from_bytes(source, channels or 1)
        to_int16(samples[:0])  # what it cannot be is said now, not while it plays
        chunks = _BlockingChunks(_slices(samples, sample_rate))
    elif hasattr(source, "__aiter__"):
        if isinstance(source, Microphone | LiveMicrophone):
            live = source
        chunks = _AsyncChunks(source, sample_rate, channels)
    else:
        raise ConfigurationError(
            f"{type(source).__name__} is no sound source; give a path, a numpy array with sample_rate, "
            "an async iterator or a PushSource"
        )
    return SourceReader(chunks, output_rate, output_channels, live)


def _to_samples(item: Any, sample_rate: int | None, channels: int | None) -> tuple[Samples, int]:
    """One thing that carries sound as int16 samples, shape (n, channels), and their rate."""
    if isinstance(item, AudioBlock):
        return item.samples, item.sample_rate
    if isinstance(item, np.ndarray | bytes | bytearray | memoryview):
        if sample_rate is None:
            raise ConfigurationError(_NEEDS_RATE)
        if isinstance(item, np.ndarray):
            return to_int16(item), sample_rate
        return from_bytes(item, channels or 1), sample_rate
    if hasattr(item, "data") and hasattr(item, "num_channels") and hasattr(item, "sample_rate"):
        return from_bytes(memoryview(item.data).cast("B"), item.num_channels), item.sample_rate
    raise ConfigurationError(
        f"the source gave {type(item).__name__}, which is no sound; give AudioBlocks, numpy arrays or bytes"
    )


_DONE: Final = object()


class _BlockingChunks:
    """A generator whose next piece may take a while (a disk, a decoder): run in a worker thread."""

    paced = True
    arrived: float | None = None

    def __init__(self, pieces: Pieces) -> None:
        self._pieces: Pieces | None = pieces
        self._task: asyncio.Future[Any] | None = None

    async def next(self) -> tuple[Samples, int] | None:
        if self._pieces is None:
            return None
        # Kept across a cancelled call, as the thread goes on and its piece would be lost.
        self._task = self._task or asyncio.ensure_future(asyncio.to_thread(next, self._pieces, _DONE))
        await asyncio.wait({self._task})
        task, self._task = self._task, None
        item = task.result()
        return None if item is _DONE else item

    async def aclose(self) -> None:
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            # One that runs in its thread at this moment refuses; it closes its file when its last reference
            # goes.
            with contextlib.suppress(ValueError):
                pieces.close()


def _slices(samples: npt.NDArray[Any], sample_rate: int) -> Pieces:
    size = max(1, round(sample_rate * _PIECE_S))
    for start in range(0, len(samples), size):
        yield to_int16(samples[start : start + size]), sample_rate


_undelivered: weakref.WeakKeyDictionary[Any, asyncio.Future[Any]] = weakref.WeakKeyDictionary()
"""What was asked of an async iterator and not delivered before its reader went: the next reader's first
piece."""


class _AsyncChunks:
    """The caller's async iterator. Its ``__anext__`` runs in a task of its own: cancelling the reader in the
    middle of it would throw into the caller's generator and so end it."""

    paced = False

    def __init__(self, source: Any, sample_rate: int | None, channels: int | None) -> None:
        self._source = source
        self._iterator = source.__aiter__()
        self._sample_rate = sample_rate
        self._channels = channels
        self._rest = b""
        self._live = isinstance(source, Microphone | LiveMicrophone)
        self.arrived: float | None = None
        self._task: asyncio.Future[Any] | None = None
        with contextlib.suppress(TypeError):  # cannot be hashed or weakly referenced, so was never kept
            self._task = _undelivered.pop(self._iterator, None)

    async def next(self) -> tuple[Samples, int] | None:
        if self._task is None or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.ensure_future(_anext(self._iterator))
        await asyncio.wait({self._task})
        task, self._task = self._task, None
        item = task.result()
        if item is _DONE:
            return None
        if self._live:
            self.arrived = item.t
        elif isinstance(item, bytes | bytearray | memoryview):
            # A stream of bytes may be cut anywhere, in the middle of a sample as well.
            data = self._rest + bytes(item)
            whole = len(data) - len(data) % (2 * (self._channels or 1))
            item, self._rest = data[:whole], data[whole:]
        return _to_samples(item, self._sample_rate, self._channels)

    async def aclose(self) -> None:
        """Let go of the iterator, which stays the caller's."""
        task, self._task = self._task, None
        if task is None:
            return
        if isinstance(self._source, Microphone | LiveMicrophone):
            task.cancel()  # what it brings would be old news, and its __anext__ can be cancelled
        elif isinstance(self._source, PushSource) and not task.done():
            task.cancel()  # loses nothing, and leaves no task that waits for ever
        else:
            with contextlib.suppress(TypeError):
                _undelivered[self._iterator] = task


async def _anext(iterator: Any) -> Any:
    # A task cannot end with StopAsyncIteration in a way that its reader could tell from a failure.
    try:
        return await iterator.__anext__()
    except StopAsyncIteration:
        return _DONE
