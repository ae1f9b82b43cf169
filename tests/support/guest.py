"""Somebody in a LiveKit room who takes down what an avatar sends."""

from __future__ import annotations

import asyncio

import numpy as np
from livekit import rtc

from avatarkit_rtc.providers.livekit_room import OwnRoom


class Guest:
    """All data packets, tracks by name, and how loud the loudest sample was."""

    def __init__(self) -> None:
        self.room = OwnRoom()
        self.packets: list[rtc.DataPacket] = []
        self.tracks: dict[str, rtc.Track] = {}
        self.participant: rtc.RemoteParticipant | None = None
        self.loudest = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.room.on("data_received", self.packets.append)
        self.room.on("track_subscribed", self._subscribed)

    def _subscribed(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        self.tracks[publication.name] = track
        self.participant = participant
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._tasks.append(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, capacity=100)
        try:
            async for event in stream:
                self.loudest = max(self.loudest, int(np.abs(np.frombuffer(event.frame.data, np.int16)).max()))
        finally:
            await stream.aclose()

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()
