"""The avatar's sound for the caller: blocks with times, as many readers at once as there are."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.block_queue import BlockQueue
from avatarkit_rtc.errors import ConfigurationError

DEFAULT_MAX_BLOCKS: Final = 200
"""Blocks of 10 ms that wait for a slow reader: 2 s."""


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedAudio(AudioBlock):
    """A block of the avatar's sound, usually 10 ms. The samples are shared with others and cannot be written
    to; ``t`` is the moment of receipt, in monotonic seconds."""

    presentation_time: float
    """When its first sample is heard if the sound is played as it is received: seconds on the one time that
    sound blocks and poses of a player share, which begins with its first ``connect()`` and goes on through
    reconnects. It grows by exactly the samples over their rate from block to block, but for gaps where sound
    is missing."""
    round: int | None = None
    """Round of motion (1, 2, …) that its first sample belongs to; None between rounds."""
    media_time: float | None = None
    """Seconds from frame 0 of that round to its first sample, 0 or more; frame N has N x 0.04. None between
    rounds."""


class ReceivedAudioStream:
    """One reader of the avatar's sound: an async iterator over :class:`ReceivedAudio`.

    Gives what is received from its making on. Belongs to the event loop it is read on; one task reads it.
    """

    def __init__(self, max_blocks: int, group: AudioReaders) -> None:
        """Use ``AvatarPlayer.audio()``."""
        self._queue: BlockQueue[ReceivedAudio] = BlockQueue(max_blocks)
        self._group = group

    @property
    def dropped(self) -> int:
        """Blocks, the oldest first, that this reader missed because it was too slow."""
        return self._queue.dropped

    @property
    def ended(self) -> bool:
        """Nothing further will be received; what is queued can still be read."""
        return self._queue.ended

    def __aiter__(self) -> AsyncIterator[ReceivedAudio]:
        return self

    async def __anext__(self) -> ReceivedAudio:
        return await self._queue.get()

    async def aclose(self) -> None:
        """Read no more, and drop what is queued. Never raises; more than once is fine."""
        self._queue.clear()
        self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # -- the player's side -----------------------------------------------------------------------------------

    def offer(self, block: ReceivedAudio) -> None:
        """A block was received."""
        self._group.dropped += self._queue.put(block)

    def end(self) -> None:
        """Nothing further is received."""
        self._queue.end()
        self._group.forget(self)


class AudioReaders:
    """All readers of one player. A reader that nobody holds any longer is gone. On the event loop."""

    def __init__(self) -> None:
        self._streams: weakref.WeakSet[ReceivedAudioStream] = weakref.WeakSet()
        self._wanted = asyncio.Event()
        self.dropped = 0
        """Blocks that readers missed because they were too slow, summed over all there ever were."""

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, max_blocks: int) -> ReceivedAudioStream:
        """A new reader.

        Raises:
            ConfigurationError: ``max_blocks`` is less than 1.
        """
        if max_blocks < 1:
            raise ConfigurationError(f"max_blocks must be 1 or more, not {max_blocks!r}")
        stream = ReceivedAudioStream(max_blocks, self)
        self._streams.add(stream)
        self._wanted.set()
        return stream

    def forget(self, stream: ReceivedAudioStream) -> None:
        """``stream`` takes no more."""
        self._streams.discard(stream)

    async def wait(self) -> None:
        """Wait until there is a reader."""
        while not self._streams:
            self._wanted.clear()
            await self._wanted.wait()

    def offer(self, block: ReceivedAudio) -> None:
        """A block was received."""
        for stream in list(self._streams):
            stream.offer(block)

    def end(self) -> None:
        """Nothing further is received; readers made from now on are others' business."""
        for stream in list(self._streams):
            stream.end()
