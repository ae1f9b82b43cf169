"""What becomes of the microphone and the speaker when the server ends the room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, ConnectionState
from avatarkit_rtc.testing import MockProvider
from tests.support.fake_sound import Card, FakeSound
from tests.support.livekit import until

SILENCE = np.zeros(960, np.int16)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    return FakeSound([Card("USB", inputs=1)]).install(monkeypatch)


def open_kinds(sound: FakeSound) -> Callable[[], list[str]]:
    return lambda: sorted(stream.kind for stream in sound.open_streams())


async def test_they_stay_open_for_a_reconnect_and_are_released_by_disconnect(sound: FakeSound) -> None:
    provider = MockProvider()
    kinds = open_kinds(sound)
    async with AvatarPlayer(provider, log_level="none") as player:
        await player.connect()
        provider.feed_audio(SILENCE)
        await player.start_publishing()
        await until(lambda: player.stats().audio.speaker is not None, "the speaker", 5)
        assert kinds() == ["Input", "Output"]
        provider.set_state(ConnectionState.DISCONNECTED)
        await until(lambda: not player.is_connected, "the end", 5)
        assert kinds() == ["Input", "Output"]
        await player.reconnect()
        await until(lambda: len(provider.uplinks) == 2, "the track", 5)
        assert kinds() == ["Input", "Output"]
        await player.disconnect()
        assert kinds() == []


async def test_a_program_may_release_the_microphone_at_once(sound: FakeSound) -> None:
    provider = MockProvider()
    kinds = open_kinds(sound)
    async with AvatarPlayer(provider, log_level="none") as player:
        player.on("disconnected", player.stop_publishing)
        await player.connect()
        await player.start_publishing()
        provider.set_state(ConnectionState.DISCONNECTED)
        await until(lambda: kinds() == [], "the release", 5)
        await player.reconnect()
        await player.start_publishing()
        assert kinds() == ["Input"]
    assert kinds() == []
