"""LiveKitProvider when things end: rooms deleted, servers killed, rooms borrowed, and nothing left over."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable

import psutil
import pytest
from livekit import api, rtc

from avatarkit_rtc.errors import ConfigurationError, RoomMismatchError, RoomNotOwned
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.testing.server import LocalServer
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.room_peer import Notes, Peer, listen, tone_of
from tests.support.visit import Visit, subscribed

MINT = Callable[..., str]
CONNECTED, DISCONNECTED = ConnectionState.CONNECTED, ConnectionState.DISCONNECTED


def server_api(server: LiveKitServer) -> api.LiveKitAPI:
    return api.LiveKitAPI(server.http_url, server.api_key, server.api_secret)


class TestEndedByTheServer:
    async def test_room_deleted(self, visit: Visit) -> None:
        async with visit.peer() as avatar:
            await avatar.speak()
            await visit.join()
            await until(lambda: visit.notes.feeds, "the voice")
            async with server_api(visit.server) as server:
                await server.room.delete_room(api.DeleteRoomRequest(room=visit.room_name))
            await until(lambda: DISCONNECTED in visit.notes.states, "the end of the room")
        assert visit.notes.events[-1] == ("state", DISCONNECTED, DisconnectReason.ROOM_DELETED)
        assert visit.notes.named("audio", "audio ended") == [("audio",), ("audio ended",)]
        assert visit.provider.get_connection_state() is DISCONNECTED
        assert visit.provider.get_native_client() is None
        await visit.join()
        assert visit.provider.get_connection_state() is CONNECTED

    async def test_removed_by_an_administrator(self, visit: Visit) -> None:
        await visit.join()
        async with server_api(visit.server) as server:
            request = api.RoomParticipantIdentity(room=visit.room_name, identity="visitor")
            await server.room.remove_participant(request)
        await until(lambda: DISCONNECTED in visit.notes.states, "the removal")
        assert visit.notes.events[-1] == ("state", DISCONNECTED, DisconnectReason.PARTICIPANT_REMOVED)

    async def test_somebody_else_takes_the_identity(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer("visitor"):
            await until(lambda: DISCONNECTED in visit.notes.states, "the replacement")
        assert visit.notes.events[-1] == ("state", DISCONNECTED, DisconnectReason.DUPLICATE_IDENTITY)

    async def test_server_shuts_down(
        self, own_server: LocalServer, provider: LiveKitProvider, notes: Notes
    ) -> None:
        await provider.connect(ConnectionConfig(own_server.url, mint_token(own_server, "r", "me")))
        await asyncio.to_thread(own_server.stop)
        await until(lambda: DISCONNECTED in notes.states, "the shutdown", 60)
        # The server does not always get its goodbye out before it ends; the SDK then tries to get back.
        reasons = {DisconnectReason.SERVER_SHUTDOWN, DisconnectReason.SIGNAL_CLOSED}
        assert notes.events[-1][1] is DISCONNECTED
        assert notes.events[-1][2] in reasons


class TestServerKilled:
    async def test_reconnects_and_finds_the_avatar_again(
        self, own_server: LocalServer, provider: LiveKitProvider, notes: Notes
    ) -> None:
        async with Peer(own_server, "r") as avatar:
            await avatar.speak(tone_hz=700)
            await provider.connect(ConnectionConfig(own_server.url, mint_token(own_server, "r", "me")))
            await until(lambda: notes.feeds, "the voice")
            await asyncio.to_thread(own_server.kill)
            await until(lambda: ConnectionState.RECONNECTING in notes.states, "the loss")
            assert provider.get_connection_state() is ConnectionState.RECONNECTING
            await asyncio.to_thread(own_server.start)
            await until(lambda: notes.states[-1] is CONNECTED, "the reconnect", 30)
            await until(lambda: provider.avatar, "the avatar's reconnect", 30)
            await until(lambda: len(notes.feeds) == 2, "the voice again", 30)
            assert await tone_of(notes.feeds[1]) == pytest.approx(700, abs=25)
            await avatar.send(b"still here")
            await until(lambda: notes.packets == [b"still here"], "a packet")
        lost = notes.events.index(("state", ConnectionState.RECONNECTING))
        back = notes.events.index(("state", CONNECTED), lost)
        assert [event for event in notes.events[lost:back] if event[0] in ("joined", "left")] == []
        assert notes.named("audio", "audio ended")[:3] == [("audio",), ("audio ended",), ("audio",)]

    @pytest.mark.long
    async def test_gives_up_with_a_reason(
        self, own_server: LocalServer, provider: LiveKitProvider, notes: Notes
    ) -> None:
        await provider.connect(ConnectionConfig(own_server.url, mint_token(own_server, "r", "me")))
        await asyncio.to_thread(own_server.kill)
        await until(lambda: DISCONNECTED in notes.states, "giving up", 90)
        assert notes.events[-1] == ("state", DISCONNECTED, DisconnectReason.SIGNAL_CLOSED)

    async def test_disconnect_while_reconnecting_is_quick(
        self, own_server: LocalServer, provider: LiveKitProvider, notes: Notes
    ) -> None:
        await provider.connect(ConnectionConfig(own_server.url, mint_token(own_server, "r", "me")))
        await asyncio.to_thread(own_server.kill)
        await until(lambda: ConnectionState.RECONNECTING in notes.states, "the loss")
        async with asyncio.timeout(10):
            await provider.disconnect()
        assert notes.events[-1] == ("state", DISCONNECTED, DisconnectReason.CLIENT_INITIATED)

    async def test_disconnect_from_a_frozen_server_is_quick(
        self, own_server: LocalServer, provider: LiveKitProvider
    ) -> None:
        await provider.connect(ConnectionConfig(own_server.url, mint_token(own_server, "r", "me")))
        own_server.pause()
        async with asyncio.timeout(10):
            await provider.disconnect()
        assert provider.get_connection_state() is DISCONNECTED
        own_server.resume()


class TestBorrowedRoom:
    @pytest.fixture
    async def room(self, livekit_server: LiveKitServer, join_token: MINT) -> AsyncIterator[rtc.Room]:
        room = rtc.Room()
        await room.connect(livekit_server.url, join_token("owner"), rtc.RoomOptions(auto_subscribe=False))
        yield room
        await room.disconnect()

    async def test_attaches_and_detaches_without_touching_the_room(
        self, livekit_server: LiveKitServer, room_name: str, room: rtc.Room
    ) -> None:
        provider, notes = LiveKitProvider(room=room), Notes()
        provider.set_listener(notes)
        handlers = {event: list(callbacks) for event, callbacks in room._events.items()}
        async with (
            Peer(livekit_server, room_name) as avatar,
            Peer(livekit_server, room_name, "agent") as agent,
        ):
            await avatar.speak()
            await agent.speak("agent-voice")
            await until(lambda: len(room.remote_participants) == 2, "both")
            for attachment in (1, 2):
                await provider.connect(ConnectionConfig(room_name=room_name))
                assert not provider.owns_connection
                assert provider.get_native_client() is room
                assert notes.states == [CONNECTED, DISCONNECTED] * (attachment - 1) + [CONNECTED]
                await until(lambda n=attachment: len(notes.feeds) == n, "the voice")  # type: ignore[misc]
                assert len(await listen(notes.feeds[-1], 30)) == 30 * 480
                await avatar.send(b"%d" % attachment)
                await until(lambda n=attachment: len(notes.packets) == n, "the packet")  # type: ignore[misc]
                await provider.disconnect()
                assert room.isconnected()
                assert provider.get_connection_state() is DISCONNECTED
            await avatar.send(b"nobody listens")
            await asyncio.sleep(0.3)
        assert notes.packets == [b"1", b"2"]
        # Tracks register a handler of their own in the room.
        left = {
            event: [c for c in callbacks if "RoomSession" in repr(c)]
            for event, callbacks in room._events.items()
        }
        assert not any(left.values()), f"{left} besides {handlers}"

    async def test_the_owners_subscriptions_stay(
        self, livekit_server: LiveKitServer, room_name: str, join_token: MINT
    ) -> None:
        room = rtc.Room()
        await room.connect(livekit_server.url, join_token("owner"))
        provider, notes = LiveKitProvider(room=room), Notes()
        provider.set_listener(notes)
        async with Peer(livekit_server, room_name) as avatar:
            await avatar.speak()
            await avatar.show()
            await until(lambda: subscribed(room) == ["egress-animation", "egress-audio"], "subscriptions")
            await provider.connect(ConnectionConfig())
            assert notes.feeds, "the track was there already"
            await provider.disconnect()
            await asyncio.sleep(0.3)
            assert subscribed(room) == ["egress-animation", "egress-audio"]
        await room.disconnect()

    async def test_owner_disconnects_the_room(self, room: rtc.Room) -> None:
        provider, notes = LiveKitProvider(room=room), Notes()
        provider.set_listener(notes)
        await provider.connect(ConnectionConfig())
        await room.disconnect()
        await until(lambda: DISCONNECTED in notes.states, "the end")
        assert notes.events[-1] == ("state", DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
        with pytest.raises(RoomNotOwned, match="connect it yourself"):
            await provider.connect(ConnectionConfig())

    async def test_what_was_published_is_taken_out_of_the_room(
        self, livekit_server: LiveKitServer, room_name: str, room: rtc.Room
    ) -> None:
        provider = LiveKitProvider(room=room)
        async with Peer(livekit_server, room_name, "listener") as listener:
            await provider.connect(ConnectionConfig())
            await provider.open_uplink(name="mic", sample_rate=48000, channels=1)

            def heard() -> list[str]:
                owner = listener.room.remote_participants.get("owner")
                return [p.name for p in owner.track_publications.values()] if owner is not None else []

            await until(lambda: heard() == ["mic"], "the track")
            await provider.disconnect()
            await until(lambda: heard() == [], "its end")
        assert room.isconnected()

    async def test_url_and_token_are_refused(self, room: rtc.Room) -> None:
        provider = LiveKitProvider(room=room)
        for config in (
            ConnectionConfig(url="ws://x"),
            ConnectionConfig(token="t"),
            ConnectionConfig(token_provider=str),
        ):
            with pytest.raises(RoomNotOwned):
                await provider.connect(config)
        with pytest.raises(RoomMismatchError):
            await provider.connect(ConnectionConfig(room_name="elsewhere"))
        with pytest.raises(ConfigurationError):
            LiveKitProvider(room=room, room_options=rtc.RoomOptions())
        assert provider.get_connection_state() is DISCONNECTED

    async def test_room_that_is_not_connected(self) -> None:
        with pytest.raises(RoomNotOwned, match="not connected"):
            await LiveKitProvider(room=rtc.Room()).connect(ConnectionConfig())


class TestNothingIsLeftOver:
    async def test_of_ten_connects_and_disconnects(
        self, livekit_server: LiveKitServer, room_name: str, join_token: MINT
    ) -> None:
        process = psutil.Process()

        def figures() -> tuple[int, int, int]:
            gc.collect()
            return process.num_threads(), process.num_fds(), len(asyncio.all_tasks())

        provider, notes = LiveKitProvider(), Notes()
        provider.set_listener(notes)
        async with Peer(livekit_server, room_name) as avatar:
            await avatar.speak()

            async def round_trip() -> None:
                await provider.connect(ConnectionConfig(livekit_server.url, join_token("visitor")))
                await until(lambda: notes.feeds, "the voice")
                await listen(notes.feeds.pop(), 5)
                await provider.disconnect()

            for _ in range(3):
                await round_trip()
            await asyncio.sleep(2)
            threads, files, tasks = figures()
            for _ in range(10):
                await round_trip()
            # The SDK takes its threads and sockets down in the background.
            await until(
                lambda: all(
                    now <= then for now, then in zip(figures(), (threads, files, tasks), strict=True)
                ),
                f"no more than {threads} threads, {files} files, {tasks} tasks",
                30,
            )
        assert threading.active_count() < threads + 5
