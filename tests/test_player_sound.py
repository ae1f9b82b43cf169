"""The caller's own sound, published, and the release of everything."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.errors import NotConnectedError, PublishError
from avatarkit_rtc.player_sound import CUSTOM_TRACK
from avatarkit_rtc.providers.base import ConnectionConfig
from tests.support.livekit import until
from tests.support.sounding import NotedSpeaker, Sounding, feed_with


async def test_custom_sound_is_sent_and_sent_anew_after_a_reconnect() -> None:
    sounding = Sounding()
    provider, sound = sounding.provider, sounding.sound
    with pytest.raises(NotConnectedError):
        await sound.publish(PushSource(48000), sample_rate=None, channels=None)
    await provider.connect(ConnectionConfig())
    source = PushSource(48000)
    await sound.publish(source, sample_rate=None, channels=None)
    with pytest.raises(PublishError, match=r"unpublish_audio\(\)"):
        await sound.publish(source, sample_rate=None, channels=None)
    await source.push(np.ones(4800, np.int16))
    await until(lambda: sound.stats().custom_blocks_sent == 10, "sound")
    await provider.disconnect()
    await provider.connect(ConnectionConfig())
    await sound.republish()
    assert [uplink.name for uplink in provider.uplinks] == [CUSTOM_TRACK] * 2
    await source.push(np.ones(4800, np.int16))
    await until(lambda: len(provider.uplinks[1].blocks) == 10, "sound through the new track")
    await sound.unpublish()
    await sound.unpublish()
    assert provider.uplinks[1].closed
    assert sound.stats().custom_blocks_sent is None
    assert sounding.names() == ["audio-published"]
    await sound.aclose()


async def test_sound_that_has_ended_makes_room_for_the_next() -> None:
    sounding = Sounding()
    await sounding.provider.connect(ConnectionConfig())
    for number in (1, 2):
        await sounding.sound.publish(np.ones(480, np.int16), sample_rate=16000, channels=None)
        await until(lambda number=number: sounding.names().count("audio-ended") == number, "the end")
    assert [uplink.closed for uplink in sounding.provider.uplinks] == [True, False]
    await sounding.sound.aclose()
    assert sounding.provider.uplinks[1].closed


async def test_a_track_that_cannot_be_published_anew_is_reported_and_the_others_are() -> None:
    sounding = Sounding()
    provider, sound = sounding.provider, sounding.sound
    await provider.connect(ConnectionConfig())
    await sound.publish(PushSource(48000), sample_rate=None, channels=None)
    provider.publish_error = PublishError("refused")
    await sound.republish()
    assert sounding.names() == ["audio-published", "error"]
    provider.publish_error = None
    await sound.republish()
    assert len(provider.uplinks) == 2
    await sound.aclose()


async def test_an_uplink_that_ends_with_the_connection_is_no_error() -> None:
    sounding = Sounding()
    provider, sound = sounding.provider, sounding.sound
    await provider.connect(ConnectionConfig())
    source = PushSource(48000)
    await sound.publish(source, sample_rate=None, channels=None)

    async def write(block: AudioBlock) -> None:
        raise PublishError("the uplink is closed")

    provider.uplinks[0].write = write  # type: ignore[method-assign]
    await provider.disconnect()
    await source.push(np.ones(480, np.int16))
    await asyncio.sleep(0.05)
    assert sounding.names() == ["audio-published"]
    await provider.connect(ConnectionConfig())
    await sound.republish()
    provider.uplinks[1].write = write  # type: ignore[method-assign]
    await source.push(np.ones(480, np.int16))
    await until(lambda: "error" in sounding.names(), "an error while connected")
    await sound.aclose()


async def test_a_ready_track_is_published_anew_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from avatarkit_rtc.audio import sources

    monkeypatch.setattr(sources, "is_native_track", lambda source: source == "track")
    sounding = Sounding()
    provider, sound = sounding.provider, sounding.sound
    await provider.connect(ConnectionConfig())
    await sound.publish("track", sample_rate=None, channels=None)
    await provider.disconnect()
    await provider.connect(ConnectionConfig())
    await sound.republish()
    assert [track.closed for track in provider.tracks] == [True, False]
    assert sound.stats().custom_blocks_sent is None
    await sound.aclose()
    assert provider.tracks[1].closed


async def test_a_ready_track_that_is_unpublished_during_a_reconnect_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from avatarkit_rtc.audio import sources

    monkeypatch.setattr(sources, "is_native_track", lambda source: source == "track")
    sounding = Sounding()
    provider, sound = sounding.provider, sounding.sound
    await provider.connect(ConnectionConfig())
    await sound.publish("track", sample_rate=None, channels=None)
    publish, answer = provider.publish_track, asyncio.Event()

    async def publish_slowly(track: object) -> object:
        published = await publish(track)
        await answer.wait()
        return published

    provider.publish_track = publish_slowly  # type: ignore[assignment, method-assign]
    coming_back = asyncio.create_task(sound.republish())
    await until(lambda: len(provider.tracks) == 2, "the second publication")
    unpublishing = asyncio.create_task(sound.unpublish())
    await asyncio.sleep(0)
    answer.set()
    await unpublishing
    assert [track.closed for track in provider.tracks] == [True, True]
    await coming_back
    assert sounding.names() == ["audio-published"]
    await sound.aclose()


async def test_own_sound_that_is_taken_back_while_it_is_published_is_not_sent() -> None:
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    source = PushSource(48000)
    await source.push(np.ones(480, np.int16))
    publishing = asyncio.create_task(sound.publish(source, sample_rate=None, channels=None))
    await asyncio.sleep(0)
    await sound.unpublish()
    with pytest.raises(PublishError, match="taken back"):
        await publishing
    assert all(uplink.closed and not uplink.blocks for uplink in provider.uplinks)
    assert sounding.names() == []
    await sound.publish(source, sample_rate=None, channels=None)
    await until(lambda: bool(provider.uplinks[-1].blocks), "sound of a later start")
    await sound.aclose()


async def test_a_source_that_cannot_be_closed_keeps_nothing_else_open() -> None:
    sounding = Sounding()
    await sounding.provider.connect(ConnectionConfig())
    await sounding.sound.publish(PushSource(48000), sample_rate=None, channels=None)
    feed = feed_with(1)
    sounding.sound.voice.attach(feed)
    speaker = sounding.sound.voice._speaker = NotedSpeaker()

    async def fails() -> None:
        raise RuntimeError("stuck")

    sounding.sound._published[CUSTOM_TRACK].aclose = fails
    await sounding.sound.aclose()
    assert speaker.closes == 1
    assert feed.ended
    assert sounding.names() == ["audio-published", "error"]
