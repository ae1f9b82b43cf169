"""With an egress: an avatar in the room that the client names speaks what the client sends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from avatarkit_rtc.errors import ConnectError, ConnectTimeoutError
from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.providers.join_token import keep_tokens_out_of_logs
from avatarkit_rtc.testing.room import RoomTransport, avatar_token
from avatarkit_rtc.testing.spatialreal_service.behaviour import Behaviour
from avatarkit_rtc.testing.spatialreal_service.faults import (
    INVALID_REQUEST,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UPSTREAM_UNAVAILABLE,
)
from avatarkit_rtc.testing.spatialreal_service.live_avatar import LiveAvatar
from avatarkit_rtc.testing.spatialreal_service.playback import Listener, PlaybackOver
from avatarkit_rtc.testing.spatialreal_service.turn import Turn


class RoomEgress:
    """Joins with the token it was given, and plays; turns that come before it has joined wait."""

    def __init__(
        self,
        config: pb.LiveKitEgressConfig,
        sample_rate: int,
        listener: Listener,
        behaviour: Behaviour,
        avatar_id: str = "",
    ) -> None:
        keep_tokens_out_of_logs()
        self._listener, self._behaviour, self._sample_rate = listener, behaviour, sample_rate
        self._avatar_id = avatar_id
        self._idle_timeout_s = config.idle_timeout
        self._queued: deque[Turn] = deque()
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self.transport = RoomTransport(config.url, _token(config), sample_rate=sample_rate)
        self.avatar: LiveAvatar | None = None
        """Once it is in the room."""

    @property
    def busy(self) -> bool:
        """See :class:`~avatarkit_rtc.testing.spatialreal_service.playback.Playback`, also for the rest."""
        return bool(self._queued) or (self.avatar is not None and self.avatar.busy)

    def add(self, turn: Turn) -> None:
        """Likewise."""
        if self.avatar is not None:
            self.avatar.add(turn)
        else:
            self._queued.append(turn)

    def changed(self) -> None:
        """Likewise."""
        self._heard_at = self._loop.time()

    def turns(self) -> Iterator[Turn]:
        """Likewise."""
        if self.avatar is not None:
            yield from self.avatar.turns()
        yield from self._queued

    def interrupt(self, turn: Turn, reason: str) -> None:
        """Likewise."""
        if self.avatar is not None:
            self.avatar.interrupt(turn, reason)
        else:
            turn.interrupted, turn.over = reason, True
            self._queued.remove(turn)

    async def run(self) -> None:
        """Join, and play until cancelled.

        Raises:
            PlaybackOver: it cannot join, the room was closed, or nobody has said anything for long.
        """
        try:
            await self.transport.connect()
        except ConnectError as error:
            # A token that is not let in is the client's fault; a server that does not answer is not.
            refused = not isinstance(error, ConnectTimeoutError) and "401" in str(error)
            codes = (INVALID_REQUEST, UNAUTHENTICATED) if refused else (UPSTREAM_UNAVAILABLE, UNAVAILABLE)
            raise PlaybackOver(codes[0], f"egress: {error}", codes[1]) from error
        avatar = self.avatar = LiveAvatar(
            self.transport,
            self._sample_rate,
            self._listener,
            avatar_id=self._avatar_id,
            inference_s=self._behaviour.inference_s,
            while_paused=self._behaviour.while_paused,
        )
        while self._queued:
            avatar.add(self._queued.popleft())
        tasks = {
            asyncio.create_task(avatar.run(), name="stand-in egress: avatar"),
            asyncio.create_task(self._room_closed(), name="stand-in egress: room"),
            asyncio.create_task(self._silent(avatar), name="stand-in egress: silence"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """Leave the room."""
        await self.transport.aclose()

    async def _room_closed(self) -> None:
        await self.transport.wait_closed()
        raise PlaybackOver(UPSTREAM_UNAVAILABLE, "egress: the room was closed", UNAVAILABLE)

    async def _silent(self, avatar: LiveAvatar) -> None:
        """Ends when nothing was played or heard for the idle timeout."""
        if not self._idle_timeout_s:
            await asyncio.Event().wait()
        wait = float(self._idle_timeout_s)
        while wait > 0:
            await asyncio.sleep(wait)
            wait = self._idle_timeout_s
            if not avatar.busy:
                wait += max(avatar.silent_since, self._heard_at) - self._loop.time()
        raise PlaybackOver(1000, "idle timeout")


def _token(config: pb.LiveKitEgressConfig) -> str:
    if config.api_token:
        return config.api_token
    behalf = config.extra_attributes.get("lk.publish_on_behalf", "agent")
    return avatar_token(
        config.api_key,
        config.api_secret,
        config.room_name,
        config.publisher_id,
        publish_on_behalf=behalf,
    )
