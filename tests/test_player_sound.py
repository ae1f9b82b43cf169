from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio import live_microphone as live_module
from avatarkit_rtc.audio import microphone as microphone_module
from avatarkit_rtc.audio import speaker as speaker_module
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.output import AudioOutput, NullSpeaker
from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.errors import AudioDeviceError, NotConnectedError, PublishError
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player_sound import CUSTOM_TRACK, MICROPHONE_TRACK, PlayerSound
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.loopback import BoundedAudioFeed
from avatarkit_rtc.testing.mock_provider import MockProvider
from tests.support.livekit import until


class Sounding:
    def __init__(
        self, *, play_audio: bool = False, hears: bool = True, listened: bool = False, **options: Any
    ) -> None:
        self.listened = listened
        self.provider = MockProvider()
        self.heard: list[AudioBlock] = []
        self.events: list[tuple[str, Any]] = []
        self.muted = False
        self.sound = PlayerSound(
            self.provider,
            AvatarPlayerOptions(play_audio=play_audio, **options),
            hear=self.heard.append if hears else None,
            is_muted=lambda: self.muted,
            emit=lambda name, payload=None: self.events.append((name, payload)),
            listened=lambda name: self.listened,
        )

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def feed_with(blocks: int, value: int = 1) -> BoundedAudioFeed:
    feed = BoundedAudioFeed()
    feed.feed(np.full((480 * blocks, 1), value, np.int16), 48000, 0.0)
    return feed


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


class NotedSpeaker(NullSpeaker):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = self.flushes = self.closes = 0

    def write(self, block: AudioBlock) -> None:
        self.blocks += 1

    def flush(self) -> None:
        self.flushes += 1

    async def aclose(self) -> None:
        self.closes += 1


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


class FakeMicrophone:
    """10 ms of sound each 10 ms, until closed; raises when the device goes."""

    device = "fake"
    recorded = dropped = overflows = 0
    active = True
    stalled_s = 0.0
    opened = None
    spec: object = None

    def __init__(self) -> None:
        self.closed = self.gone = False

    def give_way(self) -> None:
        pass

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    def discard(self) -> None:
        pass

    async def __anext__(self) -> AudioBlock:
        await asyncio.sleep(0.01)
        if self.gone:
            raise AudioDeviceError("the microphone is gone; plug it in again")
        return AudioBlock(np.ones((480, 1), np.int16), 48000, 0.0)

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def microphones(monkeypatch: pytest.MonkeyPatch) -> list[FakeMicrophone]:
    opened: list[FakeMicrophone] = []

    async def open_microphone(device: object) -> FakeMicrophone:
        if device == "missing":
            raise AudioDeviceError("no such device; see avatarkit-rtc devices")
        await asyncio.sleep(0.01)
        opened.append(FakeMicrophone())
        opened[-1].spec = device
        return opened[-1]

    monkeypatch.setattr(microphone_module, "open_microphone", open_microphone)
    monkeypatch.setattr(live_module, "refresh_devices", lambda at_most_every_s: True)
    monkeypatch.setattr(live_module, "_DEFAULT_AFTER_S", 0.1)
    return opened


async def test_the_microphone_is_published_until_it_is_stopped(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    provider, sound = sounding.provider, sounding.sound
    await provider.connect(ConnectionConfig())
    starting = asyncio.create_task(sound.start_microphone(None))
    await asyncio.sleep(0)
    with pytest.raises(PublishError, match=r"stop_publishing\(\)"):
        await sound.start_microphone(None)
    await starting
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > 3, "sound")
    await sound.publish(PushSource(48000), sample_rate=None, channels=None)
    assert [uplink.name for uplink in provider.uplinks] == [MICROPHONE_TRACK, CUSTOM_TRACK]
    assert [uplink.live for uplink in provider.uplinks] == [True, False]
    await sound.stop_microphone()
    await sound.stop_microphone()
    assert microphones[0].closed
    assert [uplink.closed for uplink in provider.uplinks] == [True, False]
    await sound.start_microphone(None)
    await sound.aclose()
    assert microphones[1].closed
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.012, 0.018, 0.025])
async def test_a_start_that_is_stopped_at_any_moment_sends_nothing(
    microphones: list[FakeMicrophone], after_s: float
) -> None:
    """A matter of privacy: once ``stop_publishing()`` has returned, nothing is sent."""
    sounding = Sounding(**AS_IT_IS)
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    open_uplink = provider.open_uplink

    async def open_slowly(**form: Any) -> Any:
        uplink = await open_uplink(**form)
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            await uplink.aclose()
            raise
        return uplink

    provider.open_uplink = open_slowly  # type: ignore[method-assign]
    starting = asyncio.create_task(sound.start_microphone(None))
    await asyncio.sleep(after_s)
    await sound.stop_microphone()
    assert (sound.stats().microphone, sound.stats().microphone_blocks_sent) == (None, None)
    sent = [len(uplink.blocks) for uplink in provider.uplinks]
    (outcome,) = await asyncio.gather(starting, return_exceptions=True)
    assert isinstance(outcome, PublishError) or (outcome is None and after_s > 0), "it may have been sooner"
    await asyncio.sleep(0.05)
    assert [len(uplink.blocks) for uplink in provider.uplinks] == sent
    assert all(uplink.closed for uplink in provider.uplinks)
    await sound.start_microphone(None)
    await until(lambda: bool(provider.uplinks[-1].blocks), "sound of a later start")
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


async def test_a_start_waits_for_the_stop_before_it(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    await sound.start_microphone(None)
    stopping = asyncio.create_task(sound.stop_microphone())
    await asyncio.sleep(0)
    await sound.start_microphone(None)
    await stopping
    assert [microphone.closed for microphone in microphones] == [True, False]
    sent = len(provider.uplinks[1].blocks)
    await until(lambda: len(provider.uplinks[1].blocks) > sent + 3, "sound")
    await sound.aclose()


async def test_a_start_that_is_cancelled_leaves_nothing(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    await sounding.provider.connect(ConnectionConfig())
    for _ in range(2):
        starting = asyncio.create_task(sounding.sound.start_microphone(None))
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert sounding.sound.stats().microphone is None
    assert all(uplink.closed for uplink in sounding.provider.uplinks)
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")


async def test_a_microphone_that_cannot_be_published_is_released(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    with pytest.raises(AudioDeviceError, match="devices"):
        await sounding.sound.start_microphone("missing")
    with pytest.raises(NotConnectedError):
        await sounding.sound.start_microphone(None)
    assert microphones[0].closed
    await sounding.provider.connect(ConnectionConfig())
    await sounding.sound.start_microphone(None)
    await sounding.sound.aclose()


async def test_a_microphone_that_goes_is_reported_and_comes_back_under_the_same_track(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding()
    await sounding.provider.connect(ConnectionConfig())
    await sounding.sound.start_microphone("desk")
    microphones[0].gone = True
    await until(lambda: "microphone-back" in sounding.names(), "the microphone's return")
    assert sounding.names().count("microphone-lost") == 1
    assert "plug it in" in dict(sounding.events)["microphone-lost"].message
    assert "fake" in dict(sounding.events)["microphone-back"].message
    assert microphones[0].closed
    assert not microphones[1].closed
    stats = sounding.sound.stats().microphone
    assert stats is not None
    assert (stats.device, stats.losses) == ("fake", 1)
    assert len(sounding.provider.uplinks) == 1
    await sounding.sound.aclose()
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")


async def test_another_device_takes_over_under_the_same_track(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    await sound.start_microphone("desk")
    await sound.start_microphone("head")
    assert [microphone.closed for microphone in microphones] == [True, False]
    with pytest.raises(AudioDeviceError):
        await sound.start_microphone("missing")  # and the one before goes on
    with pytest.raises(PublishError, match=r"stop_publishing\(\)"):
        await sound.start_microphone("head")
    sent = sound.stats().microphone_blocks_sent or 0
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > sent + 3, "sound")
    assert [(uplink.name, uplink.closed) for uplink in provider.uplinks] == [(MICROPHONE_TRACK, False)]
    assert not {"microphone-lost", "audio-ended", "error"} & set(sounding.names())
    await sound.aclose()
    assert microphones[1].closed


async def test_silence_is_published_without_a_microphone_only_when_asked_for(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    with pytest.raises(AudioDeviceError):
        await sound.start_microphone("missing")
    assert sound.stats().microphone is None
    await sound.start_microphone("missing", or_silence=True)
    assert sounding.names()[0] == "audio-unavailable"
    # The fake's default device exists, so it is what is found in the end.
    await until(lambda: "microphone-back" in sounding.names(), "a microphone")
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > 3, "sound")
    await sound.aclose()


AS_IT_IS = {
    "echo_cancellation": False,
    "noise_suppression": False,
    "auto_gain_control": False,
    "high_pass_filter": False,
}


async def test_muting_survives_stop_start_and_reconnect(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding(**AS_IT_IS)
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    sound.microphone.muted = True
    await sound.start_microphone(None)
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > 3, "sound")
    await provider.disconnect()
    await provider.connect(ConnectionConfig())
    await sound.republish()
    await until(lambda: len(provider.uplinks[1].blocks) > 3, "sound through the new track")
    await sound.stop_microphone()
    await sound.start_microphone(None)
    await until(lambda: len(provider.uplinks[2].blocks) > 3, "sound of the next microphone")
    assert len(provider.uplinks) == 3
    assert not any(block.samples.any() for uplink in provider.uplinks for block in uplink.blocks)
    sound.microphone.muted = False
    await until(lambda: bool(provider.uplinks[2].blocks[-1].samples.any()), "sound")
    await sound.aclose()


async def test_levels_come_ten_times_a_second_and_only_to_listeners(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding(listened=False)
    await sounding.provider.connect(ConnectionConfig())
    await sounding.sound.start_microphone(None)
    sounding.sound.microphone.muted = True
    await until(lambda: (sounding.sound.stats().microphone_blocks_sent or 0) > 20, "sound")
    assert "microphone-level" not in sounding.names()
    sounding.listened = True
    before = sounding.sound.stats().microphone_blocks_sent or 0
    await until(lambda: (sounding.sound.stats().microphone_blocks_sent or 0) > before + 50, "sound")
    levels = [payload for name, payload in sounding.events if name == "microphone-level"]
    assert 2 <= len(levels) <= 6
    assert all(level.muted and -96.0 <= level.rms_dbfs <= level.peak_dbfs <= 0.0 for level in levels)
    await sounding.sound.aclose()


async def test_half_duplex_silences_the_microphone_while_the_avatar_is_heard(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding(half_duplex=True, **AS_IT_IS)
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    await sound.start_microphone(None)
    uplink = provider.uplinks[0]
    await until(lambda: uplink.blocks and uplink.blocks[-1].samples.any(), "sound")

    class Loud(NotedSpeaker):
        pass

    class Real:
        """A speaker that is no NullSpeaker."""

        volume, muted = 1.0, False

        def stats(self) -> Any:
            return NullSpeaker().stats()

    loud = AudioBlock(np.full((480, 1), 5000, np.int16), 48000, 0.0)
    sound.microphone.played(loud, Loud())
    await asyncio.sleep(0.05)
    assert uplink.blocks[-1].samples.any(), "what plays nowhere is not heard"
    sound.microphone.played(loud, Real())  # type: ignore[arg-type]
    await until(lambda: not uplink.blocks[-1].samples.any(), "silence")
    await until(lambda: bool(uplink.blocks[-1].samples.any()), "sound after the hang-over")
    await sound.aclose()


async def test_an_input_device_is_a_source_and_is_released_with_its_track(
    microphones: list[FakeMicrophone],
) -> None:
    from avatarkit_rtc.audio.devices import AudioDevice

    device = AudioDevice(3, "line", "ALSA", 2, 0, 48000.0, False, False)
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    with pytest.raises(NotConnectedError):
        await sound.publish(device, sample_rate=None, channels=None)
    assert microphones[0].closed
    await provider.connect(ConnectionConfig())
    await sound.publish(device, sample_rate=None, channels=None)
    assert microphones[1].spec == "line, ALSA"  # its index may be another device's by now
    await until(lambda: provider.uplinks[0].blocks, "sound")
    assert provider.uplinks[0].blocks[0].samples.all(), "it is not processed"
    await sound.unpublish()
    assert microphones[1].closed
    await sound.aclose()
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")
