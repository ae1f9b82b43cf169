"""The avatar's track hands out no sound: what a player says and does."""

from __future__ import annotations

import asyncio
from typing import cast

import numpy as np
import pytest

from avatarkit_rtc import connection
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.player_listener import REJOIN_AFTER
from avatarkit_rtc.providers.base import FullListener
from avatarkit_rtc.testing.mock_provider import MockProvider
from tests.support.livekit import until
from tests.support.playing import speak
from tests.support.virtual_loop import on_virtual_time


class Silent:
    """A player whose provider says that the voice has stalled."""

    def __init__(self, **options: bool) -> None:
        self.provider = MockProvider()
        self.player = AvatarPlayer(self.provider, play_audio=False, **options)
        self.stalls: list[str] = []
        self.player.on("audio-stalled", lambda stall: self.stalls.append("track"))
        self.player.on("stalled", lambda stall: self.stalls.append(stall.what))

    def stall(self, times: int = 1) -> None:
        listener = cast("FullListener", self.provider._listener)
        for _ in range(times):
            listener.on_audio_stalled(3.0)


@on_virtual_time
async def test_the_third_in_a_row_while_motion_comes_is_a_stall_of_the_stream() -> None:
    silent = Silent()
    async with silent.player as player:
        await player.connect()
        await speak(silent.provider, 5)
        silent.stall(REJOIN_AFTER)
        assert silent.stalls == ["track"] * REJOIN_AFTER + ["audio"]
        assert player.stats().audio.stalls == REJOIN_AFTER


@on_virtual_time
async def test_sound_in_between_makes_it_count_anew() -> None:
    silent = Silent()
    async with silent.player as player:
        sound = player.audio()
        await player.connect()
        await speak(silent.provider, 5)
        silent.stall(REJOIN_AFTER - 1)
        silent.provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: player.stats().audio.blocks_received == 1, "the sound")
        silent.stall(REJOIN_AFTER - 1)
        assert silent.stalls == ["track"] * (2 * REJOIN_AFTER - 2)
        await sound.aclose()


@on_virtual_time
async def test_without_motion_there_is_no_rejoining() -> None:
    silent = Silent()
    async with silent.player as player:
        await player.connect()
        silent.stall(2 * REJOIN_AFTER)
        await asyncio.sleep(0)
        assert silent.stalls == ["track"] * (2 * REJOIN_AFTER)


@on_virtual_time
async def test_auto_reconnect_joins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REJOIN_PAUSE_S", 0.05)
    silent = Silent(auto_reconnect=True)
    async with silent.player as player:
        causes: list[str] = []
        player.on("reconnect-attempt", lambda attempt: causes.append(attempt.cause))
        await player.connect()
        await speak(silent.provider, 5)
        silent.stall(REJOIN_AFTER)
        await until(lambda: causes == ["stalled"], "joining anew")
