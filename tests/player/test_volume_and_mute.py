"""How loud the avatar's voice is: ``player.volume``, ``player.muted`` and the option ``volume``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, ConfigurationError, ConnectionState
from avatarkit_rtc.testing import MockProvider
from tests.support.fake_sound import Card, FakeSound
from tests.support.livekit import until

LOUD = np.full(480, 8000, np.int16)
NO_PROCESSING = {
    "echo_cancellation": False,
    "noise_suppression": False,
    "auto_gain_control": False,
    "high_pass_filter": False,
}


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    return FakeSound([Card("USB", inputs=1)]).install(monkeypatch)


def heard(sound: FakeSound) -> set[int]:
    """Loudest values of the last blocks that the card was given."""
    played = [stream for stream in sound.streams if stream.kind == "Output"][-1].played
    return {int(block.max()) for block in played[-3:]}


@contextlib.asynccontextmanager
async def speaking(provider: MockProvider) -> AsyncIterator[None]:
    """The avatar's voice goes on, in real time."""

    async def speak() -> None:
        while True:
            provider.feed_audio(LOUD)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()


async def test_volume_and_mute_may_be_set_at_any_time_and_stay(sound: FakeSound) -> None:
    provider, seen = MockProvider(), []
    async with AvatarPlayer(provider, log_level="none", volume=0.5) as player:
        assert (player.volume, player.muted) == (0.5, False)
        await player.connect()
        listening = player.audio()
        async with speaking(provider):
            await until(lambda: bool(sound.streams) and heard(sound) == {4000}, "half as loud")
            player.volume = 0.25
            await until(lambda: heard(sound) == {2000}, "a quarter")
            player.muted = True
            await until(lambda: heard(sound) == {0}, "silence")
            sound.cards[0].plugged = False
            await until(lambda: not sound.open_streams(), "the device's end")
            sound.cards[0].plugged = True
            await until(lambda: len(sound.open_streams()) == 1, "the device's return", 10)
            await until(lambda: len(sound.open_streams()[0].played) > 30, "sound")
            assert heard(sound) == {0}
        provider.set_state(ConnectionState.DISCONNECTED)
        await player.reconnect()
        async with speaking(provider):
            player.muted = False
            await until(lambda: heard(sound) == {2000}, "a quarter again")
        await player.disconnect()
        seen = [int(block.samples.max()) async for block in listening]
        assert set(seen) == {8000}, "the program gets the sound as it came"


async def test_without_a_sound_library_it_is_kept_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    provider = MockProvider()
    async with AvatarPlayer(provider, log_level="none") as player:
        player.volume, player.muted = 0.0, True
        await player.connect()
        provider.feed_audio(LOUD)
        await until(lambda: player.stats().audio.blocks_received == 1, "the voice")
        player.volume = 1.0
        assert (player.volume, player.muted) == (1.0, True)


async def test_half_duplex_leaves_the_microphone_open_for_a_voice_nobody_hears(sound: FakeSound) -> None:
    provider = MockProvider()
    options = {"half_duplex": True, "log_level": "none", **NO_PROCESSING}
    async with AvatarPlayer(provider, **options) as player:
        await player.connect()
        await player.start_publishing()
        sent = provider.uplinks[0].blocks

        def is_open() -> bool:
            return bool(sent) and bool(sent[-1].samples.any())

        async with speaking(provider):
            await until(lambda: bool(sent) and not is_open(), "a closed microphone")
            player.muted = True
            await until(is_open, "the microphone of a muted avatar")
            player.volume, player.muted = 0.0, False
            await asyncio.sleep(0.1)
            assert is_open(), "no volume, no voice"
            player.volume = 1.0
            await until(lambda: not is_open(), "a closed microphone again")


@pytest.mark.parametrize("volume", [-0.1, 1.1, float("nan")])
def test_other_volumes_are_refused(volume: float) -> None:
    with pytest.raises(ConfigurationError, match=r"between 0\.0 and 1\.0"):
        AvatarPlayer(MockProvider(), volume=volume)
    player = AvatarPlayer(MockProvider())
    with pytest.raises(ConfigurationError, match=r"between 0\.0 and 1\.0"):
        player.volume = volume
    assert player.volume == 1.0
