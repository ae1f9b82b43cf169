"""What AvatarPlayer's docstring promises of ``reconnect()``, row by row."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from avatarkit_rtc import connection
from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    ConnectAbortedError,
    ConnectError,
    NotConnectedError,
    RoomNotOwned,
)
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from tests.support.playing import Played, nothing_left
from tests.support.virtual_loop import on_virtual_time


@pytest.fixture(autouse=True)
def _quick_rejoin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REJOIN_PAUSE_S", 0.05)


@on_virtual_time
async def test_two_reconnects_are_one_rejoin_and_return_together() -> None:
    played = Played()
    player = played.player
    await player.connect()
    played.provider.connect_delay = 0.1
    done: list[float] = []

    async def reconnect() -> None:
        await player.reconnect()
        done.append(asyncio.get_running_loop().time())

    await asyncio.gather(reconnect(), reconnect(), reconnect())
    assert played.provider.calls == ["connect", "disconnect", "connect"]
    assert max(done) - min(done) < 0.05
    assert played.record.names == ["connected", "connected"]
    assert played.record.states == ["connecting", "connected", "reconnecting", "connected"]
    await player.disconnect()


@on_virtual_time
async def test_reconnect_while_connecting_joins_it() -> None:
    played = Played()
    player, played.provider.connect_delay = played.player, 0.1
    connecting = asyncio.create_task(player.connect())
    await asyncio.sleep(0.02)
    await player.reconnect()
    assert player.is_connected
    await connecting
    assert played.provider.calls == ["connect"]
    await player.disconnect()


@on_virtual_time
async def test_connect_while_reconnecting_is_refused_from_the_first_moment() -> None:
    played = Played()
    player = played.player
    await player.connect()
    await player.disconnect()
    results = await asyncio.gather(player.reconnect(), player.connect(), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], AlreadyConnectedError)
    assert played.provider.calls.count("connect") == 2
    await player.disconnect()


@on_virtual_time
async def test_disconnect_during_reconnect() -> None:
    played = Played()
    player = played.player
    await player.connect()
    played.provider.connect_delay = 5.0
    both = [asyncio.create_task(player.reconnect()) for _ in range(2)]
    await asyncio.sleep(0.15)
    await player.disconnect()
    assert all(
        isinstance(r, ConnectAbortedError) for r in await asyncio.gather(*both, return_exceptions=True)
    )
    assert player.get_connection_state() == "disconnected"
    assert played.record.names == ["connected", "disconnected"]
    await nothing_left(player)


@on_virtual_time
async def test_reconnect_cancelled() -> None:
    played = Played()
    player = played.player
    await player.connect()
    played.provider.connect_delay = 5.0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(player.reconnect(), 0.15)
    assert player.get_connection_state() == "disconnected"
    assert played.record.names == ["connected", "disconnected"]
    await nothing_left(player)


@on_virtual_time
async def test_a_reconnect_that_only_waited_along_may_be_cancelled() -> None:
    played = Played()
    player = played.player
    await player.connect()
    played.provider.connect_delay = 0.2
    first = asyncio.create_task(player.reconnect())
    await asyncio.sleep(0.02)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(player.reconnect(), 0.05)
    await first
    assert player.is_connected
    await player.disconnect()


@on_virtual_time
async def test_reconnect_after_disconnect_and_after_a_failure() -> None:
    played = Played()
    player = played.player
    await player.connect()
    await player.disconnect()
    await player.reconnect()
    assert player.is_connected
    assert player._motion.running
    played.provider.fail_next_connect(ConnectError("no server"))
    with pytest.raises(ConnectError, match="no server"):
        await player.reconnect()
    assert player.get_connection_state() == "failed"
    assert played.record.payloads("disconnected")[-1].reason is DisconnectReason.JOIN_FAILURE
    await player.wait_closed()
    await player.reconnect()
    assert player.is_connected
    await player.disconnect()
    await nothing_left(player)


@on_virtual_time
async def test_reconnect_of_a_borrowed_room_that_is_down() -> None:
    played = Played()
    await played.player.connect()
    played.provider.fail_next_connect(RoomNotOwned("the borrowed room is down"))
    with pytest.raises(RoomNotOwned):
        await played.player.reconnect()
    await played.player.disconnect()


@on_virtual_time
async def test_a_handler_may_disconnect_in_the_middle_of_a_reconnect() -> None:
    played = Played()
    player = played.player
    await player.connect()

    async def leave(state: str) -> None:
        if state == "reconnecting":
            await player.disconnect()

    player.on("connection-state-changed", leave)
    async with asyncio.timeout(5):
        with pytest.raises(ConnectAbortedError):
            await player.reconnect()
    await nothing_left(player)
    assert played.record.count("error") == 0


@on_virtual_time
async def test_the_connection_is_lost_while_publishing_anew() -> None:
    played = Played()
    player, provider = played.player, played.provider
    await player.connect()
    await player.publish_audio(bytes(16000 * 2), sample_rate=16000, channels=1)
    opening = asyncio.Event()

    async def slow_uplink(**_: object) -> Any:
        opening.set()
        await asyncio.sleep(0.2)
        raise NotConnectedError("gone")

    provider.open_uplink = slow_uplink  # type: ignore[method-assign]
    coming = asyncio.create_task(player.reconnect())
    await opening.wait()
    provider.set_state(ConnectionState.DISCONNECTED, DisconnectReason.SERVER_SHUTDOWN)
    assert player.get_connection_state() == "disconnected"
    with pytest.raises(ConnectError, match="lost again"):
        await coming
    assert played.record.payloads("disconnected")[-1].reason is DisconnectReason.SERVER_SHUTDOWN
    await player.disconnect()
    await nothing_left(player)
