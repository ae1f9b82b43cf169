"""Pushing sound in: order, bounds, back-pressure."""

from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.audio import PushSource
from avatarkit_rtc.errors import ConfigurationError


async def collect(source: PushSource) -> np.ndarray:
    blocks = [block.samples async for block in source]
    return np.concatenate(blocks) if blocks else np.empty((0, source.channels), np.int16)


async def test_what_is_pushed_comes_out_in_order() -> None:
    source = PushSource(1000)
    assert source.push_nowait(np.array([1, 2, 3], np.int16))
    await source.push(np.array([0.5], np.float32))
    await source.push(b"\x05\x00")
    source.end()
    source.end()
    assert (await collect(source))[:, 0].tolist() == [1, 2, 3, 16384, 5]


async def test_push_waits_while_too_much_is_queued() -> None:
    source = PushSource(1000, max_seconds=0.1)
    task = asyncio.create_task(source.push(np.arange(250, dtype=np.int16)))
    await asyncio.sleep(0.01)
    assert not task.done()
    assert source.queued_seconds == 0.1
    seen = [(await anext(source)).samples for _ in range(2)]
    await asyncio.wait_for(task, 10)
    source.end()
    seen.append(await collect(source))
    assert np.concatenate(seen)[:, 0].tolist() == list(range(250))


async def test_push_nowait_takes_all_or_nothing() -> None:
    source = PushSource(1000, max_seconds=0.1)
    assert source.push_nowait(np.zeros(60, np.int16))
    assert not source.push_nowait(np.zeros(60, np.int16))
    assert source.queued_seconds == 0.06
    with pytest.raises(ConfigurationError, match="never fit"):
        source.push_nowait(np.zeros(101, np.int16))
    source.clear()
    assert source.queued_seconds == 0
    assert source.push_nowait(np.zeros(100, np.int16))


async def test_two_pushers_do_not_mix_their_samples() -> None:
    source = PushSource(1000, max_seconds=0.01)
    pushers = [asyncio.create_task(source.push(np.full(100, n, np.int16))) for n in (1, 2)]
    await asyncio.sleep(0)
    assert not source.push_nowait(np.full(1, 3, np.int16))  # would come between
    reader = asyncio.create_task(collect(source))
    await asyncio.gather(*pushers)
    source.end()
    assert (await reader)[:, 0].tolist() == [1] * 100 + [2] * 100


async def test_the_caller_s_array_may_be_used_again() -> None:
    source = PushSource(1000)
    buffer = np.ones(5, np.int16)
    await source.push(buffer)
    buffer[:] = 9
    source.end()
    assert (await collect(source))[:, 0].tolist() == [1] * 5


async def test_after_the_end_nothing_can_be_pushed() -> None:
    source = PushSource(1000, max_seconds=0.1)
    waiting = asyncio.create_task(source.push(np.zeros(200, np.int16)))
    await asyncio.sleep(0.01)
    source.end()
    with pytest.raises(ConfigurationError, match="ended"):
        await waiting
    with pytest.raises(ConfigurationError, match="ended"):
        source.push_nowait(np.zeros(1, np.int16))


async def test_a_reader_waits_and_is_woken() -> None:
    source = PushSource(1000)
    reader = asyncio.create_task(anext(source))
    await asyncio.sleep(0.01)
    assert not reader.done()
    await source.push(np.ones(3, np.int16))
    assert len((await asyncio.wait_for(reader, 10)).samples) == 3


@pytest.mark.parametrize("samples", [np.zeros((5, 3), np.int16), np.zeros(5, np.int64)])
async def test_what_does_not_fit_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ConfigurationError):
        await PushSource(1000, 2).push(samples)


@pytest.mark.parametrize("arguments", [(0, 1, 1.0), (1000, 0, 1.0), (1000, 1, 0.0)])
def test_options_out_of_range_are_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(ConfigurationError):
        PushSource(arguments[0], arguments[1], max_seconds=arguments[2])


async def test_refused_bytes_leave_no_piece_of_a_sample_behind() -> None:
    source = PushSource(1000, max_seconds=0.01)
    assert source.push_nowait(b"\x01")
    assert source.push_nowait(np.zeros(10, np.int16))
    assert not source.push_nowait(b"\x02\x03\x04")
    await anext(source)
    assert source.push_nowait(b"\x02\x03\x04")
    source.end()
    assert (await collect(source))[:, 0].tolist() == [0x0201, 0x0403]


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_bytes_may_be_cut_anywhere(data: bytes, cuts: list[int]) -> None:
    async def main() -> np.ndarray:
        source = PushSource(1000, 2, max_seconds=0.05)
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        for start, end in itertools.pairwise(edges):
            assert source.push_nowait(data[start:end])
        source.end()
        return await collect(source)

    assert asyncio.run(main()).tobytes() == data[: len(data) // 4 * 4]


async def test_clearing_drops_half_a_sample_too() -> None:
    source = PushSource(1000)
    await source.push(b"\x07\x07\x07")
    source.clear()
    await source.push(b"\x01\x02\x03\x04")
    source.end()
    assert (await collect(source))[:, 0].tolist() == [0x0201, 0x0403]


async def test_clearing_ends_pushes_that_wait() -> None:
    source = PushSource(1000, max_seconds=0.01)
    old = [
        asyncio.create_task(source.push(np.full(25, 7, np.int16))),
        asyncio.create_task(source.push(b"\x07\x07\x07")),
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert source.queued_seconds == 0.01
    source.clear()
    new = asyncio.create_task(source.push(np.full(15, 1, np.int16)))
    heard = await anext(source)
    source.clear()  # also right after somebody has begun to wait
    await asyncio.gather(*old, new)
    await source.push(np.full(3, 2, np.int16))
    source.end()
    assert set(heard.samples[:, 0].tolist()) == {1}
    assert (await collect(source))[:, 0].tolist() == [2, 2, 2]
