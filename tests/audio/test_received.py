"""Readers of the avatar's sound: each gets all, none holds up the others, and nobody has to say goodbye."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest

from avatarkit_rtc.audio.received import AudioReaders, ReceivedAudio, ReceivedAudioStream
from avatarkit_rtc.errors import ConfigurationError


def block(number: int) -> ReceivedAudio:
    samples = np.full((480, 1), number, np.int16)
    return ReceivedAudio(samples, 48000, 100.0 + number / 100, presentation_time=number / 100)


def numbers(blocks: list[ReceivedAudio]) -> list[int]:
    return [int(each.samples[0, 0]) for each in blocks]


async def read(stream: ReceivedAudioStream) -> list[ReceivedAudio]:
    return [each async for each in stream]


async def test_each_reader_gets_everything_from_its_making_on() -> None:
    readers = AudioReaders()
    readers.offer(block(0))
    first = readers.add(10)
    readers.offer(block(1))
    second = readers.add(10)
    readers.offer(block(2))
    readers.end()
    assert numbers(await read(first)) == [1, 2]
    assert numbers(await read(second)) == [2]
    assert len(readers) == 0


async def test_a_reader_that_waits_is_woken_by_sound_and_by_the_end() -> None:
    readers = AudioReaders()
    reading = asyncio.create_task(read(readers.add(10)))
    for number in range(3):
        await asyncio.sleep(0.005)
        readers.offer(block(number))
    await asyncio.sleep(0.005)
    readers.end()
    async with asyncio.timeout(5):
        assert numbers(await reading) == [0, 1, 2]


async def test_a_slow_reader_misses_the_oldest_and_the_others_miss_nothing() -> None:
    readers = AudioReaders()
    slow, quick = readers.add(3), readers.add(100)
    for number in range(10):
        readers.offer(block(number))
    readers.end()
    assert numbers(await read(slow)) == [7, 8, 9]
    assert numbers(await read(quick)) == list(range(10))
    assert (slow.dropped, quick.dropped, readers.dropped) == (7, 0, 7)


async def test_leaving_the_loop_is_enough() -> None:
    readers = AudioReaders()

    async def look_once() -> None:
        async for _ in readers.add(10):
            break

    looking = asyncio.create_task(look_once())
    await asyncio.sleep(0)
    readers.offer(block(0))
    await looking
    del looking
    gc.collect()
    assert len(readers) == 0


async def test_a_cancelled_reader_is_gone() -> None:
    readers = AudioReaders()
    reading = asyncio.create_task(read(readers.add(10)))
    await asyncio.sleep(0)
    assert len(readers) == 1
    reading.cancel()
    await asyncio.wait([reading])
    del reading
    gc.collect()
    assert len(readers) == 0


async def test_closed_it_gives_no_more() -> None:
    readers = AudioReaders()
    async with readers.add(10) as stream:
        readers.offer(block(0))
        readers.offer(block(1))
        assert numbers([await anext(stream)]) == [0]
    assert stream.ended
    readers.offer(block(2))
    assert await read(stream) == []
    await stream.aclose()
    assert len(readers) == 0


async def test_waiting_for_a_reader_ends_with_the_first_that_stays() -> None:
    readers = AudioReaders()
    waiting = asyncio.create_task(readers.wait())
    await asyncio.sleep(0)
    await readers.add(1).aclose()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    stream = readers.add(1)
    await asyncio.wait_for(waiting, 5)
    assert not stream.ended


async def test_it_holds_at_least_one_block() -> None:
    with pytest.raises(ConfigurationError, match="max_blocks"):
        AudioReaders().add(0)


def test_a_block_is_a_plain_audio_block_too() -> None:
    received = block(7)
    assert received.duration == 0.01
    assert (received.round, received.media_time) == (None, None)
    with pytest.raises(AttributeError):
        received.t = 0.0  # type: ignore[misc]
