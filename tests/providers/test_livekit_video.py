"""The picture of a video avatar through a real room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import numpy as np
import pytest
from livekit import rtc

from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.testing.video_avatar import VideoAvatar
from avatarkit_rtc.video.picture import Picture, PictureFormat
from tests.support.livekit import LiveKitServer, until
from tests.support.room_peer import Notes, Peer

SIZE = (320, 240)


@pytest.fixture
def token(livekit_server: LiveKitServer, join_token: Callable[..., str]) -> str:
    return join_token("face", attributes={"lk.publish_on_behalf": "agent"})


def avatar(server: LiveKitServer, token: str) -> VideoAvatar:
    return VideoAvatar(server.url, token, size=SIZE)


def publications(provider: LiveKitProvider, identity: str) -> dict[str, rtc.RemoteTrackPublication]:
    room = provider.get_native_client()
    assert room is not None
    published = room.remote_participants[identity].track_publications.values()
    return {publication.name: publication for publication in published}


async def some(notes: Notes, count: int, form: PictureFormat = "i420") -> list[Picture]:
    found: list[Picture] = []
    async with asyncio.timeout(20):
        async for picture in notes.pictures[-1].pictures(form):
            found.append(picture)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("form", ["i420", "bgra", "rgb24"])
async def test_the_picture_comes_in_the_format_that_was_asked_for(
    livekit_server: LiveKitServer,
    token: str,
    provider: LiveKitProvider,
    notes: Notes,
    config: ConnectionConfig,
    form: PictureFormat,
) -> None:
    notes.wants_video = True
    await provider.connect(config)
    async with avatar(livekit_server, token) as sender:
        sending = asyncio.create_task(sender.run())
        await until(lambda: notes.pictures, "the feed")
        pictures = await some(notes, 20, form)
        assert {(p.width, p.height, p.format, p.rotation) for p in pictures} == {(*SIZE, form, 0)}
        steps = np.diff([p.t for p in pictures])
        assert min(steps) > 0.0
        assert pictures[0].bgr().shape == (240, 320, 3)
        assert 0.0 < await notes.pictures[0].path_delay_s() < 1.0
        sending.cancel()
    await until(lambda: notes.named("video ended"), "the end")
    # The feed ended by itself.
    assert [p async for p in notes.pictures[-1].pictures(form)] == []


async def test_nobody_elses_camera_is_subscribed_to(
    livekit_server: LiveKitServer,
    token: str,
    room_name: str,
    provider: LiveKitProvider,
    notes: Notes,
    config: ConnectionConfig,
) -> None:
    notes.wants_video = True
    await provider.connect(config)
    async with Peer(livekit_server, room_name, "bystander") as bystander:
        await bystander.show("camera")
        async with avatar(livekit_server, token) as sender:
            sending = asyncio.create_task(sender.run())
            await until(lambda: notes.pictures, "the feed")
            assert {(p.width, p.height) for p in await some(notes, 5)} == {SIZE}
            assert publications(provider, "face")["avatar-picture"].subscribed
            assert not publications(provider, "bystander")["camera"].subscribed
            assert len(notes.pictures) == 1
            sending.cancel()


async def test_without_a_taker_the_picture_is_not_subscribed_to(
    livekit_server: LiveKitServer,
    token: str,
    provider: LiveKitProvider,
    notes: Notes,
    config: ConnectionConfig,
) -> None:
    await provider.connect(config)
    async with avatar(livekit_server, token):
        await until(lambda: notes.feeds, "the voice")
        assert not publications(provider, "face")["avatar-picture"].subscribed
        assert not notes.named("video")


async def test_the_pseudo_video_is_never_taken_for_a_picture(
    livekit_server: LiveKitServer,
    room_name: str,
    provider: LiveKitProvider,
    notes: Notes,
    config: ConnectionConfig,
) -> None:
    notes.wants_video = True
    await provider.connect(config)
    async with Peer(livekit_server, room_name) as peer:
        await peer.show("egress-animation")
        await peer.speak()
        await until(lambda: notes.feeds, "the voice")
        await asyncio.sleep(0.5)
        assert not publications(provider, peer.identity)["egress-animation"].subscribed
        assert not notes.named("video")
        # A real picture beside it is one.
        await peer.show("camera")
        await until(lambda: notes.pictures, "the picture")
        assert publications(provider, peer.identity)["camera"].subscribed
        assert not publications(provider, peer.identity)["egress-animation"].subscribed


async def test_a_picture_that_pauses_ends_and_comes_back(
    livekit_server: LiveKitServer,
    token: str,
    provider: LiveKitProvider,
    notes: Notes,
    config: ConnectionConfig,
) -> None:
    notes.wants_video = True
    await provider.connect(config)
    async with avatar(livekit_server, token) as sender:
        sending = asyncio.create_task(sender.run())
        await until(lambda: notes.pictures, "the feed")
        assert notes.named("video") == [("video", False)]
        sender.mute_picture(True)
        await until(lambda: notes.named("video muted") == [("video muted", True)], "muted")
        sender.mute_picture(False)
        await until(lambda: len(notes.named("video muted")) == 2, "unmuted")
        await sender.unpublish_picture()
        await until(lambda: notes.named("video ended"), "the end")
        assert not notes.named("audio ended")
        await sender.publish_picture()
        await until(lambda: len(notes.pictures) == 2, "another feed")
        assert await some(notes, 3)
        sending.cancel()
    await until(lambda: notes.named("left"), "the avatar to leave")
    assert len(notes.named("video ended")) == 2
    assert notes.errors == []


async def test_messages_count_from_the_avatar_its_agent_and_workers_only(
    livekit_server: LiveKitServer,
    token: str,
    room_name: str,
    provider: LiveKitProvider,
    notes: Notes,
    config: ConnectionConfig,
) -> None:
    await provider.connect(config)
    said = json.dumps({"type": "transcription", "text": "x"}).encode()
    async with (
        avatar(livekit_server, token) as sender,
        Peer(livekit_server, room_name, "agent") as agent,
        Peer(livekit_server, room_name, "worker:3") as worker,
        Peer(livekit_server, room_name, "stranger") as stranger,
    ):
        await until(lambda: notes.feeds, "the avatar")
        room = provider.get_native_client()
        assert room is not None
        await until(lambda: len(room.remote_participants) == 4, "everybody")
        await stranger.send(said, "")
        await sender.send_message(said)
        await agent.send(said, "anything")
        await worker.send(said, "")
        await until(lambda: len(notes.messages) == 3, "the messages")
        await asyncio.sleep(0.3)
    assert sorted(sender for _, sender in notes.messages) == ["agent", "face", "worker:3"]
    assert {data for data, _ in notes.messages} == {said}
