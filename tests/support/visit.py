"""A provider in the test's LiveKit room, what it reports, and whoever else comes there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from livekit import rtc

from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from tests.support.livekit import LiveKitServer
from tests.support.room_peer import Notes, Peer


@dataclass(frozen=True)
class Visit:
    """Ready to :meth:`join`; the fixture ``visit`` of the tests of providers."""

    server: LiveKitServer
    room_name: str
    config: ConnectionConfig
    provider: LiveKitProvider
    notes: Notes

    async def join(self) -> None:
        await self.provider.connect(self.config)

    def peer(self, identity: str = "spatialreal-avatar", attributes: Mapping[str, str] | None = None) -> Peer:
        """Another participant of the room, who comes with ``async with``."""
        return Peer(self.server, self.room_name, identity, attributes)

    @property
    def room(self) -> rtc.Room:
        """The room, which was joined."""
        room = self.provider.get_native_client()
        assert room is not None
        return room


def subscribed(room: rtc.Room) -> list[str]:
    """Names of all tracks that are subscribed to in ``room``."""
    return sorted(
        publication.name
        for participant in room.remote_participants.values()
        for publication in participant.track_publications.values()
        if publication.subscribed
    )
