"""Blocks of sound on their way from one writer to one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from avatarkit_rtc.audio.block import AudioBlock

BlockT = TypeVar("BlockT", bound=AudioBlock)


class BlockQueue(Generic[BlockT]):
    """Keeps some blocks for a slow reader; beyond that the oldest are dropped, and counted. All on one event
    loop; one task reads."""

    def __init__(self, capacity: int) -> None:
        """``capacity``: blocks to keep, 1 or more."""
        self.blocks: deque[BlockT] = deque()
        """What waits, the oldest first."""
        self.ended = False
        """No more will come; what waits can still be read."""
        self.dropped = 0
        """Blocks dropped because the reader was too slow."""
        self._capacity = capacity
        self._wake = asyncio.Event()

    def put(self, block: BlockT) -> bool:
        """Add ``block``.

        Returns:
            Whether the oldest was dropped for it.
        """
        full = len(self.blocks) >= self._capacity
        if full:
            self.blocks.popleft()
            self.dropped += 1
        self.blocks.append(block)
        self._wake.set()
        return full

    async def get(self) -> BlockT:
        """The next block, waited for; for ``__anext__`` of who owns the queue.

        Raises:
            StopAsyncIteration: none is left, and no more will come.
        """
        while not self.blocks:
            if self.ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self.blocks.popleft()

    def end(self) -> None:
        """No more will come; the reader gets what is there and then stops. More than once is fine."""
        self.ended = True
        self._wake.set()

    def clear(self) -> None:
        """Drop what waits; that is no loss."""
        self.blocks.clear()
