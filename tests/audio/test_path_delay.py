"""The feed's delay is asked once for all, and a feed that cannot answer harms nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from avatarkit_rtc.audio import path_delay
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.path_delay import SharedFeed, follow_path_delay
from tests.support.livekit import until


class Asked:
    """A feed that counts how often it is asked, and fails the first time."""

    dropped = 3

    def __init__(self) -> None:
        self.asked = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[AudioBlock]:
        for _ in range(2):
            yield AudioBlock.__new__(AudioBlock)

    async def aclose(self) -> None:
        self.closed = True

    async def path_delay_s(self) -> float:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("the room is going down")
        return 0.05 + 0.001 * self.asked


async def test_two_who_ask_at_once_get_one_answer() -> None:
    feed = Asked()
    shared = SharedFeed(feed)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        await shared.path_delay_s()
    first = await shared.path_delay_s()
    assert await shared.path_delay_s() == first
    assert feed.asked == 2
    await asyncio.sleep(path_delay.FRESH_S + 0.02)
    assert await shared.path_delay_s() > first


async def test_all_else_is_the_feeds_own() -> None:
    feed = Asked()
    shared = SharedFeed(feed)  # type: ignore[arg-type]
    assert shared.dropped == 3
    assert len([each async for each in shared]) == 2
    await shared.aclose()
    assert feed.closed


async def test_it_is_told_again_and_again_also_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_delay, "POLL_S", 0.005)
    told: list[float] = []
    following = asyncio.create_task(follow_path_delay(Asked(), told.append))  # type: ignore[arg-type]
    await until(lambda: len(told) >= 3, "three figures")
    assert told[:3] == pytest.approx([0.052, 0.053, 0.054])
    following.cancel()
