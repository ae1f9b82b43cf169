"""Silence in place of a microphone."""

from __future__ import annotations

import asyncio

from avatarkit_rtc.audio import NullMicrophone


async def test_silence_keeps_time() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(3):  # a machine that stands still meanwhile is no fault of ours
        silence = NullMicrophone()
        start = loop.time()
        blocks = [await anext(silence) for _ in range(20)]
        took = loop.time() - start
        assert took > 0.15
        if took < 1.0:
            break
    assert took < 1.0
    assert not any(block.samples.any() for block in blocks)
    await silence.aclose()
    assert [block async for block in silence] == []
