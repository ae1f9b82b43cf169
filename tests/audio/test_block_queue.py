from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.block_queue import BlockQueue


def block(number: int) -> AudioBlock:
    return AudioBlock(np.full((480, 1), number, np.int16), 48000, 0.0)


def queue(capacity: int, blocks: int) -> BlockQueue[AudioBlock]:
    filled: BlockQueue[AudioBlock] = BlockQueue(capacity)
    for number in range(blocks):
        assert filled.put(block(number)) is (number >= capacity)
    return filled


async def rest(of: BlockQueue[AudioBlock]) -> list[int]:
    found = []
    while True:
        try:
            found.append(int((await of.get()).samples[0, 0]))
        except StopAsyncIteration:
            return found


@pytest.mark.parametrize(
    ("blocks", "kept", "dropped"), [(2, [0, 1], 0), (3, [0, 1, 2], 0), (5, [2, 3, 4], 2)]
)
async def test_the_newest_are_kept_and_the_others_counted(blocks: int, kept: list[int], dropped: int) -> None:
    filled = queue(3, blocks)
    filled.end()
    assert await rest(filled) == kept
    assert filled.dropped == dropped


async def test_a_reader_waits_for_a_block_and_for_the_end() -> None:
    empty = queue(3, 0)
    reading = asyncio.ensure_future(rest(empty))
    await asyncio.sleep(0)
    empty.put(block(7))
    await asyncio.sleep(0)
    assert not reading.done()
    empty.end()
    empty.end()
    assert await asyncio.wait_for(reading, 5) == [7]


async def test_cleared_it_is_empty_and_goes_on() -> None:
    filled = queue(3, 3)
    filled.clear()
    filled.put(block(9))
    filled.end()
    assert await rest(filled) == [9]
    assert filled.dropped == 0
