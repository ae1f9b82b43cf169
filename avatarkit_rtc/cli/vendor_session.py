"""The two ways to have SpatialReal's avatar speak, as ``avatarkit-rtc session`` uses them: through a LiveKit
room, and without one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from avatarkit_rtc.cli.evidence import Evidence, TappedProvider
from avatarkit_rtc.cli.running import say
from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.integrations.spatialreal import (
    PlaybackFinished,
    RetryAttempt,
    SpatialRealSession,
    SpeechEnded,
    SpeechPaused,
)
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.base import Provider

if TYPE_CHECKING:
    from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider


class Playing(Protocol):
    """What becomes of something that is said."""

    async def wait_started(self) -> None:
        """Wait until it has begun, or is over."""

    async def wait(self) -> PlaybackFinished:
        """Wait until it is over."""


class Way(Protocol):
    """A way to the avatar."""

    provider: Provider
    """For the player."""

    def begin(self, player: AvatarPlayer) -> contextlib.AbstractAsyncContextManager[None]:
        """Start, and connect the player; ends what was started."""

    async def say(self, source: Any) -> Playing:
        """Make it speak; may return at once."""

    async def wait_speaking(self) -> None:
        """Wait until the avatar has begun with what was said last."""

    async def interrupt(self) -> None:
        """Cut it off."""

    async def pause(self) -> None:
        """Hold it."""

    async def resume(self) -> None:
        """Let it go on."""

    async def wait_failed(self) -> None:
        """Wait until there is no avatar any more; raises why."""

    def figures(self) -> dict[str, Any]:
        """What it did, for JSON."""


class RoomWay:
    """Through a LiveKit room: the service's worker joins it, and so does the player."""

    def __init__(self, evidence: Evidence, identity: str | None, **options: Any) -> None:
        """``options`` are :class:`SpatialRealSession`'s; ``identity`` is the player's in the room."""
        self._evidence, self._identity = evidence, identity
        self.session = SpatialRealSession(**options)
        self.provider: Provider = TappedProvider(evidence, self.session.avatar_identity)
        self._said: dict[str, Any] = {}
        self._speaking = asyncio.Event()
        self.session.on("speech-started", self._speaking.set)
        _narrate(self.session, evidence)

    @contextlib.asynccontextmanager
    async def begin(self, player: AvatarPlayer) -> AsyncIterator[None]:
        """See :class:`Way`, also for the rest."""
        self.session.on("interrupted", player.flush)
        async with self.session:
            self._said = {
                "connection_id": self.session.connection_id,
                "capabilities": self.session.capabilities,
            }
            say(f"session {self.session.connection_id}, room {self.session.room_name}")
            await player.connect(self.session.viewer(self._identity))
            yield

    async def say(self, source: Any) -> Playing:
        """Likewise."""
        self._speaking.clear()
        return await self.session.say(source)

    async def wait_speaking(self) -> None:
        """Likewise."""
        await self._speaking.wait()

    async def interrupt(self) -> None:
        """Likewise."""
        await self.session.interrupt()

    async def pause(self) -> None:
        """Likewise."""
        await self.session.pause()

    async def resume(self) -> None:
        """Likewise."""
        await self.session.resume()

    async def wait_failed(self) -> None:
        """Likewise."""
        await self.session.wait_ended()
        if self.session.error is not None:
            raise self.session.error

    def figures(self) -> dict[str, Any]:
        """Likewise."""
        return {"way": "room"} | self._said | dataclasses.asdict(self.session.stats())


class DirectWay:
    """Without a room: motion comes back over the service's WebSocket."""

    def __init__(self, evidence: Evidence, **options: Any) -> None:
        """``options`` are :class:`SpatialRealProvider`'s."""
        from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider

        self._evidence = evidence
        self._direct: SpatialRealProvider = SpatialRealProvider(**options)
        self.provider: Provider = self._direct
        self._connection_id: str | None = None
        self._playback: Playing | None = None
        self._said = asyncio.Event()

    @contextlib.asynccontextmanager
    async def begin(self, player: AvatarPlayer) -> AsyncIterator[None]:
        """See :class:`Way`, also for the rest."""
        self._player = player
        await player.connect()
        self._connection_id = self._direct.stats().connection_id
        say(f"session {self._connection_id}")
        yield

    async def say(self, source: Any) -> Playing:
        """Likewise."""
        self._said.clear()
        self._playback = await self._direct.say(source)
        self._said.set()
        return self._playback

    async def wait_speaking(self) -> None:
        """Likewise."""
        await self._said.wait()
        assert self._playback is not None
        await self._playback.wait_started()

    async def interrupt(self) -> None:
        """Likewise."""
        self._evidence.note("interrupted")
        await self._direct.interrupt()

    async def pause(self) -> None:
        """Likewise."""
        self._direct.pause()

    async def resume(self) -> None:
        """Likewise."""
        self._direct.resume()

    async def wait_failed(self) -> None:
        """Likewise. The player says why, by its own events."""
        await self._player.wait_closed()

    def figures(self) -> dict[str, Any]:
        """Likewise."""
        return (
            {"way": "direct"}
            | dataclasses.asdict(self._direct.stats())
            | {"connection_id": self._connection_id}
        )


def _narrate(session: SpatialRealSession, evidence: Evidence) -> None:
    """Say what happens, a line each, and note it."""

    def held(event: SpeechPaused) -> None:
        say("held" if event.position_s is None else f"held at {event.position_s:.2f} s")

    def ended(event: SpeechEnded) -> None:
        where = "" if event.position_s is None else f" at {event.position_s:.2f} s"
        say(f"cut off{where} ({event.reason})" if event.interrupted else f"said, over{where}")

    def retry(attempt: RetryAttempt) -> None:
        evidence.note("cause", attempt.cause)
        say(f"{attempt.cause}; connecting anew in {attempt.delay_s:.1f} s (attempt {attempt.attempt})")

    def failed(error: AvatarKitError) -> None:
        say(f"error: {error}")

    says: dict[str, Any] = {
        "speech-started": lambda: say("it speaks"),
        "speech-paused": held,
        "speech-resumed": lambda: say("it goes on"),
        "speech-ended": ended,
        "retry": retry,
        "error": failed,
    }
    for name in ("state-changed", "interrupted", *says):
        session.on(name, lambda payload, name=name: evidence.note(name, payload))
    for name, handler in says.items():
        session.on(name, handler)
