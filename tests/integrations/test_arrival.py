"""What was sent has got there: asked of a real participant."""

from __future__ import annotations

from livekit import rtc

from avatarkit_rtc.integrations.arrival import arrived
from tests.support.livekit import LiveKitServer
from tests.support.room_peer import Peer


async def test_what_was_sent_before_is_there_when_it_says_so(
    livekit_server: LiveKitServer, room_name: str
) -> None:
    got: list[rtc.DataPacket] = []
    async with Peer(livekit_server, room_name, "there") as there, Peer(livekit_server, room_name, "us") as us:
        there.room.on("data_received", got.append)
        for count in range(1, 21):
            await us.send(b"x" * 10_000)
            assert await arrived(us.room.local_participant, "there", 20)
            assert len(got) == count
        assert not await arrived(us.room.local_participant, "nobody", 0.05)
    assert not await arrived(us.room.local_participant, "there", 0.05)
