"""The picture of a video avatar through a real room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import numpy as np
import pytest
from livekit import rtc

from avatarkit_rtc.testing.video_avatar import VideoAvatar
from avatarkit_rtc.video.picture import Picture, PictureFormat
from tests.support.livekit import LiveKitServer, until
from tests.support.room_peer import Notes
from tests.support.visit import Visit

SIZE = (320, 240)


@pytest.fixture
def avatar(livekit_server: LiveKitServer, join_token: Callable[..., str]) -> VideoAvatar:
    """One that speaks for ``agent``, not yet in the room."""
    token = join_token("face", attributes={"lk.publish_on_behalf": "agent"})
    return VideoAvatar(livekit_server.url, token, size=SIZE)


async def publication(room: rtc.Room, identity: str, name: str) -> rtc.RemoteTrackPublication:
    """The track ``name``, of which we may hear a moment later than it is published."""

    def named() -> list[rtc.RemoteTrackPublication]:
        published = room.remote_participants[identity].track_publications.values()
        return [each for each in published if each.name == name]

    await until(named, f"the track {name}")
    return named()[0]


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
    visit: Visit, avatar: VideoAvatar, form: PictureFormat
) -> None:
    visit.notes.wants_video = True
    await visit.join()
    async with avatar as sender:
        sending = asyncio.create_task(sender.run())
        await until(lambda: visit.notes.pictures, "the feed")
        pictures = await some(visit.notes, 20, form)
        assert {(p.width, p.height, p.format, p.rotation) for p in pictures} == {(*SIZE, form, 0)}
        steps = np.diff([p.t for p in pictures])
        assert min(steps) >= 0.0  # the library dates to the millisecond what came in one go
        assert 0.005 < np.mean(steps) < 2.0
        assert pictures[0].bgr().shape == (240, 320, 3)
        assert 0.0 < await visit.notes.pictures[0].path_delay_s() < 1.0
        sending.cancel()
    await until(lambda: visit.notes.named("video ended"), "the end")
    # The feed ended by itself.
    assert [p async for p in visit.notes.pictures[-1].pictures(form)] == []


async def test_nobody_elses_camera_is_subscribed_to(visit: Visit, avatar: VideoAvatar) -> None:
    visit.notes.wants_video = True
    await visit.join()
    async with visit.peer("bystander") as bystander:
        await bystander.show("camera")
        async with avatar as sender:
            sending = asyncio.create_task(sender.run())
            await until(lambda: visit.notes.pictures, "the feed")
            assert {(p.width, p.height) for p in await some(visit.notes, 5)} == {SIZE}
            assert (await publication(visit.room, "face", "avatar-picture")).subscribed
            assert not (await publication(visit.room, "bystander", "camera")).subscribed
            assert len(visit.notes.pictures) == 1
            sending.cancel()


async def test_without_a_taker_the_picture_is_not_subscribed_to(visit: Visit, avatar: VideoAvatar) -> None:
    await visit.join()
    async with avatar:
        await until(lambda: visit.notes.feeds, "the voice")
        assert not (await publication(visit.room, "face", "avatar-picture")).subscribed
        assert not visit.notes.named("video")


async def test_the_pseudo_video_is_never_taken_for_a_picture(visit: Visit) -> None:
    visit.notes.wants_video = True
    await visit.join()
    async with visit.peer() as peer:
        await peer.show("egress-animation")
        await peer.speak()
        await until(lambda: visit.notes.feeds, "the voice")
        await asyncio.sleep(0.5)
        assert not (await publication(visit.room, peer.identity, "egress-animation")).subscribed
        assert not visit.notes.named("video")
        # A real picture beside it is one.
        await peer.show("camera")
        await until(lambda: visit.notes.pictures, "the picture")
        assert (await publication(visit.room, peer.identity, "camera")).subscribed
        assert not (await publication(visit.room, peer.identity, "egress-animation")).subscribed


async def test_a_picture_that_pauses_ends_and_comes_back(visit: Visit, avatar: VideoAvatar) -> None:
    visit.notes.wants_video = True
    await visit.join()
    async with avatar as sender:
        sending = asyncio.create_task(sender.run())
        await until(lambda: visit.notes.pictures, "the feed")
        assert visit.notes.named("video") == [("video", False)]
        sender.mute_picture(True)
        await until(lambda: visit.notes.named("video muted") == [("video muted", True)], "muted")
        sender.mute_picture(False)
        await until(lambda: len(visit.notes.named("video muted")) == 2, "unmuted")
        await sender.unpublish_picture()
        await until(lambda: visit.notes.named("video ended"), "the end")
        assert not visit.notes.named("audio ended")
        await sender.publish_picture()
        await until(lambda: len(visit.notes.pictures) == 2, "another feed")
        assert await some(visit.notes, 3)
        sending.cancel()
    await until(lambda: visit.notes.named("left"), "the avatar to leave")
    assert len(visit.notes.named("video ended")) == 2
    assert visit.notes.errors == []


async def test_messages_count_from_the_avatar_its_agent_and_workers_only(
    visit: Visit, avatar: VideoAvatar
) -> None:
    await visit.join()
    said = json.dumps({"type": "transcription", "text": "x"}).encode()
    async with (
        avatar as sender,
        visit.peer("agent") as agent,
        visit.peer("worker:3") as worker,
        visit.peer("stranger") as stranger,
    ):
        await until(lambda: visit.notes.feeds, "the avatar")
        await until(lambda: len(visit.room.remote_participants) == 4, "everybody")
        await stranger.send(said, "")
        await sender.send_message(said)
        await agent.send(said, "anything")
        await worker.send(said, "")
        await until(lambda: len(visit.notes.messages) == 3, "the messages")
        await asyncio.sleep(0.3)
    assert sorted(sender for _, sender in visit.notes.messages) == ["agent", "face", "worker:3"]
    assert {data for data, _ in visit.notes.messages} == {said}
