from __future__ import annotations

import asyncio

import pytest

from avatarkit_rtc.audio.pace import Pace
from tests.support.virtual_loop import on_virtual_time


async def moments(pace: Pace, blocks: int, *, each_s: float = 0.1) -> list[float]:
    loop = asyncio.get_running_loop()
    passed = []
    for _ in range(blocks):
        await pace.wait(each_s)
        passed.append(loop.time())
    return passed


@on_virtual_time
async def test_the_lead_goes_at_once_and_the_rest_in_real_time() -> None:
    passed = await moments(Pace(0.25), 8)
    assert passed == pytest.approx([0.0, 0.0, 0.0, 0.05, 0.15, 0.25, 0.35, 0.45])


@on_virtual_time
async def test_what_is_late_is_not_caught_up_by_a_burst() -> None:
    pace = Pace(0.1)
    await moments(pace, 3)
    await asyncio.sleep(5.0)
    passed = await moments(pace, 4)
    began = passed[0]
    assert [each - began for each in passed] == pytest.approx([0.0, 0.0, 0.1, 0.2])
