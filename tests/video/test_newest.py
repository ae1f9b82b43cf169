from __future__ import annotations

import asyncio

from avatarkit_rtc.video.newest import NewestPicture
from tests.support.pictures import grey


async def test_a_slow_reader_gets_the_newest_and_the_others_are_counted() -> None:
    newest = NewestPicture()
    pictures = [grey(float(k)) for k in range(5)]
    newest.put(pictures[0])
    assert await anext(newest) is pictures[0]
    for picture in pictures[1:]:
        newest.put(picture)
    assert await anext(newest) is pictures[4]
    assert (newest.arrived, newest.dropped) == (5, 3)


async def test_a_reader_that_waits_gets_the_next_and_ends_with_the_stream() -> None:
    newest = NewestPicture()
    reading = asyncio.create_task(anext(newest))
    await asyncio.sleep(0)
    newest.put(grey(1.0))
    assert (await reading).t == 1.0
    rest = asyncio.create_task(_all(newest))
    await asyncio.sleep(0)
    newest.end()
    newest.end()
    assert await rest == []
    newest.put(grey(2.0))
    assert newest.ended
    assert newest.arrived == 1


async def _all(newest: NewestPicture) -> list[float]:
    return [picture.t async for picture in newest]
