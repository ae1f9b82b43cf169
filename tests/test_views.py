from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.events import RoundEnded, RoundStarted
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.testing.mock_provider import MockProvider
from avatarkit_rtc.views import View
from tests.support.livekit import until
from tests.support.playing import NotingView, Record, speak
from tests.support.virtual_loop import on_virtual_time


class EverythingView(NotingView):
    """Has every optional method."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.blocks: list[AudioBlock] = []
        self.told: list[object] = []

    def sound(self, block: AudioBlock) -> None:
        self.blocks.append(block)

    def round_started(self, event: RoundStarted) -> None:
        self.told.append(event)

    def round_ended(self, event: RoundEnded) -> None:
        self.told.append(event)

    def connection_state(self, state: str) -> None:
        self.told.append(state)


def test_one_method_makes_a_view() -> None:
    assert isinstance(NotingView(), View)
    with pytest.raises(ConfigurationError, match=r"show\(pose\)"):
        AvatarPlayer(MockProvider(), object())  # type: ignore[arg-type]


@on_virtual_time
async def test_a_view_is_told_what_it_has_methods_for() -> None:
    view, provider = EverythingView(), MockProvider()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        await player.connect()
        provider.avatar_joins()
        provider.feed_audio(np.ones(4800, np.int16))
        await speak(provider, 5, end=True)
        await until(lambda: len(view.blocks) == 10, "sound")
        await until(lambda: any(isinstance(told, RoundEnded) for told in view.told), "the end of the round")
    kinds = [told if isinstance(told, str) else type(told) for told in view.told]
    assert kinds == ["connecting", "connected", RoundStarted, RoundEnded, "disconnected"]
    assert player.stats().view_errors == 0


@on_virtual_time
async def test_a_view_that_raises_is_counted_and_playing_goes_on() -> None:
    class Failing(EverythingView):
        def show(self, pose: Pose) -> None:
            super().show(pose)
            raise RuntimeError("cannot draw")

        def round_started(self, event: RoundStarted) -> None:
            raise RuntimeError("cannot start")

        def sound(self, block: AudioBlock) -> None:
            super().sound(block)
            raise RuntimeError("cannot hear")

    view, provider = Failing(), MockProvider()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        provider.feed_audio(np.ones(480, np.int16))
        await speak(provider, 5, end=True)
        await until(lambda: record.count("round-ended"), "the end of the round")
        assert len(view.spoken) == 5
        assert len(view.blocks) == 1
        assert player.stats().view_errors == len(view.poses) + 2


async def test_a_slow_view_delays_and_does_not_break() -> None:
    class Slow(NotingView):
        def show(self, pose: Pose) -> None:
            super().show(pose)
            import time

            time.sleep(0.06)

    view, provider = Slow(), MockProvider()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        await speak(provider, 10, end=True)
        await until(lambda: record.count("round-ended"), "the end of the round")
        positions = [pose.position for pose in view.spoken]
        assert positions == sorted(positions, key=lambda position: position or 0.0)


async def test_closing_the_view_ends_wait_closed() -> None:
    view, provider = EverythingView(), MockProvider()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        closing = asyncio.create_task(player.wait_closed())
        await asyncio.sleep(0.1)
        assert not closing.done()
        view.closed = True
        async with asyncio.timeout(5):
            await closing
        await asyncio.sleep(0.1)
        assert record.count("view-closed") == 1
        assert player.is_connected
