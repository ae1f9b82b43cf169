"""The sound of an avatar in the same process, as a feed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.block_queue import BlockQueue

_FEED_BLOCKS: Final = 100
_BLOCKS_PER_SECOND: Final = 100


class BoundedAudioFeed:
    """Sound from one writer to one reader, in blocks of 10 ms; the oldest are dropped when nobody reads."""

    def __init__(self, capacity: int = _FEED_BLOCKS) -> None:
        """``capacity``: blocks to keep for a slow reader."""
        self._queue: BlockQueue[AudioBlock] = BlockQueue(capacity)
        self._rest: AudioBlock | None = None

    @property
    def dropped(self) -> int:
        """Blocks dropped because the reader was too slow."""
        return self._queue.dropped

    async def path_delay_s(self) -> float:
        """Nothing lies between sending and handing out."""
        return 0.0

    @property
    def ended(self) -> bool:
        """No more sound will come."""
        return self._queue.ended

    def feed(self, samples: npt.NDArray[np.int16], sample_rate: int, t: float) -> None:
        """Append sound, shape (n, channels); what does not fill 10 ms waits for the next call."""
        if self._queue.ended:
            return
        rest, self._rest = self._rest, None
        if rest is not None and rest.sample_rate == sample_rate and rest.samples.shape[1] == samples.shape[1]:
            samples = np.concatenate([rest.samples, samples])
        size = sample_rate // _BLOCKS_PER_SECOND
        for start in range(0, len(samples) - size + 1, size):
            self._queue.put(AudioBlock(samples[start : start + size].copy(), sample_rate, t))
        if left := len(samples) % size:
            self._rest = AudioBlock(samples[-left:].copy(), sample_rate, t)

    def silence(self) -> None:
        """Make silence of what was not read yet."""
        blocks = self._queue.blocks
        for number, block in enumerate(blocks):
            blocks[number] = AudioBlock(np.zeros_like(block.samples), block.sample_rate, block.t)
        if self._rest is not None:
            self._rest.samples.fill(0)

    def end(self) -> None:
        """No more sound will come; the reader gets what is there and then stops."""
        self._queue.end()

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        return await self._queue.get()

    async def aclose(self) -> None:
        """Stop; more than once is fine."""
        self._queue.clear()
        self.end()
