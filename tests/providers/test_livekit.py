"""LiveKitProvider in a real room: the avatar, its packets and its voice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import pytest
from livekit import rtc

from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.avatar_finder import ON_BEHALF_ATTRIBUTE
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from tests.support.livekit import LiveKitServer, until
from tests.support.room_peer import Notes, Peer, listen, tone_of
from tests.support.visit import Visit, subscribed

CONNECTED = ConnectionState.CONNECTED
MINT = Callable[..., str]


class TestPackets:
    async def test_arrive_intact_and_in_order(self, visit: Visit) -> None:
        sent = [bytes([number]) + bytes(range(256)) * number for number in range(50)] + [b""]
        async with visit.peer() as avatar:
            await visit.join()
            for data in sent:
                await avatar.send(data)
            await until(lambda: len(visit.notes.packets) == len(sent), "all packets")
        assert visit.notes.packets == sent
        assert all(type(packet) is bytes for packet in visit.notes.packets)

    async def test_lossy_ones_arrive_too(self, visit: Visit) -> None:
        async with visit.peer() as avatar:
            await visit.join()
            for number in range(20):
                await avatar.send(bytes([number]), reliable=False)
                await asyncio.sleep(0.01)
            await until(lambda: len(visit.notes.packets) >= 15, "most packets")

    async def test_of_others_and_on_other_topics_are_ignored(self, visit: Visit) -> None:
        async with (
            visit.peer() as avatar,
            visit.peer("troll") as troll,
        ):
            await visit.join()
            await troll.send(b"not from the avatar")
            await avatar.send(b"chat", topic="chat")
            await avatar.send(b"no topic", topic="")
            await until(lambda: visit.provider.foreign_packets == 3, "the foreign packets")
            await avatar.send(b"motion")
            await until(lambda: visit.notes.packets, "the packet")
        assert visit.notes.packets == [b"motion"]

    async def test_topic_can_be_another(
        self, livekit_server: LiveKitServer, room_name: str, notes: Notes, config: ConnectionConfig
    ) -> None:
        provider = LiveKitProvider(topic="face")
        provider.set_listener(notes)
        async with Peer(livekit_server, room_name) as avatar:
            await provider.connect(config)
            await avatar.send(b"usual topic")
            await avatar.send(b"other topic", topic="face")
            await until(lambda: notes.packets, "the packet")
        await provider.disconnect()
        assert notes.packets == [b"other topic"]

    async def test_listener_that_fails_does_no_harm(
        self, visit: Visit, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(Notes):
            def on_motion_packet(self, data: bytes) -> None:
                super().on_motion_packet(data)
                raise RuntimeError("listener is broken")

            def on_avatar_joined(self, identity: str) -> None:
                raise TypeError("this too")

            def on_connection_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
                raise ValueError("and this")

        broken = Broken()
        visit.provider.set_listener(broken)
        with caplog.at_level(logging.ERROR):
            async with visit.peer() as avatar:
                await visit.join()
                for number in range(20):
                    await avatar.send(bytes([number]))
                await until(lambda: len(broken.packets) == 20, "all packets")
        ours = [
            r for r in caplog.records if r.name == "avatarkit_rtc" and "on_connection_state" not in r.message
        ]
        assert len(ours) == 1, "one line, not one per packet"
        assert not [record for record in caplog.records if record.name == "root"], "nothing got into the SDK"


class TestFindingTheAvatar:
    async def test_it_may_be_there_before_us(self, visit: Visit) -> None:
        async with visit.peer("spatius-avatar"):
            await visit.join()
            assert visit.notes.events[:3] == [
                ("state", ConnectionState.CONNECTING),
                ("state", CONNECTED),
                ("joined", "spatius-avatar"),
            ]
            assert visit.provider.avatar == "spatius-avatar"

    async def test_it_may_come_later_leave_and_come_back(self, visit: Visit) -> None:
        await visit.join()
        for _ in range(2):
            async with visit.peer() as avatar:
                await avatar.speak()  # the server announces participants without a track only every 3 s
                await until(lambda: visit.provider.avatar, "the avatar")
                await avatar.send(b"here")
                await until(lambda: visit.notes.packets, "its packet")
                visit.notes.packets.clear()
            await until(lambda: visit.provider.avatar is None, "its leaving")
        assert (
            visit.notes.named("joined", "left")
            == [("joined", "spatialreal-avatar"), ("left", "spatialreal-avatar")] * 2
        )

    async def test_second_avatar_waits_its_turn(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer("worker", {ON_BEHALF_ATTRIBUTE: "agent"}) as first:
            await first.speak()
            await until(lambda: visit.provider.avatar == "worker", "the first avatar")
            async with visit.peer("spatialreal-avatar") as second:
                await second.speak()
                await second.send(b"second")
                await until(lambda: visit.provider.foreign_packets == 1, "the second avatar's packet")
                assert visit.provider.avatar == "worker"
                await first.leave()
                await until(lambda: visit.provider.avatar == "spatialreal-avatar", "the second avatar's turn")
                await second.send(b"now")
                await until(lambda: visit.notes.packets, "its packet")
        assert visit.notes.packets == [b"now"]
        assert visit.notes.named("joined", "left")[:3] == [
            ("joined", "worker"),
            ("left", "worker"),
            ("joined", "spatialreal-avatar"),
        ]

    async def test_attribute_may_come_later(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer("worker") as worker:
            await worker.speak()
            await worker.send(b"nobody yet")
            await until(lambda: visit.provider.foreign_packets == 1, "a packet of a stranger")
            await worker.room.local_participant.set_attributes({ON_BEHALF_ATTRIBUTE: "agent"})
            await until(lambda: visit.provider.avatar == "worker", "the avatar")

    async def test_configured_identity_is_the_only_one(
        self, livekit_server: LiveKitServer, room_name: str, config: ConnectionConfig
    ) -> None:
        provider = LiveKitProvider("nora")
        async with Peer(livekit_server, room_name), Peer(livekit_server, room_name, "nora") as nora:
            await nora.speak()
            await provider.connect(config)
            assert provider.avatar == "nora"
            await nora.leave()
            await until(lambda: provider.avatar is None, "her leaving")
        await provider.disconnect()

    async def test_we_are_never_the_avatar(
        self, livekit_server: LiveKitServer, join_token: MINT, provider: LiveKitProvider, notes: Notes
    ) -> None:
        token = join_token("spatialreal-avatar", attributes={ON_BEHALF_ATTRIBUTE: "me"})
        await provider.connect(ConnectionConfig(livekit_server.url, token))
        room = provider.get_native_client()
        assert room is not None
        await room.local_participant.set_attributes({ON_BEHALF_ATTRIBUTE: "still me"})
        await asyncio.sleep(0.3)
        assert provider.avatar is None
        assert notes.named("joined") == []


class TestVoice:
    async def test_arrives_in_blocks_of_10_ms(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer() as avatar:
            await avatar.speak(tone_hz=1000)
            await until(lambda: visit.notes.feeds, "the feed")
            feed, blocks = visit.notes.feeds[0], []
            before = time.monotonic()
            async with asyncio.timeout(10):
                async for block in feed:
                    blocks.append(block)
                    if len(blocks) == 100:
                        break
            assert all(block.samples.shape == (480, 1) and block.sample_rate == 48000 for block in blocks)
            times = [block.t for block in blocks]
            assert times == sorted(times)
            assert before <= times[0] <= times[-1] <= time.monotonic()
            assert await tone_of(feed) == pytest.approx(1000, abs=25)
            assert feed.dropped == 0
            await feed.aclose()
            await feed.aclose()
            assert [block async for block in feed] == []

    async def test_feed_nobody_reads_costs_nothing(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer() as avatar:
            await avatar.speak()
            await until(lambda: visit.notes.feeds, "the feed")
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "avatar audio"]
            await visit.notes.feeds[0].aclose()

    async def test_slow_reader_loses_the_oldest_and_it_is_counted(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer() as avatar:
            await avatar.speak()
            await until(lambda: visit.notes.feeds, "the feed")
            feed = visit.notes.feeds[0]
            await anext(aiter(feed))
            await until(lambda: feed.dropped > 20, "drops")
            fresh = await anext(aiter(feed))
            assert time.monotonic() - fresh.t < 3.0

    async def test_feed_ends_when_the_track_is_unpublished_and_a_new_one_comes(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer() as avatar:
            publication = await avatar.speak()
            await until(lambda: visit.notes.feeds, "the feed")
            reading = asyncio.create_task(listen(visit.notes.feeds[0], blocks=10**6, timeout_s=30))
            await asyncio.sleep(0.3)
            await avatar.room.local_participant.unpublish_track(publication.sid)
            assert len(await asyncio.wait_for(reading, 10)) > 0
            assert visit.notes.named("audio", "audio ended") == [("audio",), ("audio ended",)]
            await avatar.speak(tone_hz=600)
            await until(lambda: len(visit.notes.feeds) == 2, "the next feed")
            assert await tone_of(visit.notes.feeds[1]) == pytest.approx(600, abs=25)

    async def test_the_named_track_is_preferred_and_any_other_will_do(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer() as avatar:
            await avatar.speak("some-voice", tone_hz=400)
            await until(lambda: visit.notes.feeds, "the feed")
            assert await tone_of(visit.notes.feeds[0]) == pytest.approx(400, abs=25)
            await avatar.speak("egress-audio", tone_hz=900)
            await until(lambda: len(visit.notes.feeds) == 2, "the change to the named track")
            assert await tone_of(visit.notes.feeds[1]) == pytest.approx(900, abs=25)
            await avatar.speak("third", tone_hz=1500)
            await asyncio.sleep(0.3)
            assert len(visit.notes.feeds) == 2

    async def test_only_the_voice_is_subscribed(self, visit: Visit) -> None:
        async with (
            visit.peer() as avatar,
            visit.peer("agent") as agent,
        ):
            await agent.speak("agent-voice")
            await avatar.speak()
            await avatar.show()
            await visit.join()
            await until(lambda: visit.notes.feeds, "the feed")
            await asyncio.sleep(0.5)
            assert subscribed(visit.room) == ["egress-audio"]

    async def test_auto_subscribe_takes_all_but_the_pseudo_video(
        self, livekit_server: LiveKitServer, room_name: str, config: ConnectionConfig
    ) -> None:
        notes = Notes()
        provider = LiveKitProvider(room_options=rtc.RoomOptions(auto_subscribe=True))
        provider.set_listener(notes)
        async with (
            Peer(livekit_server, room_name) as avatar,
            Peer(livekit_server, room_name, "agent") as agent,
        ):
            await avatar.show()
            await agent.speak("agent-voice")
            await avatar.speak()
            await provider.connect(config)
            room = provider.get_native_client()
            assert room is not None
            await until(lambda: subscribed(room) == ["agent-voice", "egress-audio"], "subscriptions")
            await until(lambda: notes.feeds, "the feed")
            await asyncio.sleep(0.5)
            assert subscribed(room) == ["agent-voice", "egress-audio"]
            assert len(await listen(notes.feeds[0])) == 50 * 480
        await provider.disconnect()

    async def test_feed_ends_when_we_disconnect(self, visit: Visit) -> None:
        await visit.join()
        async with visit.peer() as avatar:
            await avatar.speak()
            await until(lambda: visit.notes.feeds, "the feed")
            reading = asyncio.create_task(listen(visit.notes.feeds[0], blocks=10**6, timeout_s=30))
            await asyncio.sleep(0.3)
            await visit.provider.disconnect()
            assert len(await asyncio.wait_for(reading, 5)) > 0
            assert visit.notes.events[-2:] == [
                ("audio ended",),
                ("state", ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED),
            ]
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "avatar audio"]
