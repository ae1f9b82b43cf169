"""Publishing: pace, mute, reconnects, errors, and who closes what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio import AudioBlock, AudioPublisher, PushSource
from avatarkit_rtc.errors import ConfigurationError, NotConnectedError, PublishError


class Uplink:
    """Takes sound; with ``queue_s`` it plays it in real time and makes the writer wait beyond that."""

    def __init__(self, queue_s: float | None) -> None:
        self.blocks: list[AudioBlock] = []
        self.closed = False
        self.fails_with: Exception | None = None
        self.hangs = False
        self._queue_s = queue_s
        self._empty_at = 0.0

    async def write(self, block: AudioBlock) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        if self.hangs:
            await asyncio.Event().wait()
        if self._queue_s is not None:
            now = time.monotonic()
            self._empty_at = max(now, self._empty_at) + block.duration
            await asyncio.sleep(max(0.0, self._empty_at - now - self._queue_s))
        self.blocks.append(block)

    def clear(self) -> None:
        pass

    async def drain(self) -> None:
        while not self.closed and time.monotonic() < self._empty_at:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def aclose(self) -> None:
        self.closed = True

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate([block.samples[:, 0] for block in self.blocks])


class Uplinks:
    """As much of a provider as a publisher uses."""

    def __init__(self, queue_s: float | None = None) -> None:
        self.opened: list[Uplink] = []
        self.names: list[tuple[str, int, int]] = []
        self.refuses: Exception | None = None
        self.slow: asyncio.Event | None = None
        self._queue_s = queue_s

    async def open_uplink(self, *, name: str, sample_rate: int, channels: int) -> Uplink:
        if self.slow is not None:
            await self.slow.wait()
        if self.refuses is not None:
            raise self.refuses
        self.names.append((name, sample_rate, channels))
        self.opened.append(Uplink(self._queue_s))
        return self.opened[-1]


def publisher(provider: Uplinks, source: Any, **options: Any) -> AudioPublisher:
    return AudioPublisher(provider, source, "voice", **options)  # type: ignore[arg-type]


def ramp(blocks: int) -> np.ndarray:
    """Each block of 10 ms has its number as its samples."""
    return np.repeat(np.arange(1, blocks + 1), 480).astype(np.int16)


async def until(condition: Any, timeout: float = 5.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.005)


async def test_an_array_is_sent_whole_in_real_time_a_little_ahead() -> None:
    provider = Uplinks()
    ended = []
    voice = publisher(provider, ramp(40), sample_rate=48000, on_end=lambda: ended.append(True))
    start = time.monotonic()
    await voice.start()
    await voice.wait_finished()
    took = time.monotonic() - start
    assert took > 0.3  # 40 blocks, 50 ms ahead
    assert np.array_equal(provider.opened[0].samples, ramp(40))
    assert provider.names == [("voice", 48000, 1)]
    assert voice.blocks_sent == 40
    assert voice.finished
    assert ended == [True]
    assert not provider.opened[0].closed
    await voice.aclose()
    await voice.aclose()
    assert provider.opened[0].closed


async def test_the_end_is_told_when_the_uplink_has_sent_the_last_of_it() -> None:
    provider = Uplinks(queue_s=30.0)
    ended = []
    voice = publisher(provider, ramp(2), sample_rate=48000, on_end=lambda: ended.append(True))
    await voice.start()
    sent = asyncio.Event()
    provider.opened[0].drain = sent.wait  # type: ignore[assignment, method-assign]
    await until(lambda: voice.blocks_sent == 2)
    await asyncio.sleep(0.05)
    assert not voice.finished
    assert ended == []
    sent.set()
    await voice.wait_finished()
    await until(lambda: ended == [True])
    await voice.aclose()


async def test_a_fast_iterator_is_held_back_by_the_uplink() -> None:
    async def source() -> AsyncIterator[np.ndarray]:
        for block in ramp(1000).reshape(-1, 480):
            yield block

    provider = Uplinks(queue_s=0.1)
    voice = publisher(provider, source(), sample_rate=48000)
    begun = time.monotonic()
    await voice.start()
    await until(lambda: voice.blocks_sent >= 10)
    await asyncio.sleep(0.3)
    sent = voice.blocks_sent
    # What was played meanwhile, the 10 blocks of the queue, and a little.
    assert sent <= (time.monotonic() - begun) * 100 + 10 + 5
    await voice.aclose()


async def test_muted_the_source_goes_on_in_silence() -> None:
    provider = Uplinks()
    voice = publisher(provider, ramp(40), sample_rate=48000)
    voice.muted = True
    await voice.start()
    await until(lambda: voice.blocks_sent >= 15)
    voice.muted = False
    await voice.wait_finished()
    samples = provider.opened[0].samples
    assert not samples[: 14 * 480].any()
    assert samples[-480:].tolist() == [40] * 480
    assert len(samples) == 40 * 480
    await voice.aclose()


async def test_reopened_it_goes_on_where_it_was_and_stays_muted() -> None:
    provider, other = Uplinks(), Uplinks()
    source = PushSource(48000)
    voice = publisher(provider, source)
    await voice.start()
    source.push_nowait(ramp(5))
    await until(lambda: voice.blocks_sent == 5)
    voice.muted = True
    await voice.reopen(other)  # type: ignore[arg-type]
    assert provider.opened[0].closed
    source.push_nowait(ramp(5))
    await until(lambda: voice.blocks_sent == 10)
    assert not other.opened[0].samples.any()
    voice.muted = False
    source.push_nowait(ramp(3))
    source.end()
    await voice.wait_finished()
    assert np.array_equal(other.opened[0].samples[-3 * 480 :], ramp(3))
    await voice.aclose()
    assert other.opened[0].closed


async def test_an_uplink_that_fails_is_reported_once_and_loses_nothing() -> None:
    provider = Uplinks()
    errors: list[Exception] = []
    source = PushSource(48000, max_seconds=2)
    voice = publisher(provider, source, on_error=errors.append)
    await voice.start()
    provider.opened[0].fails_with = RuntimeError("track is gone")
    source.push_nowait(ramp(20))
    await until(lambda: errors)
    await asyncio.sleep(0.02)
    assert len(errors) == 1
    assert isinstance(errors[0], PublishError)
    assert "track is gone" in str(errors[0])
    assert isinstance(errors[0].__cause__, RuntimeError)
    assert not voice.finished
    provider.refuses = NotConnectedError("not yet")
    with pytest.raises(NotConnectedError):
        await voice.reopen()
    provider.refuses = None
    await voice.reopen()
    source.end()
    await voice.wait_finished()
    assert np.array_equal(provider.opened[1].samples, ramp(20))
    await voice.aclose()


async def test_a_write_that_never_returns_does_not_hold_up_reopening() -> None:
    provider = Uplinks()
    voice = publisher(provider, ramp(20), sample_rate=48000)
    await voice.start()
    provider.opened[0].hangs = True
    await asyncio.sleep(0.1)
    sent = voice.blocks_sent
    await asyncio.wait_for(voice.reopen(), 5)
    await voice.wait_finished()
    assert np.array_equal(provider.opened[1].samples, ramp(20)[sent * 480 :])
    await voice.aclose()


async def test_a_source_that_fails_is_reported_and_finished() -> None:
    async def source() -> AsyncIterator[np.ndarray]:
        yield np.zeros(480, np.int16)
        raise OSError("no more")

    errors: list[Exception] = []

    def complain(error: Exception) -> None:
        errors.append(error)
        raise ValueError("a broken handler is the caller's, not the pump's")

    voice = publisher(Uplinks(), source(), sample_rate=48000, on_error=complain)
    await voice.start()
    await asyncio.wait_for(voice.wait_finished(), 5)
    await until(lambda: errors)
    assert isinstance(errors[0], PublishError)
    assert isinstance(errors[0].__cause__, OSError)
    await voice.aclose()


async def test_closing_leaves_the_caller_s_source_alone() -> None:
    source = PushSource(48000)
    voice = publisher(Uplinks(), source)
    await voice.start()
    await asyncio.sleep(0.01)
    await voice.aclose()
    assert not source.ended
    assert source.push_nowait(ramp(3))
    again = Uplinks()
    voice = publisher(again, source)
    await voice.start()
    await until(lambda: voice.blocks_sent == 3)
    assert np.array_equal(again.opened[0].samples, ramp(3))
    await voice.aclose()


async def test_a_refused_track_is_the_caller_s_error_and_start_may_be_tried_again() -> None:
    provider = Uplinks()
    provider.refuses = PublishError("no permission")
    voice = publisher(provider, ramp(2), sample_rate=48000)
    with pytest.raises(PublishError, match="no permission"):
        await voice.start()
    provider.refuses = None
    await voice.start()
    await voice.wait_finished()
    with pytest.raises(PublishError, match="make a new one"):
        await voice.start()
    await voice.aclose()


async def test_no_source_is_an_error_of_start() -> None:
    with pytest.raises(ConfigurationError):
        await publisher(Uplinks(), 42).start()


async def test_closed_while_the_room_answers_nothing_stays_published() -> None:
    provider = Uplinks()
    provider.slow = asyncio.Event()
    voice = publisher(provider, ramp(100), sample_rate=48000)
    starting = asyncio.create_task(voice.start())
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(voice.aclose())
    await asyncio.sleep(0.01)
    provider.slow.set()
    with pytest.raises(PublishError, match="closed"):
        await starting
    await closing
    assert provider.opened[0].closed
    assert voice.blocks_sent == 0
    with pytest.raises(PublishError):
        await voice.reopen()
