"""The avatar's voice: its feeds, who hears them, and the speaker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from avatarkit_rtc.audio import speaker as speaker_module
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.output import AudioOutput
from tests.support.livekit import until
from tests.support.sounding import NotedSpeaker, Sounding, feed_with


async def test_a_feed_is_heard_and_closed_when_it_ends() -> None:
    sounding = Sounding()
    feed = feed_with(5)
    sounding.sound.voice.attach(feed)
    await until(lambda: len(sounding.heard) == 5, "sound")
    feed.end()
    await until(lambda: len(asyncio.all_tasks()) == 1, "the reader's end")
    assert sounding.sound.stats().blocks_received == 5
    await sounding.sound.aclose()


async def test_a_new_feed_takes_the_place_of_the_one_before() -> None:
    sounding = Sounding()
    feeds = [feed_with(3, value) for value in (1, 2)]
    sounding.sound.voice.attach(feeds[0])
    await until(lambda: len(sounding.heard) == 3, "the first feed")
    sounding.sound.voice.attach(feeds[1])
    await until(lambda: len(sounding.heard) == 6, "the second feed")
    assert feeds[0].ended
    assert not feeds[1].ended
    await sounding.sound.aclose()
    assert feeds[1].ended


@pytest.mark.parametrize("pause", [None, 0.0])
async def test_feeds_in_quick_succession_leave_only_the_last(pause: float | None) -> None:
    sounding = Sounding()
    feeds = [feed_with(1, value) for value in range(6)]
    for feed in feeds:
        sounding.sound.voice.attach(feed)
        if pause is not None:
            await asyncio.sleep(pause)
    await until(lambda: sounding.heard and sounding.heard[-1].samples[0, 0] == 5, "the last feed")
    # Left are this task, the reader, and who asks the feed for its delay.
    await until(lambda: len(asyncio.all_tasks()) == 3, "the other readers' end")
    assert [feed.ended for feed in feeds] == [True] * 5 + [False]
    await sounding.sound.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_detach_closes_the_feed_also_before_it_was_read() -> None:
    for pause in (False, True):
        sounding = Sounding()
        feed = feed_with(1)
        sounding.sound.voice.attach(feed)
        if pause:
            await asyncio.sleep(0.01)
        sounding.sound.voice.detach()
        sounding.sound.voice.detach()
        await until(lambda feed=feed: feed.ended, "the feed's end")
        await sounding.sound.aclose()
        assert len(asyncio.all_tasks()) == 1


async def test_a_feed_that_nobody_listens_to_is_not_read() -> None:
    sounding = Sounding(hears=False)
    feed = feed_with(150)  # more than it holds
    sounding.sound.voice.attach(feed)
    await asyncio.sleep(0.05)
    stats = sounding.sound.stats()
    assert (stats.blocks_received, stats.blocks_dropped, stats.readers) == (0, 0, 0)
    assert not feed.ended
    await sounding.sound.aclose()
    assert feed.ended
    assert len(asyncio.all_tasks()) == 1


async def test_a_feed_that_fails_is_reported_and_closed() -> None:
    class Failing:
        dropped = 2
        closed = 0

        async def __aiter__(self) -> AsyncIterator[AudioBlock]:
            yield AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0)
            raise RuntimeError("decoder")

        async def aclose(self) -> None:
            self.closed += 1

    sounding, feed = Sounding(), Failing()
    sounding.sound.voice.attach(feed)  # type: ignore[arg-type]
    await until(lambda: feed.closed, "the feed's end")
    assert sounding.names() == ["error"]
    assert sounding.sound.stats().blocks_dropped == 2


async def test_muted_blocks_are_dropped_and_counted() -> None:
    sounding = Sounding()
    sounding.muted = True
    sounding.sound.voice.attach(feed_with(4))
    await until(lambda: sounding.sound.stats().blocks_muted == 4, "muted blocks")
    assert sounding.heard == []
    await sounding.sound.aclose()


async def test_one_speaker_serves_all_feeds_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[NotedSpeaker] = []

    async def open_speaker(device: object, on_event: object) -> tuple[AudioOutput, str | None]:
        await asyncio.sleep(0.02)
        opened.append(NotedSpeaker())
        return opened[-1], "no sound card; plug one in"

    monkeypatch.setattr(speaker_module, "open_speaker", open_speaker)
    sounding = Sounding(play_audio=True)
    for feed in (feed_with(2), feed_with(2)):
        sounding.sound.voice.attach(feed)
        before = len(sounding.heard)
        await until(lambda before=before: len(sounding.heard) == before + 2, "sound")
    await until(lambda: opened and opened[0].blocks == 4, "what came while it opened")
    sounding.sound.voice.flush()
    await sounding.sound.aclose()
    await sounding.sound.aclose()
    assert [(s.blocks, s.flushes, s.closes) for s in opened] == [(4, 1, 1)]
    assert sounding.names() == ["audio-unavailable"]
    assert "plug one in" in sounding.events[0][1].message


async def test_the_view_hears_while_the_speaker_opens_and_leaving_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancelled = asyncio.Event()

    async def open_speaker(device: object, on_event: object) -> tuple[AudioOutput, str | None]:
        try:
            await asyncio.Event().wait()  # the sound system hangs
        finally:
            cancelled.set()
        raise AssertionError

    monkeypatch.setattr(speaker_module, "open_speaker", open_speaker)
    sounding = Sounding(play_audio=True)
    sounding.sound.voice.attach(feed_with(50))
    await until(lambda: len(sounding.heard) == 50, "sound")
    assert len(sounding.sound.voice._kept) == 20
    await asyncio.wait_for(sounding.sound.aclose(), 5.0)
    assert cancelled.is_set()
    assert sounding.events == []


async def test_a_speaker_that_cannot_be_made_is_reported_and_the_view_hears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def open_speaker(device: object, on_event: object) -> tuple[AudioOutput, str | None]:
        raise RuntimeError("a driver")

    monkeypatch.setattr(speaker_module, "open_speaker", open_speaker)
    sounding = Sounding(play_audio=True)
    sounding.sound.voice.attach(feed_with(5))
    await until(lambda: len(sounding.heard) == 5 and sounding.events, "sound and the error")
    assert sounding.names() == ["error"]
    await sounding.sound.aclose()
