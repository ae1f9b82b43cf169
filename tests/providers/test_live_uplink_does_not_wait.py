"""A live uplink hands blocks over in order without waiting for each answer, and without losing an error."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import PublishError
from avatarkit_rtc.providers.livekit_uplink import IN_FLIGHT, SourceUplink


class SlowSource:
    """LiveKit's source, but answers come when the test says so: the real one cannot be made late."""

    num_channels = 1
    sample_rate = 48000

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.answers: list[asyncio.Future[None]] = []

    async def capture_frame(self, frame: object) -> None:
        """As LiveKit's: what comes before the first await is done in order."""
        self.taken.append(int(np.frombuffer(frame.data, np.int16)[0]))  # type: ignore[attr-defined]
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        await answer

    async def wait_for_playout(self) -> None:
        """There is no queue."""

    def clear_queue(self) -> None:
        """There is no queue."""

    async def aclose(self) -> None:
        """Nothing to release."""


class Room:
    """A room that is gone already: nothing to unpublish."""

    def isconnected(self) -> bool:
        """No."""
        return False


def uplink(source: SlowSource) -> SourceUplink:
    return SourceUplink(Room(), None, lambda _: None, source, live=True)  # type: ignore[arg-type]


def block(number: int) -> AudioBlock:
    return AudioBlock(np.full((480, 1), number, np.int16), 48000, time.monotonic())


async def test_blocks_go_out_in_order_while_answers_are_late() -> None:
    source = SlowSource()
    up = uplink(source)
    for number in range(IN_FLIGHT):
        await asyncio.wait_for(up.write(block(number)), 5)
    assert source.taken == list(range(IN_FLIGHT))
    waits = asyncio.create_task(up.write(block(IN_FLIGHT)))
    await asyncio.sleep(0.02)
    assert not waits.done(), "so many unanswered and no more"
    source.answers[0].set_result(None)
    await asyncio.wait_for(waits, 5)
    assert source.taken == list(range(IN_FLIGHT + 1))
    await up.aclose()


async def test_an_error_comes_up_at_a_later_block() -> None:
    source = SlowSource()
    up = uplink(source)
    await up.write(block(0))
    source.answers[0].set_exception(RuntimeError("no room"))
    with pytest.raises(PublishError, match="no room"):
        await up.write(block(1))
    await up.aclose()


async def test_closing_leaves_no_task_behind() -> None:
    source = SlowSource()
    up = uplink(source)
    before = len(asyncio.all_tasks())
    for number in range(3):
        await up.write(block(number))
    source.answers[1].set_exception(RuntimeError("nobody asks"))
    await asyncio.wait_for(up.aclose(), 5)
    assert len(asyncio.all_tasks()) == before


async def test_draining_waits_for_the_answers() -> None:
    source = SlowSource()
    up = uplink(source)
    await up.write(block(0))
    draining = asyncio.create_task(up.drain())
    await asyncio.sleep(0.02)
    assert not draining.done()
    source.answers[0].set_result(None)
    await asyncio.wait_for(draining, 5)
    await up.aclose()
