from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatarkit_rtc.providers.bounded_feed import BoundedAudioFeed


async def test_a_reader_that_is_too_slow_loses_the_oldest_and_knows_how_many() -> None:
    feed = BoundedAudioFeed(capacity=5)
    for value in range(8):
        feed.feed(np.full((480, 1), value, np.int16), 48000, 0.0)
    feed.end()
    feed.feed(np.zeros((480, 1), np.int16), 48000, 0.0)
    assert [int(received.samples[0, 0]) async for received in feed] == [3, 4, 5, 6, 7]
    assert feed.dropped == 3


async def test_a_reader_waits_for_sound_and_closing_ends_it() -> None:
    feed = BoundedAudioFeed()
    reading = asyncio.ensure_future(anext(aiter(feed)))
    await asyncio.sleep(0)
    feed.feed(np.ones((160, 2), np.int16), 16000, 1.5)
    received = await reading
    assert (received.samples.shape, received.sample_rate, received.t) == ((160, 2), 16000, 1.5)
    await feed.aclose()
    await feed.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(feed))


async def test_a_change_of_rate_does_not_mix_blocks() -> None:
    feed = BoundedAudioFeed()
    feed.feed(np.ones((100, 1), np.int16), 16000, 0.0)
    feed.feed(np.ones((240, 1), np.int16), 24000, 0.0)
    received = await anext(aiter(feed))
    assert (received.sample_rate, len(received.samples)) == (24000, 240)
