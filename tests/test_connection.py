from __future__ import annotations

import asyncio
from typing import Any

import pytest

from avatarkit_rtc import connection as connection_module
from avatarkit_rtc.connection import Connection
from avatarkit_rtc.errors import AlreadyConnectedError, ConnectAbortedError, ConnectError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.base import AudioFeed, ConnectionConfig
from avatarkit_rtc.testing.mock_provider import MockProvider
from tests.support.livekit import until
from tests.support.virtual_loop import on_virtual_time

CONFIG = ConnectionConfig(url="ws://host", token="hush")


class Hooks:
    """Takes down what the connection asks for."""

    def __init__(self, policy: ReconnectPolicy | None = None, provider: MockProvider | None = None) -> None:
        self.log: list[str] = []
        self.provider = provider or MockProvider()
        self.connection = Connection(self.provider, policy, self, self.emit, motion_timeout_s=0.2)
        self.provider.set_listener(Listener(self.connection))

    def emit(self, name: str, payload: Any = None) -> None:
        if name == "connection-state-changed":
            self.log.append(f"state {payload}")
        elif name == "disconnected":
            self.log.append(f"disconnected {payload.reason}")
        else:
            self.log.append(name)

    def connection_opening(self) -> None:
        self.log.append("opening")

    async def connection_made(self, *, again: bool, expect_motion: bool) -> None:
        self.log.append("made again" if again else "made")
        assert again == expect_motion

    def connection_lost(self, reason: RoundEndReason, *, left: bool) -> None:
        self.log.append("left" if left else "lost")

    async def connection_closed(self) -> None:
        await asyncio.sleep(0)
        self.log.append("closed")

    def taken(self) -> list[str]:
        log, self.log = self.log, []
        return log


class Listener:
    """Passes on the states of the connection only."""

    def __init__(self, connection: Connection) -> None:
        self.on_connection_state = connection.provider_state

    def on_motion_packet(self, data: bytes) -> None: ...
    def on_avatar_joined(self, identity: str) -> None: ...
    def on_avatar_left(self, identity: str) -> None: ...
    def on_audio(self, feed: AudioFeed) -> None: ...
    def on_audio_ended(self) -> None: ...
    def on_token_refreshed(self) -> None: ...
    def on_provider_error(self, error: Exception) -> None: ...


@pytest.fixture(autouse=True)
def _quick_rejoin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "REJOIN_PAUSE_S", 0.02)


@on_virtual_time
async def test_the_order_of_things() -> None:
    hooks = Hooks()
    await hooks.connection.connect(CONFIG)
    assert hooks.taken() == ["opening", "state connecting", "state connected", "connected", "made"]
    await hooks.connection.reconnect()
    assert hooks.taken() == [
        *("left", "opening", "state reconnecting"),
        *("state connected", "connected", "made again"),
    ]
    hooks.provider.set_state(ConnectionState.RECONNECTING)
    hooks.provider.set_state(ConnectionState.CONNECTED)
    await asyncio.sleep(0)
    assert hooks.taken() == ["lost", "state reconnecting", "state connected", "connected", "made"]
    await hooks.connection.disconnect()
    assert hooks.taken() == ["left", "closed", "state disconnected", "disconnected client-initiated"]
    stats = hooks.connection.stats()
    assert (stats.connects, stats.interruptions, stats.state) == (2, 1, "disconnected")


@on_virtual_time
async def test_a_failed_first_join_is_closed_and_not_announced() -> None:
    hooks = Hooks()
    hooks.provider.fail_next_connect(ConnectError("no"))
    with pytest.raises(ConnectError):
        await hooks.connection.connect(CONFIG)
    assert hooks.taken() == ["opening", "state connecting", "closed", "state failed"]
    assert hooks.connection.stats().last_disconnect is None


@on_virtual_time
async def test_a_loss_is_counted_once_until_it_is_over() -> None:
    hooks = Hooks(ReconnectPolicy(first_delay_s=0.02, jitter=0.0))
    await hooks.connection.connect(CONFIG)
    hooks.provider.set_state(ConnectionState.RECONNECTING)
    hooks.provider.set_state(ConnectionState.DISCONNECTED, DisconnectReason.SIGNAL_CLOSED)
    await until(lambda: "reconnect-succeeded" in hooks.log, "the way back")
    assert hooks.connection.stats().interruptions == 1
    assert hooks.connection.stats().last_disconnect is DisconnectReason.SIGNAL_CLOSED
    await hooks.connection.disconnect()


@on_virtual_time
async def test_a_connection_that_is_lost_before_connect_returns() -> None:
    class Lost(MockProvider):
        async def connect(self, config: ConnectionConfig) -> None:
            await super().connect(config)
            self.set_state(ConnectionState.DISCONNECTED, DisconnectReason.PARTICIPANT_REMOVED)

    hooks = Hooks(provider=Lost())
    with pytest.raises(ConnectError, match="lost again at once"):
        await hooks.connection.connect(CONFIG)
    assert hooks.connection.state is ConnectionState.FAILED
    assert hooks.log[-2:] == ["state failed", "disconnected join-failure"]


@on_virtual_time
async def test_a_borrowed_room_that_is_on_its_way_back() -> None:
    class Resuming(MockProvider):
        async def connect(self, config: ConnectionConfig) -> None:
            self.set_state(ConnectionState.RECONNECTING)

    hooks = Hooks(provider=Resuming())
    await hooks.connection.connect(CONFIG)
    assert hooks.connection.state is ConnectionState.RECONNECTING
    hooks.provider.set_state(ConnectionState.CONNECTED)
    await asyncio.sleep(0)
    assert hooks.connection.state is ConnectionState.CONNECTED
    assert "made" in hooks.log
    await hooks.connection.disconnect()


@on_virtual_time
async def test_coming_back_waits_until_what_ended_is_taken_down() -> None:
    class Slow(MockProvider):
        leaving = False

        async def connect(self, config: ConnectionConfig) -> None:
            assert not self.leaving
            await super().connect(config)

        async def disconnect(self) -> None:
            self.leaving = True
            await asyncio.sleep(0.1)
            await super().disconnect()
            self.leaving = False

    provider = Slow()
    hooks = Hooks(provider=provider)
    await hooks.connection.connect(CONFIG)
    provider.set_state(ConnectionState.DISCONNECTED, DisconnectReason.ROOM_DELETED)
    assert hooks.connection.state is ConnectionState.DISCONNECTED
    await hooks.connection.connect(CONFIG)
    leaving = asyncio.create_task(hooks.connection.disconnect())
    await asyncio.sleep(0)
    results = await asyncio.gather(
        hooks.connection.connect(CONFIG), hooks.connection.connect(CONFIG), return_exceptions=True
    )
    assert results[0] is None
    assert isinstance(results[1], AlreadyConnectedError)
    await leaving
    assert hooks.connection.state is ConnectionState.CONNECTED
    await hooks.connection.disconnect()


@on_virtual_time
async def test_a_handler_of_failed_may_try_again_at_once() -> None:
    hooks = Hooks()
    retries: list[asyncio.Task[None]] = []
    emit = hooks.emit

    def retry(name: str, payload: Any = None) -> None:
        emit(name, payload)
        if payload == "failed" and not retries:
            retries.append(asyncio.create_task(hooks.connection.connect(CONFIG)))

    hooks.connection._emit = retry
    hooks.provider.fail_next_connect(ConnectError("no"))
    with pytest.raises(ConnectError):
        await hooks.connection.connect(CONFIG)
    await retries[0]
    assert hooks.connection.state is ConnectionState.CONNECTED
    await hooks.connection.disconnect()


@on_virtual_time
async def test_any_mix_of_calls_ends_disconnected_and_leaves_nothing() -> None:
    hooks = Hooks(ReconnectPolicy(first_delay_s=0.01, jitter=0.0))
    hooks.provider.connect_delay = 0.01
    connection = hooks.connection
    await connection.connect(CONFIG)
    for number in range(30):
        calls = [connection.reconnect(), connection.disconnect(), connection.connect(CONFIG)]
        tasks = [asyncio.create_task(call) for call in calls[number % 3 :] + calls[: number % 3]]
        await asyncio.sleep(0.005 * (number % 5))
        if number % 4 == 0:
            hooks.provider.set_state(ConnectionState.DISCONNECTED, DisconnectReason.SIGNAL_CLOSED)
        if number % 7 == 0:
            tasks[number % 3].cancel()
        async with asyncio.timeout(5):
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                assert isinstance(error, AlreadyConnectedError | ConnectAbortedError | ConnectError)
    async with asyncio.timeout(5):
        await connection.disconnect()
        await connection.wait_closed()
    assert connection.state is ConnectionState.DISCONNECTED
    assert hooks.provider.get_connection_state() is ConnectionState.DISCONNECTED
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")
    assert hooks.log.count("error") == 0
