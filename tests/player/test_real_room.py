"""The player in a real LiveKit room: what breaks, and how it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import psutil
import pytest
from livekit import api

from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.errors import ConnectAbortedError, ConnectError
from avatarkit_rtc.events import DisconnectReason
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.player_sound import CUSTOM_TRACK
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.testing.performer import perform
from avatarkit_rtc.testing.room import RoomTransport, avatar_token
from avatarkit_rtc.testing.server import LocalServer
from avatarkit_rtc.testing.stand_in import StandInAvatar, StandInOptions
from tests.support.avatar_process import AvatarProcess
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.playing import NotingView, Record
from tests.support.room_peer import Peer

pytestmark = pytest.mark.server


class Played:
    def __init__(self, server: LiveKitServer, room: str, **options: Any) -> None:
        self.url, self.token = server.url, mint_token(server, room, "viewer")
        self.view = NotingView()
        self.player = AvatarPlayer(LiveKitProvider(), self.view, play_audio=False, **options)
        self.record = Record(self.player)

    async def connect(self) -> None:
        await self.player.connect(url=self.url, token=self.token)

    def positions(self, number: int) -> list[float]:
        """What was shown of a round, in order; a position is there more than once where its pose was held."""
        shown = [pose.position for pose in self.view.spoken if pose.round == number]
        return [position for position in shown if position is not None]

    @property
    def shown_rounds(self) -> set[int | None]:
        return {pose.round for pose in self.view.spoken}


@contextlib.asynccontextmanager
async def avatar_in(server: LiveKitServer, room: str, seconds: float = 30.0) -> AsyncIterator[RoomTransport]:
    """A stand-in avatar that speaks for ever and comes back after losses."""
    token = avatar_token(server.api_key, server.api_secret, room)
    async with RoomTransport(server.url, token, reconnect=True) as transport:
        avatar = StandInAvatar(transport, [perform(1, seconds)], StandInOptions(pause_s=0.5))
        speaking = asyncio.create_task(avatar.run())
        try:
            yield transport
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])


async def test_a_round_is_shown_frame_by_frame(livekit_server: LiveKitServer, room_name: str) -> None:
    played = Played(livekit_server, room_name)
    async with played.player as player:
        await played.connect()
        async with avatar_in(livekit_server, room_name, seconds=1.0):
            # The first may have begun before we were there; of others a busy machine may skip frames.
            await until(
                lambda: any(len(set(played.positions(number))) >= 20 for number in range(2, 20)),
                "a round with its 25 frames",
                30,
            )
        names = [name for name in played.record.names if name != "token-refreshed"]
        assert names[:3] == ["connected", "avatar-joined", "round-started"]
        for number in range(1, 20):
            assert played.positions(number) == sorted(played.positions(number))
        await until(lambda: played.record.count("avatar-left") == 1, "the avatar to leave")
        assert player.stats().avatar is None


async def test_connected_comes_before_the_avatar_that_is_there_already(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    played = Played(livekit_server, room_name)
    async with avatar_in(livekit_server, room_name), played.player as player:
        await played.connect()
        assert await player.wait_for_avatar(10) == "spatialreal-avatar"
        names = [name for name in played.record.names if name != "token-refreshed"]
        assert names[:2] == ["connected", "avatar-joined"]
        await player.reconnect()
        assert await player.wait_for_avatar(10) == "spatialreal-avatar"
        count = len(played.view.spoken)
        await until(lambda: len(played.view.spoken) > count + 10, "frames after the reconnect")
        assert played.record.count("disconnected") == 0


async def test_a_second_avatar_is_ignored_while_the_first_one_stays(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    played = Played(livekit_server, room_name)
    async with played.player as player:
        await played.connect()
        async with Peer(livekit_server, room_name, "spatius-avatar") as first:
            assert await player.wait_for_avatar(10) == "spatius-avatar"
            async with avatar_in(livekit_server, room_name):
                await asyncio.sleep(1.5)
                assert player.stats().avatar == "spatius-avatar"
                assert played.view.spoken == []
                await first.leave()
                # A server that does not hear of the leaving (SETTLED_S) takes 21 s to notice.
                await until(lambda: player.stats().avatar == "spatialreal-avatar", "the second avatar", 40.0)
                await until(lambda: len(played.view.spoken) > 10, "its frames")


async def test_the_room_is_deleted(livekit_server: LiveKitServer, room_name: str) -> None:
    played = Played(livekit_server, room_name, stall_timeout_s=2.0, auto_reconnect=True)
    async with played.player as player, avatar_in(livekit_server, room_name):
        await played.connect()
        await until(lambda: len(played.view.spoken) > 10, "frames")
        async with api.LiveKitAPI(
            livekit_server.http_url, livekit_server.api_key, livekit_server.api_secret
        ) as rooms:
            await rooms.room.delete_room(api.DeleteRoomRequest(room=room_name))
        async with asyncio.timeout(15):
            await player.wait_closed()
        await until(lambda: played.view.idles, "the idle face")
        await asyncio.sleep(2.2)
        assert played.record.payloads("disconnected")[0].reason is DisconnectReason.ROOM_DELETED
        assert played.record.count("disconnected") == 1
        assert played.record.count("stalled") == 0
        assert played.record.count("reconnect-attempt") == 0
        assert player.get_connection_state() == "disconnected"


async def test_the_server_is_killed_in_the_middle_of_a_round(own_server: LocalServer, room_name: str) -> None:
    played = Played(own_server, room_name, auto_reconnect=True)
    async with played.player as player, avatar_in(own_server, room_name):
        await played.connect()
        source = PushSource(48000)
        await player.publish_audio(source)
        await until(lambda: len(played.view.spoken) > 10, "frames")
        assert player.stats().avatar == "spatialreal-avatar"
        await asyncio.to_thread(own_server.kill)
        await until(lambda: player.get_connection_state() == "reconnecting", "reconnecting")
        await until(lambda: played.view.idles, "the idle face")
        await asyncio.to_thread(own_server.start)
        await until(lambda: player.is_connected, "the connection", 30)
        shown = len(played.view.spoken)
        await until(lambda: len(played.view.spoken) > shown + 25, "frames", 30)
        assert await player.wait_for_avatar(5) == "spatialreal-avatar"
        ended = [event.reason for event in played.record.payloads("round-ended")]
        assert ended[0] is RoundEndReason.CONNECTION_LOST
        assert played.record.states == ["connecting", "connected", "reconnecting", "connected"]
        assert played.record.count("stalled") == 0
        assert played.record.count("error") == 0
        # What the user publishes is there again too.
        async with Peer(own_server, room_name, "listener") as listener:
            await until(lambda: published(listener) == [CUSTOM_TRACK], "the user's track")
            sent = player.stats().audio.custom_blocks_sent or 0
            await source.push(np.ones(4800, np.int16))
            await until(lambda: (player.stats().audio.custom_blocks_sent or 0) > sent, "the user's sound")


def published(peer: Peer) -> list[str]:
    viewer = peer.room.remote_participants.get("viewer")
    return [publication.name for publication in viewer.track_publications.values()] if viewer else []


async def test_what_is_published_survives_a_reconnect(livekit_server: LiveKitServer, room_name: str) -> None:
    played = Played(livekit_server, room_name)
    async with played.player as player, Peer(livekit_server, room_name, "listener") as listener:
        await played.connect()
        source = PushSource(48000)
        await player.publish_audio(source)
        await until(lambda: published(listener) == [CUSTOM_TRACK], "the track")
        speaking = asyncio.create_task(source.push(np.ones(480_000, np.int16)))
        await player.reconnect()
        await until(lambda: published(listener) == [CUSTOM_TRACK], "the track again")
        sent = player.stats().audio.custom_blocks_sent or 0
        await until(lambda: (player.stats().audio.custom_blocks_sent or 0) > sent + 20, "sound again")
        await player.unpublish_audio()
        await until(lambda: published(listener) == [], "the track to go")
        speaking.cancel()
        assert played.record.count("error") == 0


async def test_the_avatar_is_killed_in_the_middle_of_a_sentence(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    played = Played(livekit_server, room_name)
    player = played.player
    player.on("stalled", player.reconnect)
    with AvatarProcess(livekit_server, room_name, seconds=30.0) as avatar:
        async with player:
            await played.connect()
            await until(lambda: len(played.view.spoken) > 10, "frames", 30)
            await asyncio.to_thread(avatar.kill)
            last = time.monotonic()
            await until(lambda: played.record.count("stalled") == 1, "the stall")
            # Since the last packet: the kill itself takes a moment, and a busy machine another.
            assert 3.0 <= played.record.payloads("stalled")[0].silence_s < 8
            avatar.start()
            assert played.record.payloads("stalled")[0].round == 1
            await until(lambda: player.is_connected and played.record.count("connected") >= 2, "the rejoin")
            await until(
                lambda: any(pose.kind == "idle" for pose in played.view.poses if pose.t > last),
                "the idle face",
            )
            await until(lambda: len(played.shown_rounds) > 1, "the next round", 30)
            rounds = len(played.view.spoken)
            await until(lambda: len(played.view.spoken) > rounds + 25, "its frames")
            # For each 3 s that the new avatar takes to start there is one more rejoin.
            assert played.record.count("stalled") <= 4
            assert played.record.count("error") == 0


async def test_a_server_that_is_gone_for_long_is_rejoined_with_a_fresh_token(
    own_server: LocalServer, room_name: str
) -> None:
    calls = 0

    def token() -> str:
        nonlocal calls
        calls += 1
        return mint_token(own_server, room_name, "viewer")

    view = NotingView()
    policy = ReconnectPolicy(first_delay_s=0.5, factor=1.5, attempts=20)
    player = AvatarPlayer(LiveKitProvider(), view, play_audio=False, auto_reconnect=policy)
    record = Record(player)
    async with player:
        await player.connect(url=own_server.url, token_provider=token, timeout=5)
        await asyncio.to_thread(own_server.kill)
        with pytest.raises(ConnectError):  # the caller does not wait for the library to give up
            await player.reconnect()
        await asyncio.to_thread(own_server.start)
        await player.reconnect()
        assert calls == 3
        assert player.is_connected
        assert record.states[-3:] == ["failed", "reconnecting", "connected"]


async def test_connect_is_aborted_by_disconnect(own_server: LocalServer, room_name: str) -> None:
    played = Played(own_server, room_name)
    await asyncio.to_thread(own_server.pause)
    try:
        connecting = asyncio.create_task(played.connect())
        await asyncio.sleep(0.5)
        await played.player.disconnect()
        with pytest.raises(ConnectAbortedError):
            await connecting
    finally:
        await asyncio.to_thread(own_server.resume)
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")
    await played.connect()
    await played.player.disconnect()


async def test_nothing_is_left_after_disconnect(
    livekit_server: LiveKitServer, room_name: str, join_token: Callable[..., str]
) -> None:
    process = psutil.Process()
    token = join_token("viewer")

    async def session() -> None:
        player = AvatarPlayer(LiveKitProvider(), NotingView(), play_audio=False)
        async with player:
            await player.connect(url=livekit_server.url, token=token)
            await player.publish_audio(PushSource(48000))
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.5)

    for _ in range(3):
        await session()
    threads = process.num_threads()
    for _ in range(6):
        await session()
    await until(lambda: len(asyncio.all_tasks()) == 1, f"all tasks to end: {asyncio.all_tasks()}")
    await until(lambda: process.num_threads() <= threads + 4, "threads to end", 30)


async def test_no_token_in_log_repr_or_error(
    livekit_server: LiveKitServer, room_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = mint_token(livekit_server, room_name, "viewer")
    bad = good[:-6] + "AAAAAA"
    said = ""
    player = AvatarPlayer(LiveKitProvider(), NotingView(), play_audio=False, log_level="info")
    with caplog.at_level(logging.DEBUG):
        async with player:
            try:
                await player.connect(url=livekit_server.url, token=bad, timeout=10)
            except ConnectError as error:
                cause: BaseException | None = error
                while cause is not None:
                    said += repr(cause) + str(cause)
                    cause = cause.__cause__ or cause.__context__
            await player.connect(url=livekit_server.url, token=good)
            said += repr(player) + repr(player.stats()) + repr(player.options) + repr(player._provider)
    assert "ConnectError" in said
    for token in (good, bad):
        for part in token.split("."):
            assert part not in said
            assert part not in caplog.text
