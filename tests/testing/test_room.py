from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import jwt
import numpy as np
import pytest
from livekit import api, rtc

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    ConfigurationError,
    ConnectAbortedError,
    ConnectError,
    ConnectTimeoutError,
)
from avatarkit_rtc.providers.avatar_finder import MOTION_TOPIC
from avatarkit_rtc.testing.noise import FOREIGN_TOPIC
from avatarkit_rtc.testing.performer import perform
from avatarkit_rtc.testing.room import RoomTransport, avatar_token
from avatarkit_rtc.testing.schedule import motion_schedule
from avatarkit_rtc.testing.server import LocalServer
from avatarkit_rtc.testing.stand_in import SentKind, StandInAvatar, StandInOptions
from tests.support.guest import Guest
from tests.support.livekit import LiveKitServer, mint_token, until

UTTERANCE = perform(1, 1.0)
PACKET = b"\x01\x00\x00\x00\x00"


@pytest.fixture
async def guest(livekit_server: LiveKitServer, room_name: str) -> AsyncIterator[Guest]:
    guest = Guest()
    await guest.room.connect(livekit_server.url, mint_token(livekit_server, room_name, "guest"))
    yield guest
    await guest.aclose()


def transport_for(server: LiveKitServer, room: str, **options: Any) -> RoomTransport:
    return RoomTransport(server.url, avatar_token(server.api_key, server.api_secret, room), **options)


def test_the_token_grants_what_an_avatar_service_gets_and_no_more() -> None:
    token = avatar_token("key", "s" * 32, "room", publish_on_behalf="agent-1", ttl_s=60)
    claims = jwt.decode(token, "s" * 32, algorithms=["HS256"])
    assert claims["sub"] == "spatialreal-avatar"
    assert claims["kind"] == "agent"
    assert claims["attributes"] == {"lk.publish_on_behalf": "agent-1"}
    assert claims["exp"] - claims["nbf"] <= 61
    video = claims["video"]
    assert video["room"] == "room"
    assert video["roomJoin"]
    assert video["canPublishData"]
    assert not video["canSubscribe"]
    assert video["canPublishSources"] == ["camera", "microphone"]


async def test_a_guest_sees_what_an_avatar_service_would_show(
    livekit_server: LiveKitServer, room_name: str, guest: Guest
) -> None:
    options = StandInOptions(rounds=1, pause_s=0.4, noise=True)
    async with transport_for(livekit_server, room_name) as transport:
        assert transport.connected
        assert transport.room is not None
        await until(lambda: len(guest.tracks) == 2, "both tracks")
        await StandInAvatar(transport, [UTTERANCE], options).run()
        expected = [packet for packet in motion_schedule([UTTERANCE], options) if len(packet.data) <= 60_000]
        # Lossy packets may be lost, the largest first, on a busy machine.
        await until(lambda: len(guest.packets) >= 0.9 * len(expected), "nearly all packets")
        await until(lambda: guest.loudest > 3000, "the voice")
        assert transport.dropped_packets == 0
        assert transport.dropped_audio_s == 0
    assert guest.participant is not None
    assert guest.participant.identity == "spatialreal-avatar"
    assert guest.participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    assert guest.participant.attributes == {"lk.publish_on_behalf": "agent"}
    assert {name: track.kind for name, track in guest.tracks.items()} == {
        "egress-audio": rtc.TrackKind.KIND_AUDIO,
        "egress-animation": rtc.TrackKind.KIND_VIDEO,
    }
    received = [(packet.data, packet.topic) for packet in guest.packets]
    sent = [(packet.data, packet.topic or MOTION_TOPIC) for packet in expected]
    assert not Counter(received) - Counter(sent)
    assert {topic for _, topic in received} == {MOTION_TOPIC, FOREIGN_TOPIC}
    assert {packet.kind for packet in guest.packets} == {rtc.DataPacketKind.KIND_LOSSY}


async def test_after_aclose_it_is_out_of_the_room_and_drops_what_it_is_given(
    livekit_server: LiveKitServer, room_name: str, guest: Guest
) -> None:
    transport = transport_for(livekit_server, room_name, pseudo_video=False)
    await transport.connect()
    with pytest.raises(AlreadyConnectedError):
        await transport.connect()
    await until(lambda: guest.room.remote_participants, "the avatar")
    before = {task for task in asyncio.all_tasks() if "stand-in" in task.get_name()}
    await transport.aclose()
    await transport.aclose()
    await asyncio.wait_for(transport.wait_closed(), 1)
    await until(lambda: not guest.room.remote_participants, "the avatar to leave")
    assert all(task.done() for task in before)
    await transport.send_packet(PACKET)
    await transport.send_audio(np.zeros(480, np.int16), 24000)
    assert not transport.connected
    assert transport.dropped_packets == 1
    assert transport.dropped_audio_s == pytest.approx(0.02)
    with pytest.raises(ConnectAbortedError):
        await transport.connect()


async def test_a_packet_too_large_for_livekit_is_counted(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    async with transport_for(livekit_server, room_name) as transport:
        await transport.send_packet(bytes(70_000))
        assert transport.failed_packets == 1


async def test_sound_of_another_rate_is_refused_with_advice(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    async with transport_for(livekit_server, room_name, sample_rate=48000) as transport:
        with pytest.raises(ConfigurationError, match="sample_rate=16000"):
            await transport.send_audio(np.zeros(160, np.int16), 16000)


async def test_a_refused_token_is_an_error_without_the_token(livekit_server: LiveKitServer) -> None:
    token = avatar_token("nobody", "x" * 32, "room")
    transport = RoomTransport(livekit_server.url, lambda: token)
    with pytest.raises(ConnectError, match="check that its key and secret are this server's") as error:
        await transport.connect()
    assert token not in str(error.value)
    assert token not in repr(error.value.__cause__)
    await transport.aclose()


async def test_a_failed_join_tells_nothing_secret_of_the_address() -> None:
    transport = RoomTransport("ws://me:geheim@127.0.0.1:9/x?key=geheim", "token")
    with pytest.raises(ConnectError, match=r"at ws://127\.0\.0\.1:9: .*; check the address") as error:
        await transport.connect()
    assert "geheim" not in str(error.value)
    await transport.aclose()
    with pytest.raises(ConfigurationError, match="'bogus' is no server address"):
        await RoomTransport("bogus", "token").connect()


async def test_a_server_that_does_not_answer_is_a_timeout() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = RoomTransport(f"ws://me:geheim@127.0.0.1:{port}", "token", connect_timeout_s=0.3)
    with pytest.raises(ConnectTimeoutError, match=rf"^ws://127\.0\.0\.1:{port} .* within 0\.3 s"):
        await transport.connect()
    for writer in held:
        writer.close()
    server.close()
    await transport.aclose()


@pytest.mark.parametrize("pause", [0.0, 0.005, 0.03])
async def test_closing_while_connecting_leaves_nobody_in_the_room(
    livekit_server: LiveKitServer, room_name: str, guest: Guest, pause: float
) -> None:
    transport = transport_for(livekit_server, room_name)
    connecting = asyncio.create_task(transport.connect())
    await asyncio.sleep(pause)
    await transport.aclose()
    with pytest.raises(ConnectAbortedError):
        await connecting
    await until(lambda: not guest.room.remote_participants, "an empty room")


@pytest.mark.parametrize("pause", [0.0, 0.005, 0.03])
async def test_cancelling_connect_leaves_nobody_in_the_room(
    livekit_server: LiveKitServer, room_name: str, guest: Guest, pause: float
) -> None:
    transport = transport_for(livekit_server, room_name)
    connecting = asyncio.create_task(transport.connect())
    await asyncio.sleep(pause)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await transport.aclose()
    await until(lambda: not guest.room.remote_participants, "an empty room")


async def delete_room(server: LiveKitServer, room: str) -> None:
    async with api.LiveKitAPI(server.http_url, server.api_key, server.api_secret) as client:
        await client.room.delete_room(api.DeleteRoomRequest(room=room))


async def test_when_the_room_is_deleted_it_is_over(livekit_server: LiveKitServer, room_name: str) -> None:
    transport = transport_for(livekit_server, room_name)
    await transport.connect()
    await delete_room(livekit_server, room_name)
    await asyncio.wait_for(transport.wait_closed(), 15)
    assert not transport.connected
    await transport.aclose()


async def test_when_the_room_is_deleted_it_joins_again_if_told_to(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    transport = transport_for(livekit_server, room_name, reconnect=True)
    await transport.connect()
    await delete_room(livekit_server, room_name)
    await until(lambda: transport.joins == 2, "the second join")
    assert transport.connected
    await transport.aclose()


async def test_it_plays_on_when_the_server_was_killed_and_is_back(own_server: LocalServer) -> None:
    server: LiveKitServer = own_server
    frames: list[float] = []

    def on_sent(number: int | None, seq: int | None, kind: SentKind, at: float) -> None:
        if kind is SentKind.FRAME:
            frames.append(at)

    async with transport_for(server, "room", reconnect=True) as transport:
        avatar = StandInAvatar(transport, [perform(1, 60.0)], StandInOptions(rounds=1), on_sent)
        run = asyncio.create_task(avatar.run())
        await until(lambda: len(frames) > 10, "the first frames")
        await asyncio.to_thread(own_server.kill)
        await until(lambda: transport.dropped_packets > 5, "packets dropped while the server is away")
        await asyncio.to_thread(own_server.restart)
        guest = Guest()
        await guest.room.connect(server.url, mint_token(server, "room", "guest"))
        await until(lambda: len(guest.packets) > 10, "packets after the restart", 30)
        await until(lambda: guest.loudest > 1000, "the voice after the restart", 30)
        # The outage does not stop the avatar's clock.
        assert avatar.delayed_s < 1.5
        assert not run.done()
        await avatar.stop()
        await guest.aclose()
