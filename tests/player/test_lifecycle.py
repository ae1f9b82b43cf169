"""What AvatarPlayer's docstring promises, row by row."""

from __future__ import annotations

import asyncio
import json

import pytest

from avatarkit_rtc import connection
from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    AvatarTimeoutError,
    ConfigurationError,
    ConnectAbortedError,
    ConnectError,
    NotConnectedError,
)
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.options import LiveKitConnectionConfig
from tests.support.livekit import until
from tests.support.playing import Played, frame_packet, nothing_left, speak
from tests.support.virtual_loop import on_virtual_time


@pytest.fixture(autouse=True)
def _quick_rejoin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REJOIN_PAUSE_S", 0.05)


@on_virtual_time
async def test_connect_and_disconnect() -> None:
    played = Played()
    player = played.player
    assert player.get_connection_state() == "disconnected"
    await player.connect(url="ws://host", token="token", room_name="room", timeout=7.0)
    assert player.is_connected
    config = played.provider.configs[0]
    assert (config.url, config.token, config.room_name, config.timeout_s) == ("ws://host", "token", "room", 7)
    await asyncio.sleep(0.1)
    await player.disconnect()
    assert not player.is_connected
    assert played.record.names == ["connected", "disconnected"]
    assert played.record.states == ["connecting", "connected", "disconnected"]
    assert played.record.payloads("disconnected")[0].reason is DisconnectReason.CLIENT_INITIATED
    await nothing_left(player)


@on_virtual_time
async def test_connect_while_connecting_or_connected_changes_nothing() -> None:
    played = Played()
    player, played.provider.connect_delay = played.player, 0.2
    connecting = asyncio.create_task(player.connect())
    await asyncio.sleep(0.05)
    with pytest.raises(AlreadyConnectedError, match="disconnect"):
        await player.connect()
    await connecting
    with pytest.raises(AlreadyConnectedError, match="reconnect"):
        await player.connect()
    assert player.is_connected
    assert played.provider.calls == ["connect"]
    await player.disconnect()


@on_virtual_time
async def test_connect_takes_a_configuration_or_arguments() -> None:
    player = Played().player
    config = LiveKitConnectionConfig(url="ws://host", token="token")
    with pytest.raises(ConfigurationError, match="not both"):
        await player.connect(config, url="ws://host")
    with pytest.raises(ConfigurationError, match="not str"):
        await player.connect("ws://host")  # type: ignore[arg-type]
    await player.connect(config)
    await player.disconnect()


@on_virtual_time
async def test_disconnect_during_connect() -> None:
    played = Played()
    player, played.provider.connect_delay = played.player, 5.0
    connecting = asyncio.create_task(player.connect())
    await asyncio.sleep(0.05)
    await player.disconnect()
    with pytest.raises(ConnectAbortedError):
        await connecting
    assert player.get_connection_state() == "disconnected"
    assert played.record.names == []
    assert played.record.states == ["connecting", "disconnected"]
    await nothing_left(player)


@on_virtual_time
async def test_connect_cancelled() -> None:
    played = Played()
    player, played.provider.connect_delay = played.player, 5.0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(player.connect(), 0.05)
    assert player.get_connection_state() == "disconnected"
    assert played.record.names == []
    await nothing_left(player)
    played.provider.connect_delay = 0.0
    await player.connect()
    await player.disconnect()


@on_virtual_time
async def test_connect_that_fails_leaves_nothing_and_may_be_tried_again() -> None:
    played = Played()
    player = played.player
    played.provider.fail_next_connect(ConnectError("no server"))
    with pytest.raises(ConnectError, match="no server"):
        await player.connect()
    assert player.get_connection_state() == "failed"
    assert played.record.names == []
    await player.wait_closed()
    await nothing_left(player)
    await player.connect()
    assert player.is_connected
    await asyncio.sleep(0.1)
    assert played.view.poses
    await player.disconnect()


@on_virtual_time
async def test_a_failure_of_the_library_becomes_an_error_without_the_token() -> None:
    played = Played()
    played.provider.fail_next_connect(RuntimeError("GET /rtc?access_token=hush-hush failed"))
    with pytest.raises(ConnectError, match="RuntimeError") as caught:
        await played.player.connect(url="ws://host", token="hush-hush")
    assert "hush" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)


@on_virtual_time
async def test_use_before_connect() -> None:
    played = Played()
    player = played.player
    with pytest.raises(NotConnectedError, match=r"call connect\(\) first"):
        await player.reconnect()
    with pytest.raises(NotConnectedError, match=r"call connect\(\) first"):
        await player.start_publishing()
    with pytest.raises(NotConnectedError, match=r"call connect\(\) first"):
        await player.publish_audio(b"\0\0", sample_rate=16000, channels=1)
    player.flush()
    await player.stop_publishing()
    await player.unpublish_audio()
    await player.disconnect()
    await player.wait_closed()
    assert player.get_native_client() is None
    assert json.dumps(player.stats().as_dict())
    with pytest.raises(AvatarTimeoutError, match=r"0\.01 s"):
        await player.wait_for_avatar(0.01)
    assert played.record.events == []
    assert not player._motion.running
    await nothing_left(player)


@on_virtual_time
async def test_disconnect_twice_and_at_once() -> None:
    played = Played()
    player = played.player
    await player.connect()
    await asyncio.gather(*(player.disconnect() for _ in range(3)))
    await player.disconnect()
    assert played.record.count("disconnected") == 1
    await nothing_left(player)


@on_virtual_time
async def test_disconnect_goes_on_when_its_caller_is_cancelled() -> None:
    played = Played()
    player = played.player
    await player.connect()
    await player.publish_audio(bytes(3200 * 2), sample_rate=16000, channels=1)
    leaving = asyncio.create_task(player.disconnect())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    await nothing_left(player)
    assert player.get_connection_state() == "disconnected"
    assert player.stats().audio.custom_blocks_sent is None


@pytest.mark.parametrize("again", ["connect", "reconnect"])
@on_virtual_time
async def test_a_handler_of_disconnected_may_come_back_at_once(again: str) -> None:
    played = Played()
    player = played.player

    async def come_back() -> None:
        player.off("disconnected", come_back)
        await getattr(player, again)()

    player.on("disconnected", come_back)
    await player.connect()
    await player.disconnect()
    await until(lambda: player.is_connected, "the way back")
    shown = len(played.view.poses)
    await asyncio.sleep(0.3)
    assert player.is_connected
    assert len(played.view.poses) > shown
    assert player._motion.running
    await player.disconnect()
    await nothing_left(player)


@on_virtual_time
async def test_the_server_ends_the_room() -> None:
    played = Played(stall_timeout_s=0.3)
    player, provider = played.player, played.provider
    await player.connect()
    provider.avatar_joins()
    await speak(provider, 6)
    provider.set_state(ConnectionState.DISCONNECTED, DisconnectReason.ROOM_DELETED)
    async with asyncio.timeout(5):
        await player.wait_closed()
    await asyncio.sleep(0.6)
    assert played.record.names == [
        "connected",
        "avatar-joined",
        "round-started",
        "round-ended",
        "disconnected",
    ]
    assert played.record.payloads("disconnected")[0].reason is DisconnectReason.ROOM_DELETED
    assert played.record.payloads("round-ended")[0].reason is RoundEndReason.CONNECTION_LOST
    assert played.view.idles
    stats = player.stats()
    assert stats.avatar is None
    assert (stats.connection.interruptions, stats.connection.last_disconnect) == (1, "room-deleted")
    await player.disconnect()
    assert player.stats().connection.last_disconnect == "room-deleted"
    assert played.record.count("disconnected") == 1
    await nothing_left(player)


@on_virtual_time
async def test_packets_after_the_end_begin_no_round() -> None:
    played = Played()
    player = played.player
    await player.connect()
    await player.disconnect()
    played.provider.feed_packet(frame_packet(0, start=True))
    assert played.record.count("round-started") == 0
    await nothing_left(player)


@on_virtual_time
async def test_the_avatar_leaves_and_comes_back() -> None:
    played = Played(stall_timeout_s=0.3)
    player, provider = played.player, played.provider
    await player.connect()
    waiting = asyncio.create_task(player.wait_for_avatar(5))
    await asyncio.sleep(0)
    provider.avatar_joins()
    assert await waiting == "mock-avatar"
    await speak(provider, 6)
    provider.avatar_leaves()
    assert player.stats().avatar is None
    await asyncio.sleep(0.6)
    assert played.view.idles
    assert played.record.payloads("round-ended")[0].reason is RoundEndReason.AVATAR_LEFT
    provider.avatar_joins()
    assert await player.wait_for_avatar(0) == "mock-avatar"
    await speak(provider, 6, end=True)
    await until(lambda: played.record.count("round-ended") == 2, "the second round's end")
    assert played.record.count("avatar-left") == 1
    assert played.record.count("stalled") == 0
    assert {pose.round for pose in played.view.spoken} == {1, 2}
    await player.disconnect()


@on_virtual_time
async def test_an_avatar_that_comes_and_goes_in_one_moment_is_not_waited_for_in_vain() -> None:
    played = Played()
    player, provider = played.player, played.provider
    await player.connect()
    waiting = asyncio.create_task(player.wait_for_avatar(5))
    await asyncio.sleep(0.01)
    provider.avatar_joins()
    provider.avatar_leaves()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    provider.avatar_joins()
    assert await waiting == "mock-avatar"
    await player.disconnect()


@on_virtual_time
async def test_the_avatar_is_still_there_when_the_library_has_resumed_the_session() -> None:
    played = Played()
    player, provider = played.player, played.provider
    await player.connect()
    provider.avatar_joins()
    provider.set_state(ConnectionState.RECONNECTING)
    assert player.get_connection_state() == "reconnecting"
    provider.set_state(ConnectionState.CONNECTED)
    assert await player.wait_for_avatar(0.5) == "mock-avatar"
    assert player.stats().connection.interruptions == 1
    assert player.stats().connection.connects == 1
    await player.disconnect()


@on_virtual_time
async def test_async_with_disconnects_also_when_its_body_raises() -> None:
    player = Played().player

    async def session() -> None:
        async with player:
            await player.connect()
            await asyncio.sleep(0.1)
            raise KeyError

    with pytest.raises(KeyError):
        await session()
    assert player.get_connection_state() == "disconnected"
    assert not player._motion.running
    assert len(asyncio.all_tasks()) == 1


@on_virtual_time
async def test_a_provider_that_fails_to_disconnect_is_reported_and_left() -> None:
    played = Played()
    player = played.player
    await player.connect()

    async def fails() -> None:
        raise RuntimeError("cannot leave")

    played.provider.disconnect = fails  # type: ignore[method-assign]
    await player.disconnect()
    assert player.get_connection_state() == "disconnected"
    assert [type(error) for error in played.record.payloads("error")] == [RuntimeError]


@on_virtual_time
async def test_events_of_the_provider_are_passed_on() -> None:
    played = Played()
    await played.player.connect()
    played.provider.refresh_token()
    played.provider.report_error(ValueError("x"))
    assert played.record.names == ["connected", "token-refreshed", "error"]
    await played.player.disconnect()
