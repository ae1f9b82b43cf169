"""A video avatar in a player, with a provider that is told what to report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, ConfigurationError, Picture
from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.errors import ConnectError
from avatarkit_rtc.events import ClientEvent, ConnectionState, DisconnectReason, Stalled, Transcript
from avatarkit_rtc.player_video import KEPT_S
from avatarkit_rtc.testing.mock_provider import MockProvider
from tests.support.livekit import until
from tests.support.pictures import grey
from tests.support.playing import NotingView, Record
from tests.support.virtual_loop import VirtualLoop, on_virtual_time


class Screen(NotingView):
    """A view that shows pictures, and notes when."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[tuple[float, Picture]] = []
        self.closed = False

    def show_picture(self, picture: Picture) -> None:
        self.pictures.append((asyncio.get_running_loop().time(), picture))


class Cinema(Screen):
    """One that takes the sound, too."""

    picture_format = "bgra"

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[ReceivedAudio] = []

    def sound(self, block: ReceivedAudio) -> None:
        self.blocks.append(block)


@pytest.fixture
def provider() -> MockProvider:
    return MockProvider()


@contextlib.asynccontextmanager
async def playing(provider: MockProvider, view: Any, **options: Any) -> AsyncIterator[AvatarPlayer]:
    async with AvatarPlayer(provider, view, play_audio=False, **options) as player:
        await player.connect()
        provider.avatar_joins()
        yield player


async def feed(provider: MockProvider, count: int, level: int = 128) -> None:
    for _ in range(count):
        provider.feed_picture(grey(asyncio.get_running_loop().time(), level))
        await asyncio.sleep(0.02)


@on_virtual_time
async def test_pictures_take_the_place_of_poses_until_the_avatar_leaves(provider: MockProvider) -> None:
    screen = Screen()
    async with playing(provider, screen) as player:
        await until(lambda: len(screen.poses) > 3, "idle poses")
        assert player.stats().video is None
        await feed(provider, 10)
        assert len(screen.pictures) == 10
        before = len(screen.poses)
        await feed(provider, 10)
        assert len(screen.poses) == before
        stats = player.stats().video
        assert stats is not None
        assert (stats.received, stats.shown, stats.dropped, stats.skipped, stats.size) == (
            20,
            20,
            0,
            0,
            (64, 48),
        )
        assert stats.picture_rate == pytest.approx(50, abs=5)
        json.dumps(player.stats().as_dict())
        times = [picture.presentation_time for _, picture in screen.pictures]
        assert times == sorted(times)  # type: ignore[type-var]
        provider.avatar_leaves()
        await until(lambda: len(screen.poses) > before + 3, "the face again")


async def test_where_no_view_shows_pictures_none_is_fetched(provider: MockProvider) -> None:
    view = NotingView()
    async with playing(provider, view) as player:
        video = provider.start_video()
        await feed(provider, 3)
        assert video.format is None
        assert player.stats().video is None
        assert view.poses


async def test_the_view_names_the_pixel_format_once(provider: MockProvider) -> None:
    async with playing(provider, Cinema()):
        video = provider.start_video()
        await until(lambda: video.format == "bgra", "the format")

    class Wrong(Screen):
        picture_format = "yuyv"

    with pytest.raises(ConfigurationError, match="yuyv"):
        AvatarPlayer(MockProvider(), Wrong())


@on_virtual_time
async def test_a_picture_waits_for_its_sound_and_both_have_one_time(provider: MockProvider) -> None:
    """A picture is handed out as it is sent, its sound 0.15 s later."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.hang(1000.0)  # moments are something else than presentation times, which begin at 0
    cinema, path_s, sent = Cinema(), 0.15, math.inf

    async def speak() -> None:
        begin = loop.time()
        for k in range(1000):
            loud = loop.time() >= sent + path_s
            provider.feed_audio(np.full(480, 9 if loud else 0, np.int16))
            if k == 0:
                assert provider._feed is not None
                provider._feed.path_delay_s = AsyncMock(return_value=path_s)  # type: ignore[method-assign]
            await asyncio.sleep(begin + 0.01 * (k + 1) - loop.time())

    async with playing(provider, cinema) as player:
        speaking = asyncio.create_task(speak())
        await asyncio.sleep(1.0)
        provider.start_video()
        await asyncio.sleep(0.1)  # the picture's own path is asked for
        for level in range(20, 45):
            provider.feed_picture(grey(loop.time(), level))
            if level == 40:
                sent = loop.time()
            await asyncio.sleep(0.03)
        await until(lambda: len(cinema.pictures) == 25, "all of them")
        await until(lambda: any(each.samples[0, 0] == 9 for each in cinema.blocks), "its sound")
        speaking.cancel()
        shown, picture = cinema.pictures[20]
        block = next(each for each in cinema.blocks if each.samples[0, 0] == 9)
        assert shown == pytest.approx(block.t, abs=0.011)
        assert picture.presentation_time == pytest.approx(block.presentation_time, abs=0.011)
        stats = player.stats().video
        assert stats is not None
        assert stats.wait_ms == pytest.approx(1000 * path_s, abs=1)
        assert stats.av_offset_ms == pytest.approx(0.0, abs=1)


@on_virtual_time
async def test_a_view_that_raises_is_counted_and_playing_goes_on(provider: MockProvider) -> None:
    class Broken(Screen):
        def show_picture(self, picture: Picture) -> None:
            super().show_picture(picture)
            raise RuntimeError("out of paint")

    broken = Broken()
    async with playing(provider, broken) as player:
        await feed(provider, 5)
        assert player.stats().view_errors == len(broken.pictures) == 5


async def test_a_view_closed_during_pictures_ends_the_player(provider: MockProvider) -> None:
    screen = Screen()
    async with playing(provider, screen) as player:
        await feed(provider, 2)
        screen.closed = True
        provider.mute_video(True)
        await asyncio.wait_for(player.wait_closed(), 5)


async def test_a_blocked_loop_shows_the_newest_and_counts_the_rest(provider: MockProvider) -> None:
    screen = Screen()
    async with playing(provider, screen) as player:
        await feed(provider, 2)
        for level in range(20, 30):
            provider.feed_picture(grey(asyncio.get_running_loop().time(), level))
        await until(lambda: len(screen.pictures) == 3, "the newest")
        assert screen.pictures[-1][1].data[0] == 29
        assert player.stats().video.dropped == 9  # type: ignore[union-attr]


@on_virtual_time
async def test_no_pictures_is_a_stall_while_subscribed_and_unmuted(provider: MockProvider) -> None:
    screen = Screen()
    async with playing(provider, screen, stall_timeout_s=0.3) as player:
        record = Record(player)
        await asyncio.sleep(0.5)
        assert record.count("stalled") == 0  # no track, no stall
        provider.start_video()
        await until(lambda: record.count("stalled") == 1, "a first picture that never comes")
        await feed(provider, 3)
        await until(lambda: record.count("stalled") == 2, "a stall")
        stalled: Stalled = record.payloads("stalled")[-1]
        assert stalled.what == "video"
        assert stalled.round is None
        assert stalled.silence_s == pytest.approx(0.3, abs=0.2)
        await asyncio.sleep(0.5)
        assert record.count("stalled") == 2  # once per stall
        await feed(provider, 3)
        provider.mute_video(True)
        await asyncio.sleep(0.6)
        assert record.count("stalled") == 2
        assert player.stats().video.muted  # type: ignore[union-attr]
        provider.mute_video(False)
        await until(lambda: record.count("stalled") == 3, "a stall after unmuting")
        provider.end_video()
        await asyncio.sleep(0.5)
        assert record.count("stalled") == 3
        assert player.stats().video.stalls == 3  # type: ignore[union-attr]


@on_virtual_time
async def test_a_connection_that_is_being_rebuilt_is_no_stall(provider: MockProvider) -> None:
    async with playing(provider, Screen(), stall_timeout_s=0.3) as player:
        record = Record(player)
        await feed(provider, 2)
        provider.set_state(ConnectionState.RECONNECTING)
        await asyncio.sleep(0.6)
        assert record.count("stalled") == 0
        provider.set_state(ConnectionState.CONNECTED)
        await until(lambda: record.count("stalled") == 1, "the timer anew")


@on_virtual_time
async def test_stalled_brings_a_video_avatar_back_by_reconnect(provider: MockProvider) -> None:
    screen = Screen()
    async with playing(provider, screen, stall_timeout_s=0.4) as player:
        record = Record(player)
        player.on("stalled", player.reconnect)
        await feed(provider, 3)
        await until(lambda: provider.calls.count("connect") == 2, "the reconnect")
        await until(lambda: player.is_connected, "the connection")
        provider.avatar_joins()
        poses = len(screen.poses)
        # Its pictures count as what the reconnect was to bring, though no motion comes.
        for _ in range(40):
            await feed(provider, 1)
        assert record.count("stalled") == 1
        assert len(screen.poses) == poses  # the last picture stood meanwhile


@on_virtual_time
async def test_auto_reconnect_takes_pictures_for_signs_of_life(provider: MockProvider) -> None:
    async with playing(provider, Screen(), auto_reconnect=True, stall_timeout_s=1.0) as player:
        record = Record(player)
        await feed(provider, 3)
        provider.set_state(ConnectionState.DISCONNECTED, DisconnectReason.SERVER_SHUTDOWN)
        await until(lambda: provider.calls.count("connect") == 2, "the rejoin", timeout_s=10)
        await until(lambda: player.is_connected, "the connection")
        await feed(provider, 5)
        await until(lambda: record.count("reconnect-succeeded") == 1, "success")


@on_virtual_time
async def test_the_last_picture_stays_for_a_while_when_the_track_ends(
    provider: MockProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEPT_S > 1.0  # a rejoin takes that long
    monkeypatch.setattr("avatarkit_rtc.player_video.KEPT_S", 0.3)
    screen = Screen()
    async with playing(provider, screen):
        await feed(provider, 3)
        poses = len(screen.poses)
        provider.end_video()
        await asyncio.sleep(0.15)
        assert len(screen.poses) == poses
        await until(lambda: len(screen.poses) > poses, "the face")


async def test_disconnect_and_failed_connects_leave_nothing(provider: MockProvider) -> None:
    screen = Screen()
    async with playing(provider, screen) as player:
        video = provider.start_video()
        await feed(provider, 3)
        poses = len(screen.poses)
        await player.disconnect()
        assert video.closed
        await until(lambda: len(screen.poses) > poses, "the way to idle")
        provider.fail_next_connect(ConnectError("no"))
        with pytest.raises(ConnectError):
            await player.connect()
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")


async def test_a_feed_that_fails_is_an_error_and_no_more(provider: MockProvider) -> None:
    async with playing(provider, Screen()) as player:
        record = Record(player)
        video = provider.start_video()

        def broken(_: object) -> None:
            raise RuntimeError("no decoder")

        video.pictures = broken  # type: ignore[method-assign, assignment]
        await until(lambda: record.count("error") == 1, "the error")
        assert player.is_connected


async def test_transcripts_and_client_events_are_typed_events(provider: MockProvider) -> None:
    async with playing(provider, Screen()) as player:
        record = Record(player)
        provider.feed_message(
            b'{"type": "transcription", "role": "user", "turn": 2, "text": "Hello"}', "worker:7"
        )
        provider.feed_message(b'{"type": "client_event", "tool": "show", "args": {"page": 3}}')
        provider.feed_message(b"rubbish")
        assert record.payloads("transcript") == [
            Transcript("user-2", "Hello", False, "user", 2, "Hello", "worker:7")
        ]
        assert record.payloads("client-event") == [ClientEvent("show", {"page": 3}, "mock-avatar")]
        assert player.get_connection_state() == "connected"
