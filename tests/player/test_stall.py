"""The avatar falls silent: when that is a stall, and what may be done about it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from avatarkit_rtc import connection
from avatarkit_rtc.events import ConnectionState
from avatarkit_rtc.motion.packet import encode_idle
from tests.support.livekit import until
from tests.support.playing import Played, speak
from tests.support.virtual_loop import on_virtual_time

TIMEOUT_S = 0.5


@pytest.fixture(autouse=True)
def _quick_rejoin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REJOIN_PAUSE_S", 0.05)


def played_with(**options: Any) -> Played:
    return Played(**{"stall_timeout_s": TIMEOUT_S, **options})


@on_virtual_time
async def test_by_default_a_stall_comes_after_three_seconds_and_once() -> None:
    played = played_with(stall_timeout_s=3.0)
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        last = player._motion.stream.last_activity
        assert last is not None
        await until(lambda: played.record.count("stalled"), "the stall")
        assert 3.0 <= played.record.times("stalled")[0] - last <= 3.5
        await asyncio.sleep(1.0)
        assert played.record.count("stalled") == 1
        assert played.view.idles
        assert player.is_connected


@on_virtual_time
async def test_frames_that_come_again_play_and_may_stall_again() -> None:
    played = played_with()
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        await until(lambda: played.record.count("stalled") == 1, "the first stall")
        await speak(played.provider, 5, first=5)
        await until(lambda: played.record.count("stalled") == 2, "the second stall")
        assert played.record.names == [
            "connected",
            *("round-started", "round-ended", "stalled"),
            *("round-started", "round-ended", "stalled"),
        ]
        assert {pose.position for pose in played.view.spoken} >= {5.0, 6.0, 7.0}


@on_virtual_time
async def test_packets_of_any_kind_keep_a_round_alive() -> None:
    played = played_with()
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 3)
        for _ in range(4):
            await asyncio.sleep(TIMEOUT_S / 2)
            played.provider.feed_packet(encode_idle())
        assert played.record.count("stalled") == 0


@on_virtual_time
async def test_a_stall_can_be_switched_off() -> None:
    played = played_with(stall_timeout_s=math.inf)
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 3)
        await asyncio.sleep(0.6)
        assert played.record.count("stalled") == 0


@on_virtual_time
async def test_silence_before_and_between_rounds_is_no_stall() -> None:
    played = played_with()
    async with played.player as player:
        await player.connect()
        await asyncio.sleep(2 * TIMEOUT_S)
        await speak(played.provider, 3, end=True)
        await asyncio.sleep(2 * TIMEOUT_S)
        assert played.record.count("stalled") == 0


@on_virtual_time
async def test_silence_between_rounds_is_a_stall_with_watch_idle() -> None:
    played = played_with(watch_idle=True)
    async with played.player as player:
        await player.connect()
        await asyncio.sleep(2.5 * TIMEOUT_S)
        assert played.record.count("stalled") == 1
        assert played.record.payloads("stalled")[0].round is None


@on_virtual_time
async def test_silence_after_a_reconnect_is_a_stall_each_time() -> None:
    played = played_with()
    async with played.player as player:
        await player.connect()
        await player.reconnect()
        await until(lambda: played.record.count("stalled") == 1, "the stall after the first reconnect")
        await player.reconnect()
        await until(lambda: played.record.count("stalled") == 2, "the stall after the second")
        await player.reconnect()
        played.provider.feed_packet(encode_idle())
        await asyncio.sleep(2 * TIMEOUT_S)
        assert played.record.count("stalled") == 2


@on_virtual_time
async def test_reconnecting_is_no_stall_and_the_timer_starts_anew() -> None:
    played = played_with(watch_idle=True)
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        played.provider.set_state(ConnectionState.RECONNECTING)
        await asyncio.sleep(2 * TIMEOUT_S)
        assert played.record.count("stalled") == 0
        assert played.view.idles
        played.provider.set_state(ConnectionState.CONNECTED)
        await asyncio.sleep(0.6 * TIMEOUT_S)
        assert played.record.count("stalled") == 0
        await until(lambda: played.record.count("stalled") == 1, "the stall")


@pytest.mark.parametrize("times", [1, 3])
@on_virtual_time
async def test_the_documented_handler_rejoins_until_motion_comes(times: int) -> None:
    played = played_with()
    player, provider = played.player, played.provider
    async with player:
        player.on("stalled", player.reconnect)
        await player.connect()
        await speak(provider, 5)
        await until(lambda: provider.calls.count("connect") == 1 + times, "rejoins")
        await until(lambda: player.is_connected, "the connection")
        await speak(provider, 5, end=True)
        await until(lambda: played.record.count("round-ended") == 2, "the next round")
        await asyncio.sleep(1.5 * TIMEOUT_S)
        assert played.record.count("stalled") == times
        assert played.record.count("error") == 0
        assert [pose.position for pose in played.view.spoken if pose.round == 2] == [0, 1, 2, 3, 4]


@on_virtual_time
async def test_disconnect_in_the_middle_of_the_documented_handler() -> None:
    played = played_with()
    player = played.player
    player.on("stalled", player.reconnect)
    await player.connect()
    await speak(played.provider, 3)
    played.provider.connect_delay = 5.0
    await until(lambda: played.provider.calls.count("connect") == 2, "the rejoin")
    await player.disconnect()
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")
    assert played.record.count("error") == 0
    assert player.get_connection_state() == "disconnected"
