"""A vendor's avatar says what the model says: SpatialReal's, by its own package and a stand-in service; and,
for what vendors do wrong, a speaker made for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.errors import ConfigurationError, NotConnectedError, PublishError
from avatarkit_rtc.integrations.agents.playback import PlaybackFinished
from avatarkit_rtc.integrations.realtime import RealtimeAvatar, WebSocketRealtimeClient
from avatarkit_rtc.integrations.realtime.events import AudioDelta
from avatarkit_rtc.integrations.realtime.output import OutputEnded, OutputStarted
from avatarkit_rtc.integrations.realtime.vendor_output import MAX_QUEUED_S, VendorOutput
from avatarkit_rtc.integrations.spatialreal.direct.playback import SpeechPlayback
from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider
from avatarkit_rtc.providers.loopback import LoopbackProvider
from avatarkit_rtc.providers.speech import HearingProvider
from avatarkit_rtc.testing.realtime import Reply, StandInRealtimeServer
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SpatialRealService
from avatarkit_rtc.testing.voice import speak
from renderers import HeadlessSink
from tests.support.livekit import until
from tests.support.spatialreal_provider import provider_of, virtually
from tests.support.spatialreal_provider import until as virtual_until
from tests.support.spatialreal_session import KEY

VOICE = speak(1, 1.0, 24000).pcm.astype("<i2").tobytes()
LONG = 30 * VOICE
"""Not over, however long the machine does nothing meanwhile."""


def delta(pcm: bytes = VOICE, rate: int = 24000) -> AudioDelta:
    return AudioDelta(pcm, rate, "r", "i")


class Speaker:
    """Takes what it is given, or does not."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.interrupted = 0
        self.problem: Exception | None = None

    async def say(self, source: PushSource, *, sample_rate: int | None = None) -> None:
        if self.problem is not None:
            raise self.problem
        self.said.append(b"")
        number = len(self.said) - 1
        async for block in source:
            self.said[number] += block.samples.astype("<i2").tobytes()

    async def interrupt(self) -> None:
        if self.problem is not None:
            raise self.problem
        await asyncio.sleep(0.05)
        self.interrupted += 1


async def test_each_response_is_one_utterance() -> None:
    speaker, told = Speaker(), list[Any]()
    output = VendorOutput(speaker)
    output.set_listener(told.append)
    for half in (VOICE[:24000], VOICE[24000:]):
        output.play(delta(half))
    output.end()
    output.end()
    output.play(delta(VOICE[:960]))
    output.play(delta(VOICE[:640], 16000))  # another rate is another utterance
    output.end()
    await until(lambda: len(speaker.said) == 3, "three utterances")
    await until(lambda: told and isinstance(told[-1], OutputEnded), "the end, by the clock")
    assert speaker.said == [VOICE, VOICE[:960], VOICE[:640]]
    assert isinstance(told[0], OutputStarted)
    await output.aclose()
    await output.aclose()


async def test_an_interruption_is_at_once_here_and_before_what_is_said_next() -> None:
    speaker, flushed = Speaker(), list[str]()
    output = VendorOutput(speaker, flush=lambda: flushed.append("player"), latency_s=0.1)
    assert output.flush() is None
    assert flushed == ["player"]
    output.play(delta())
    output.play(delta(LONG))
    await asyncio.sleep(0.3)
    heard = output.flush()
    assert heard is not None
    assert heard.item_id == "i"
    assert 100 <= heard.played_ms < 30000
    output.play(delta(VOICE[:960]))
    output.end()
    await until(lambda: speaker.said[-1:] == [VOICE[:960]], "what is said next")
    assert speaker.interrupted == 1
    await output.aclose()


async def test_what_is_said_is_heard_after_the_latency_and_can_be_interrupted_until_its_end() -> None:
    loop, speaker, told = asyncio.get_running_loop(), Speaker(), list[tuple[float, Any]]()
    output = VendorOutput(speaker, latency_s=0.4)
    output.set_listener(lambda event: told.append((loop.time(), event)))
    began = loop.time()
    output.play(delta(VOICE[:24000]))  # 0.5 s
    output.end()
    await until(lambda: told and isinstance(told[-1][1], OutputEnded), "the end")
    assert told[0][1] == OutputStarted()
    assert told[0][0] - began >= 0.4 - 0.001
    assert told[-1][0] - began >= 0.9 - 0.001
    assert speaker.interrupted == 0
    began = loop.time()
    output.play(delta(LONG))
    output.end()
    await until(lambda: speaker.said == [VOICE[:24000], LONG], "all of it to be with the vendor")
    heard = output.flush()
    assert heard is not None
    assert heard.item_id == "i"
    assert heard.played_ms <= 1000 * max(0.0, loop.time() - began - 0.4) + 25
    await until(lambda: speaker.interrupted == 1, "silence at the vendor")
    await output.aclose()


async def test_a_vendor_that_is_later_than_the_clock_is_interrupted_too() -> None:
    class Slow(Speaker):
        async def say(self, source: PushSource, *, sample_rate: int | None = None) -> None:
            await super().say(source)
            await until(lambda: self.interrupted, "the interruption")

    speaker, told = Slow(), list[Any]()
    output = VendorOutput(speaker, latency_s=0.0)
    output.set_listener(told.append)
    output.play(delta(VOICE[:960]))
    output.end()
    await until(lambda: told and isinstance(told[-1], OutputEnded), "the end, by the clock")
    assert output.flush() is None
    assert output.flush() is None
    await until(lambda: speaker.interrupted >= 1, "silence at the vendor")
    await output.aclose()


class Queueing(Speaker):
    """Returns as soon as it has the source, and speaks for as long as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.queued: list[SpeechPlayback] = []

    async def say(self, source: PushSource, *, sample_rate: int | None = None) -> SpeechPlayback:
        self.queued.append(SpeechPlayback())
        return self.queued[-1]


async def test_what_is_queued_is_being_said_until_its_end_and_holds_up_nothing() -> None:
    speaker, told, problems = Queueing(), list[Any](), list[Exception]()
    output = VendorOutput(speaker, latency_s=0.0, on_error=problems.append)
    output.set_listener(told.append)
    for _ in range(2):
        output.play(delta(VOICE[:960]))
        output.end()
    await until(lambda: len(speaker.queued) == 2, "both, at once")
    await until(lambda: told and isinstance(told[-1], OutputEnded), "the end, by the clock")
    assert output.flush() is None
    await until(lambda: speaker.interrupted == 1, "silence at the vendor")
    speaker.queued[0].finish(PlaybackFinished(0.0, True))
    speaker.queued[1].error = NotConnectedError("gone")
    speaker.queued[1].finish(PlaybackFinished(0.0, True))
    await until(lambda: problems, "what it was lost by")
    assert output.flush() is None
    await output.aclose()
    assert speaker.interrupted == 1
    assert problems == [speaker.queued[1].error]


@pytest.fixture
def vendors_package() -> None:
    pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")


@asynccontextmanager
async def vendor_of(**behaviour: Any) -> AsyncIterator[tuple[SpatialRealProvider, SpatialRealService]]:
    """SpatialReal's provider, connected."""
    async with SpatialRealService(api_key=KEY, behaviour=Behaviour(**behaviour)) as service:
        vendor = provider_of(service, sample_rate=24000)
        await vendor.connect()
        yield vendor, service
        await vendor.disconnect()


@pytest.mark.usefixtures("vendors_package")
@virtually
async def test_a_vendor_that_takes_it_in_the_background_is_given_all_of_it() -> None:
    story = speak(1, 6.0, 24000).pcm.astype("<i2")
    async with vendor_of(inference_s=0.05) as (vendor, service):
        output = VendorOutput(vendor)
        for each in np.split(story, 6)[:4]:  # at once
            output.play(delta(each.tobytes()))
        await asyncio.sleep(1.0)
        for each in np.split(story, 6)[4:]:
            output.play(delta(each.tobytes()))
            await asyncio.sleep(0.1)
        output.end()
        output.play(delta(VOICE))
        output.end()
        await virtual_until(lambda: len(vendor.pending) == 2, "both utterances")
        await output.aclose()  # what was given to the vendor is its own
        await virtual_until(lambda: not vendor.pending, "the end")
        said = [turn.sound.astype("<i2").tobytes() for turn in service.connections[0].turns]
        assert said == [story.tobytes(), VOICE]
        assert output.dropped_s == 0.0


@pytest.mark.usefixtures("vendors_package")
@virtually
async def test_a_vendor_that_is_later_than_the_clock_is_silenced_where_it_speaks() -> None:
    told = list[Any]()
    async with vendor_of(inference_s=1.5) as (vendor, _):
        output = VendorOutput(vendor)
        output.set_listener(told.append)
        output.play(delta())
        output.end()
        await virtual_until(lambda: told and isinstance(told[-1], OutputEnded), "the end, by the clock")
        (playback,) = vendor.pending
        assert output.flush() is None
        assert (await playback.wait()).interrupted
        await output.aclose()


async def test_what_a_vendor_cannot_say_is_told(caplog: pytest.LogCaptureFixture) -> None:
    speaker, problems = Speaker(), list[Exception]()
    speaker.problem = NotConnectedError("gone")
    for output in (VendorOutput(speaker, on_error=problems.append), VendorOutput(speaker)):
        output.play(delta(LONG))
        await asyncio.sleep(0.05)
        output.flush()
        await asyncio.sleep(0.05)
        await output.aclose()
    assert problems == [speaker.problem] * 2
    assert caplog.text.count("the avatar could not say it: gone") == 2


@pytest.mark.parametrize("error", [NotConnectedError("gone"), None])
async def test_the_rest_of_a_response_is_counted_where_the_vendor_has_ended_its_utterance(
    error: NotConnectedError | None,
) -> None:
    speaker, told, problems = Queueing(), list[Any](), list[Exception]()
    output = VendorOutput(speaker, latency_s=0.0, on_error=problems.append)
    output.set_listener(told.append)
    output.play(delta(VOICE[:960]))  # 20 ms
    await until(lambda: speaker.queued, "the utterance")
    speaker.queued[0].error = error
    speaker.queued[0].finish(PlaybackFinished(0.0, True))
    await until(lambda: output.dropped_s, "what the vendor had not taken")
    assert output.dropped_s == pytest.approx(0.02)
    assert problems == ([] if error is None else [error])
    output.play(delta(LONG))
    output.end()
    assert output.dropped_s == pytest.approx(30.02)
    await until(lambda: told and isinstance(told[-1], OutputEnded), "the end of what it was given")
    output.play(delta(VOICE[:960]))  # the next response is said again
    await until(lambda: len(speaker.queued) == 2, "the next utterance")
    assert output.dropped_s == pytest.approx(30.02)
    await output.aclose()


async def test_what_a_vendor_never_takes_is_bounded() -> None:
    class Deaf(Speaker):
        async def say(self, source: PushSource, *, sample_rate: int | None = None) -> None:
            await asyncio.sleep(3600)

    output = VendorOutput(Deaf())
    second = bytes(2 * 8000)
    for _ in range(round(MAX_QUEUED_S) + 5):
        output.play(delta(second, 8000))
    assert output.dropped_s == pytest.approx(5.0)
    await output.aclose()


@pytest.mark.usefixtures("vendors_package")
async def test_a_conversation_with_a_vendors_avatar() -> None:
    frames: list[float] = []
    view = HeadlessSink(lambda shot: frames.append(abs(float(shot.pose.frame.jaw_pose[0]))))
    async with (
        SpatialRealService(api_key=KEY, behaviour=Behaviour(inference_s=0.05)) as service,
        StandInRealtimeServer(reply=Reply("A story.", 3.0)) as server,
    ):
        vendor = provider_of(service, sample_rate=24000)
        client = WebSocketRealtimeClient(server.url, key=server.key)
        with pytest.raises(ConfigurationError):
            RealtimeAvatar(client, view, provider=vendor)
        async with RealtimeAvatar(client, view, provider=vendor, speaker=vendor, play_audio=False) as avatar:
            await avatar.start(microphone=False)
            sound = np.zeros(48000, np.int16)
            await avatar.player.publish_audio(sound, sample_rate=48000)
            await server.wait_for("input_audio_buffer.append", 20)  # the model hears, not the vendor
            await avatar.say_to_model("hello")
            await until(lambda: len(frames) > 10 and max(frames[-5:]) > 0.01, "a moving mouth")
            await until(lambda: avatar.stats().turns == 1, "the voice, by the clock")
            await server.speech_started()
            await until(lambda: vendor.pending == (), "silence at the vendor")
            await until(lambda: max(frames[-5:]) < 0.01, "a still mouth")
            stats = avatar.stats()
            assert (stats.turns, stats.speech_queued_s, stats.speech_dropped_s) == (1, 0.0, 0.0)
        assert server.connection.session.truncations


async def test_the_user_is_heard_here_and_the_rest_is_the_other_providers() -> None:
    heard: list[AudioBlock] = []

    async def hear(block: AudioBlock) -> None:
        heard.append(block)

    loopback = LoopbackProvider()
    provider = HearingProvider(loopback, hear)
    with pytest.raises(NotConnectedError):
        await provider.open_uplink(name="a", sample_rate=48000, channels=1)
    await provider.connect()
    assert provider.owns_connection
    uplink = await provider.open_uplink(name="a", sample_rate=48000, channels=1)
    await uplink.write(AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0))
    assert len(heard) == 1
    assert loopback.uplinks == ()
    await uplink.aclose()
    with pytest.raises(PublishError):
        await provider.publish_track(object())
    await provider.disconnect()
