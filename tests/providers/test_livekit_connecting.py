"""LiveKitProvider: joining a room, giving up joining, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import pytest
from livekit import rtc

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    ConfigurationError,
    ConnectAbortedError,
    ConnectError,
    ConnectTimeoutError,
    NotConnectedError,
    RoomMismatchError,
)
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.base import ConnectionConfig, Provider
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.testing.server import LocalServer
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.room_peer import Notes, Peer

CONNECTED = ConnectionState.CONNECTED
MINT = Callable[..., str]


class TestConnecting:
    async def test_satisfies_the_protocol(self, provider: LiveKitProvider) -> None:
        assert isinstance(provider, Provider)
        assert provider.owns_connection
        assert provider.get_native_client() is None
        assert provider.get_connection_state() is ConnectionState.DISCONNECTED

    async def test_native_client_is_the_room_while_connected(
        self, provider: LiveKitProvider, config: ConnectionConfig, room_name: str
    ) -> None:
        await provider.connect(config)
        room = provider.get_native_client()
        assert isinstance(room, rtc.Room)
        assert room.name == room_name
        assert provider.get_connection_state() is CONNECTED
        await provider.disconnect()
        await provider.disconnect()
        assert provider.get_native_client() is None
        assert not room.isconnected()

    async def test_connect_while_connected_or_connecting_is_an_error(
        self, provider: LiveKitProvider, config: ConnectionConfig
    ) -> None:
        first = asyncio.create_task(provider.connect(config))
        await asyncio.sleep(0)
        with pytest.raises(AlreadyConnectedError):
            await provider.connect(config)
        await first
        with pytest.raises(AlreadyConnectedError):
            await provider.connect(config)
        assert provider.get_connection_state() is CONNECTED

    async def test_can_connect_again_after_disconnect(
        self, provider: LiveKitProvider, notes: Notes, config: ConnectionConfig
    ) -> None:
        for _ in range(2):
            await provider.connect(config)
            await provider.disconnect()
        assert notes.states == [ConnectionState.CONNECTING, CONNECTED, ConnectionState.DISCONNECTED] * 2

    async def test_token_refresh_is_reported(
        self, provider: LiveKitProvider, notes: Notes, config: ConnectionConfig
    ) -> None:
        await provider.connect(config)
        await until(lambda: notes.named("token refreshed"), "the server's fresh token")

    @pytest.mark.parametrize("kind", ["plain", "async", "lambda"])
    async def test_token_provider_is_asked_each_time(
        self, kind: str, livekit_server: LiveKitServer, join_token: MINT, provider: LiveKitProvider
    ) -> None:
        asked = []

        def plain() -> str:
            asked.append(time.monotonic())
            time.sleep(0.05)  # blocking, as such functions are
            return join_token(f"visitor-{len(asked)}")

        async def coroutine() -> str:
            return plain()

        chosen = {"plain": plain, "async": coroutine, "lambda": lambda: asyncio.sleep(0, plain())}[kind]
        config = ConnectionConfig(livekit_server.url, token="unused", token_provider=chosen)
        for number in (1, 2):
            await provider.connect(config)
            room = provider.get_native_client()
            assert room is not None
            assert room.local_participant.identity == f"visitor-{number}"
            await provider.disconnect()
        assert len(asked) == 2

    async def test_reconnects_are_paced(self, provider: LiveKitProvider, config: ConnectionConfig) -> None:
        await provider.connect(config)
        await provider.disconnect()
        before = time.monotonic()
        await provider.connect(config)
        assert time.monotonic() - before > 0.4

    async def test_disconnect_during_connect_aborts_it(
        self, livekit_server: LiveKitServer, join_token: MINT, provider: LiveKitProvider, notes: Notes
    ) -> None:
        async def slow() -> str:
            await asyncio.sleep(30)
            return ""

        connecting = asyncio.create_task(
            provider.connect(ConnectionConfig(livekit_server.url, token_provider=slow))
        )
        await asyncio.sleep(0.05)
        assert provider.get_connection_state() is ConnectionState.CONNECTING
        await provider.disconnect()
        with pytest.raises(ConnectAbortedError):
            await connecting
        assert notes.states == [ConnectionState.CONNECTING, ConnectionState.DISCONNECTED]
        await provider.connect(ConnectionConfig(livekit_server.url, join_token("visitor")))

    @pytest.mark.parametrize("how", ["cancel", "disconnect"])
    async def test_connect_given_up_at_any_moment_leaves_nobody_in_the_room(
        self, how: str, livekit_server: LiveKitServer, room_name: str, join_token: MINT
    ) -> None:
        """The native connect cannot be cancelled: it completes in the background and is closed."""
        async with Peer(livekit_server, room_name, "watcher") as watcher:
            for step in range(8):
                provider, notes = LiveKitProvider(), Notes()
                provider.set_listener(notes)
                config = ConnectionConfig(livekit_server.url, join_token(f"visitor-{step}"))
                connecting = asyncio.create_task(provider.connect(config))
                await asyncio.sleep(0.012 * step)
                if how == "cancel":
                    connecting.cancel()
                else:
                    await provider.disconnect()
                with contextlib.suppress(asyncio.CancelledError, ConnectAbortedError):
                    await connecting
                await provider.disconnect()
                assert provider.get_connection_state() is ConnectionState.DISCONNECTED
                assert provider.get_native_client() is None
                assert notes.states == [] or notes.states[-1] is ConnectionState.DISCONNECTED
            await until(lambda: not watcher.room.remote_participants, "an empty room")
            await asyncio.sleep(0.3)
            assert not watcher.room.remote_participants
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not names & {"join room", "Room.connect", "leave room"}

    async def test_silent_server_runs_into_the_time_limit(
        self, own_server: LocalServer, provider: LiveKitProvider, notes: Notes
    ) -> None:
        config = ConnectionConfig(own_server.url, mint_token(own_server, "r", "me"), timeout_s=0.7)
        own_server.pause()
        with pytest.raises(ConnectTimeoutError, match=r"0\.7 s"):
            await provider.connect(config)
        assert notes.events[-1] == ("state", ConnectionState.FAILED, DisconnectReason.CONNECTION_TIMEOUT)
        own_server.resume()
        await provider.disconnect()
        async with Peer(own_server, "r", "watcher") as watcher:
            await asyncio.sleep(0.5)
            assert not watcher.room.remote_participants


class TestWrongArguments:
    async def test_nothing_listens_there(
        self, join_token: MINT, provider: LiveKitProvider, notes: Notes
    ) -> None:
        with pytest.raises(ConnectError, match="check the address") as caught:
            await provider.connect(ConnectionConfig("ws://127.0.0.1:9", join_token("visitor")))
        assert type(caught.value) is ConnectError
        assert isinstance(caught.value.__cause__, rtc.ConnectError)
        assert notes.events[-1] == ("state", ConnectionState.FAILED, DisconnectReason.JOIN_FAILURE)
        await provider.disconnect()
        assert provider.get_connection_state() is ConnectionState.DISCONNECTED

    @pytest.mark.parametrize("fault", ["expired", "forged"])
    async def test_refused_token_is_explained_and_shown_nowhere(
        self,
        fault: str,
        livekit_server: LiveKitServer,
        join_token: MINT,
        provider: LiveKitProvider,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        token, message = join_token("visitor", ttl_s=-3600), r"refused the token: it expired .* ago"
        if fault == "forged":
            token, message = join_token("visitor")[:-8] + "A" * 8, r"refused the token: .*key and secret"
        with caplog.at_level(logging.DEBUG), pytest.raises(ConnectError, match=message) as caught:
            await provider.connect(ConnectionConfig(livekit_server.url, token))
        body = token.split(".")[1]
        error: BaseException | None = caught.value
        while error is not None:
            assert body not in f"{error!r} {error} {vars(error)}"
            error = error.__cause__ or error.__context__
        assert body not in caplog.text

    async def test_token_for_another_room(
        self, livekit_server: LiveKitServer, join_token: MINT, provider: LiveKitProvider
    ) -> None:
        with pytest.raises(RoomMismatchError, match="elsewhere"):
            await provider.connect(ConnectionConfig(livekit_server.url, join_token("visitor"), "elsewhere"))

    @pytest.mark.parametrize("token", ["nonsense", "", "devkey:secret"])
    async def test_malformed_token(self, token: str, provider: LiveKitProvider) -> None:
        with pytest.raises(ConfigurationError, match="three parts"):
            await provider.connect(ConnectionConfig("ws://127.0.0.1:9", token))

    async def test_missing_arguments(self, provider: LiveKitProvider, join_token: MINT) -> None:
        with pytest.raises(ConfigurationError, match="url="):
            await provider.connect(ConnectionConfig(token=join_token("visitor")))
        with pytest.raises(ConfigurationError, match="token="):
            await provider.connect(ConnectionConfig("ws://127.0.0.1:9"))
        assert provider.get_connection_state() is ConnectionState.DISCONNECTED

    async def test_token_provider_that_fails_or_returns_rubbish(self, provider: LiveKitProvider) -> None:
        def failing() -> str:
            raise OSError("token service is down")

        with pytest.raises(ConnectError, match="OSError") as caught:
            await provider.connect(ConnectionConfig("ws://127.0.0.1:9", token_provider=failing))
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(ConfigurationError, match="NoneType"):
            await provider.connect(ConnectionConfig("ws://127.0.0.1:9", token_provider=lambda: None))  # type: ignore[arg-type,return-value]
        assert provider.get_connection_state() is ConnectionState.FAILED

    async def test_publishing_before_connecting(self, provider: LiveKitProvider) -> None:
        with pytest.raises(NotConnectedError):
            await provider.open_uplink(name="mic", sample_rate=48000, channels=1)

    def test_contradicting_options(self) -> None:
        with pytest.raises(ConfigurationError):
            LiveKitProvider(topic="")
