"""An avatar made of speech alone, played by a player: sound and motion in time, interruption, uplinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import AlreadyConnectedError, NotConnectedError, PublishError
from avatarkit_rtc.face import FaceDriver
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.providers.base import Provider
from avatarkit_rtc.providers.speech import SpeechProvider
from avatarkit_rtc.testing.voice import speak
from renderers import HeadlessSink
from renderers.headless import Shot
from tests.support.livekit import until as until_so

RATE = 24000
VOICE = speak(1, 3.0, RATE).pcm
JAW = ARKIT_INDEX["jawOpen"]


async def until(condition: Callable[[], bool]) -> None:
    await until_so(condition, "what the test waits for")


def opening(shot: Shot) -> float:
    assert shot.face is not None
    return float(shot.face.coefficients[JAW])


class Shown:
    """What a view was shown."""

    def __init__(self) -> None:
        self.shots: list[Shot] = []
        self.sink = HeadlessSink(self.shots.append, driver=FaceDriver())

    def talks(self) -> bool:
        return bool(self.shots) and opening(self.shots[-1]) > 0.1


async def test_speech_is_heard_and_moves_the_mouth_and_both_end() -> None:
    provider, shown = SpeechProvider(), Shown()
    assert isinstance(provider, Provider)
    async with AvatarPlayer(provider, shown.sink, play_audio=False) as player:
        await player.connect()
        assert await player.wait_for_avatar(5) == "speech-avatar"
        heard: list[AudioBlock] = []

        async def listen() -> None:
            async for block in player.audio():
                heard.append(block)

        listening = asyncio.create_task(listen())
        await until(lambda: len(heard) > 5)
        provider.say(VOICE[: RATE // 2], RATE)
        provider.end()
        await until(shown.talks)
        await until(lambda: player.stats().playout.rounds_ended == {RoundEndReason.TRANSITION_END: 1})
        await until(lambda: not shown.talks())
    await listening
    sound = np.concatenate([each.samples[:, 0] for each in heard])
    loud = np.flatnonzero(sound)
    speech = np.flatnonzero(VOICE[: RATE // 2])
    assert np.array_equal(sound[loud[0] : loud[-1] + 1], VOICE[speech[0] : speech[-1] + 1])
    assert provider.performer.rounds == 1
    assert provider.get_native_client() is None


async def test_after_an_interruption_the_mouth_is_still_soon_and_the_next_speech_plays() -> None:
    provider, shown = SpeechProvider(), Shown()
    async with AvatarPlayer(provider, shown.sink, play_audio=False) as player:
        await player.connect()
        provider.say(VOICE, RATE)
        await until(shown.talks)
        player.flush()
        assert provider.cut()
        assert not provider.cut()
        flushed_at = asyncio.get_running_loop().time()
        count = len(shown.shots)
        await until(lambda: shown.shots[-1].pose.t > flushed_at + 0.5)
        still = [each for each in shown.shots[count:] if each.pose.t > flushed_at + 0.15]
        assert still
        assert max(opening(each) for each in still) < 0.03
        assert max(abs(float(each.pose.frame.jaw_pose[0])) for each in still) < 1e-3
        provider.say(VOICE, RATE)
        await until(shown.talks)
        assert player.stats().playout.rounds_ended == {RoundEndReason.FLUSHED: 1}


async def test_what_the_player_publishes_is_handed_on_in_order() -> None:
    heard: list[AudioBlock] = []

    async def hear(block: AudioBlock) -> None:
        heard.append(block)

    provider = SpeechProvider(hear=hear)
    async with AvatarPlayer(provider, play_audio=False) as player:
        await player.connect()
        sound = np.arange(4800, dtype=np.int16)
        await player.publish_audio(sound, sample_rate=48000)
        assert provider.uplinks == {"custom-audio"}
        with pytest.raises(PublishError, match="custom-audio is published"):
            await provider.open_uplink(name="microphone", sample_rate=48000, channels=1)
        await until(lambda: len(heard) == 10)
        assert np.array_equal(np.concatenate([each.samples[:, 0] for each in heard]), sound)
        await player.unpublish_audio()
        assert provider.uplinks == set()


async def test_where_nobody_listens_published_sound_goes_nowhere() -> None:
    provider = SpeechProvider()
    await provider.connect()
    uplink = await provider.open_uplink(name="a", sample_rate=48000, channels=1)
    await uplink.write(AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0))
    uplink.clear()
    await uplink.drain()
    await uplink.aclose()
    await provider.disconnect()


async def test_life() -> None:
    provider = SpeechProvider()
    provider.say(VOICE, RATE)  # dropped
    assert provider.performer.queued_s == 0
    with pytest.raises(NotConnectedError):
        await provider.open_uplink(name="a", sample_rate=48000, channels=1)
    await provider.disconnect()
    await provider.connect()
    with pytest.raises(AlreadyConnectedError):
        await provider.connect()
    with pytest.raises(PublishError):
        await provider.publish_track(object())
    assert provider.owns_connection
    await provider.disconnect()
    await provider.disconnect()


async def test_a_player_reconnects_and_speech_goes_on() -> None:
    provider, shown = SpeechProvider(), Shown()
    async with AvatarPlayer(provider, shown.sink, play_audio=False) as player:
        await player.connect()
        provider.say(VOICE, RATE)
        await until(shown.talks)
        await player.reconnect()
        await until(lambda: not shown.talks())
        provider.say(VOICE, RATE)
        await until(shown.talks)


async def test_a_callback_that_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []

    def fail(output: object) -> None:
        told.append(output)
        raise RuntimeError("no")

    provider = SpeechProvider(on_output=fail)
    await provider.connect()
    await until(lambda: len(told) > 3)
    await provider.disconnect()
    assert "a callback of the speech avatar failed" in caplog.text
