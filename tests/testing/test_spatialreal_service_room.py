"""Sessions of the stand-in service with an egress: an avatar in a real room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from livekit import api, rtc

from avatarkit_rtc.motion.packet import PacketKind, decode_packet
from avatarkit_rtc.testing import perform
from avatarkit_rtc.testing.room import avatar_token
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SocketFault, SpatialRealService
from tests.support.guest import Guest
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.spatialreal import VendorClient, same, spatialreal

CLIP = perform(1, 0.8)
Code = spatialreal.AvatarSDKErrorCode


class Viewer(Guest):
    """Somebody in the room who hears and sees the avatar."""

    @property
    def avatar(self) -> rtc.RemoteParticipant | None:
        return next(iter(self.room.remote_participants.values()), None)

    def frames(self) -> list[Any]:
        """The frames that came."""
        return [packet for packet in self._decoded() if packet.kind is PacketKind.FRAME]

    def count(self, kind: PacketKind) -> int:
        return sum(packet.kind is kind for packet in self._decoded())

    def _decoded(self) -> list[Any]:
        return [decode_packet(packet.data) for packet in self.packets]


@pytest.fixture
async def guest(livekit_server: LiveKitServer, room_name: str) -> AsyncIterator[Viewer]:
    guest = Viewer()
    await guest.room.connect(livekit_server.url, mint_token(livekit_server, room_name, "guest"))
    yield guest
    await guest.aclose()


@pytest.fixture
def egress(livekit_server: LiveKitServer, room_name: str) -> Callable[..., Any]:
    """``egress(ttl_s=…, **options)``: an egress into the test's room."""

    def make(ttl_s: float = 60.0, **options: Any) -> Any:
        token = avatar_token(livekit_server.api_key, livekit_server.api_secret, room_name, ttl_s=ttl_s)
        values = {"url": livekit_server.url, "api_token": token, "room_name": room_name}
        return spatialreal.LiveKitEgressConfig(**values | {"publisher_id": "spatialreal-avatar"} | options)

    return make


async def test_an_avatar_joins_and_says_what_is_sent(guest: Viewer, egress: Callable[..., Any]) -> None:
    behaviour = Behaviour(ends=2)
    async with (
        SpatialRealService(performer=CLIP, behaviour=behaviour) as service,
        VendorClient(service, livekit_egress=egress()) as client,
    ):
        first = await client.session.send_audio(CLIP.pcm.tobytes(), end=True)  # before it is in the room
        await until(lambda: sum(signal.end for signal in client.signals) == 2, "both ends")
        assert guest.avatar is not None
        assert guest.avatar.identity == "spatialreal-avatar"
        assert guest.avatar.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        assert guest.avatar.attributes["lk.publish_on_behalf"] == "agent"
        frames = {packet.seq: packet.message.frame for packet in guest.frames()}
        assert len(frames) > len(CLIP.frames) / 2  # the packets are lossy
        for seq, frame in frames.items():
            assert same([frame], [CLIP.frames[seq]])
        assert guest.count(PacketKind.TRANSITION) >= 6
        await until(lambda: guest.count(PacketKind.TRANSITION_END), "transition-end packets")
        await until(lambda: guest.loudest > 1000, "sound")
        assert [(signal.req_id, signal.end, signal.has_animation) for signal in client.signals] == [
            (first, False, False),
            (first, True, False),
            (first, True, False),
        ]
        assert [state.state.value for state in client.states] == ["playing", "ended"]
        assert client.states[-1].played_ms == 800
    await until(lambda: guest.avatar is None, "the avatar to leave")


async def test_it_is_paused_resumed_and_cut_off(egress: Callable[..., Any]) -> None:
    async with SpatialRealService() as service, VendorClient(service, livekit_egress=egress()) as client:
        req_id = await client.session.send_audio(np.tile(CLIP.pcm, 75).tobytes())  # a minute
        await until(lambda: len(client.states) == 1, "the beginning")
        turn = client.connection.turns[-1]
        await client.session.pause()
        await until(lambda: len(client.states) == 2, "the answer to pause")
        played = turn.played
        await asyncio.sleep(0.2)
        assert turn.played == played
        await client.session.resume()
        await until(lambda: turn.played > played, "frames after the pause")
        await client.session.interrupt()
        await until(lambda: len(client.states) == 4, "the answer to interrupt")
        states = [state.state.value for state in client.states]
        assert states == ["playing", "paused", "playing", "interrupted"]
        assert client.states[1].played_ms == 40 * played
        assert (client.states[3].reason, client.states[3].req_id) == ("explicit", req_id)
        await asyncio.sleep(0.2)
        assert client.states[3].played_ms == turn.played_ms
        assert not client.errors


async def test_a_pause_that_lasts_too_long_cuts_off(egress: Callable[..., Any]) -> None:
    behaviour = Behaviour(pause_timeout_s=0.2)
    async with (
        SpatialRealService(behaviour=behaviour) as service,
        VendorClient(service, livekit_egress=egress()) as client,
    ):
        await client.session.send_audio(np.tile(CLIP.pcm, 75).tobytes())
        await until(lambda: len(client.states) == 1, "the beginning")
        for control in (client.session.pause, client.session.resume, client.session.pause):
            await control()
        await until(lambda: len(client.states) == 5, "the end of the pause")
        assert (client.states[4].state.value, client.states[4].reason) == ("interrupted", "pause_timeout")
        assert client.connection.turns[0].over


async def test_key_and_secret_do_instead_of_a_token(
    guest: Viewer, egress: Callable[..., Any], livekit_server: LiveKitServer
) -> None:
    options = egress(
        api_token="",
        api_key=livekit_server.api_key,
        api_secret=livekit_server.api_secret,
        publisher_id="somebody",
        extra_attributes={"lk.publish_on_behalf": "me"},
        idle_timeout=1,
    )
    async with SpatialRealService() as service, VendorClient(service, livekit_egress=options) as client:
        await until(lambda: guest.avatar, "the avatar")
        assert guest.avatar is not None
        assert (guest.avatar.identity, guest.avatar.attributes["lk.publish_on_behalf"]) == ("somebody", "me")
        # Nobody says anything.
        assert await client.wait_closed() == 1000
        assert not client.errors
        await until(lambda: guest.avatar is None, "the avatar to leave")


async def test_an_egress_that_may_not_join(
    egress: Callable[..., Any], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    options = egress(ttl_s=-3600.0)
    async with SpatialRealService() as service, VendorClient(service, livekit_egress=options) as client:
        await client.session.send_audio(CLIP.pcm.tobytes())
        req_id = await client.session.interrupt()  # while it waits for the room
        assert await client.wait_closed() == 4000
        said, closed = client.errors
        assert (said.code, said.server_code) == (Code.serverError, "16")
        assert "expired" in said.server_detail
        assert not closed.retryable
        assert [(what, name) for what, name in client.connection.events][-1] == ("interrupted", req_id)
        for text in (caplog.text, *capfd.readouterr(), str(said), str(closed)):
            assert options.api_token not in text


async def test_an_egress_whose_server_is_not_there(egress: Callable[..., Any]) -> None:
    options = egress(url="ws://127.0.0.1:9")
    async with SpatialRealService() as service, VendorClient(service, livekit_egress=options) as client:
        assert await client.wait_closed() == 4503
        assert client.errors[0].server_code == "14"
        assert client.errors[-1].retryable


async def test_a_room_that_is_deleted_ends_the_session(
    guest: Viewer, egress: Callable[..., Any], livekit_server: LiveKitServer, room_name: str
) -> None:
    async with SpatialRealService() as service, VendorClient(service, livekit_egress=egress()) as client:
        await until(lambda: guest.avatar, "the avatar")
        async with api.LiveKitAPI(
            livekit_server.http_url, livekit_server.api_key, livekit_server.api_secret
        ) as server:
            await server.room.delete_room(api.DeleteRoomRequest(room=room_name))
        assert await client.wait_closed() == 4503


async def test_a_connection_lost_in_a_sentence_takes_the_avatar_away(
    guest: Viewer, egress: Callable[..., Any]
) -> None:
    async with SpatialRealService(performer=CLIP) as service:
        service.fail("sentence", SocketFault(cut=True, after_s=0.2))
        async with VendorClient(service, livekit_egress=egress()) as client:
            await client.session.send_audio(CLIP.pcm.tobytes())
            assert await client.wait_closed() == 1006
            assert client.errors[-1].retryable
            assert 5 <= client.connection.turns[0].played < len(CLIP.frames)
            await until(lambda: guest.avatar is None, "the avatar to leave")
