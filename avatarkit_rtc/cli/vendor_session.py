"""The two ways to have SpatialReal's avatar speak, as ``avatarkit-rtc session`` uses them: through a LiveKit
room, and without one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from avatarkit_rtc.cli.evidence import Evidence, TappedProvider
from avatarkit_rtc.cli.running import say
from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.integrations.spatialreal import (
    PlaybackFinished,
    RetryAttempt,
    SpatialRealSession,
    SpeechEnded,
    SpeechPaused,
    SpeechPlayback,
    SpeechStarted,
)
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.base import Provider

if TYPE_CHECKING:
    from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider


class Playing(Protocol):
    """What becomes of something that is said."""

    async def wait(self) -> PlaybackFinished:
        """Wait until it is over; raises what it was lost by."""


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

    async def pause(self) -> bool:
        """Hold it; whether it is held."""

    async def resume(self) -> None:
        """Let it go on."""

    def doubt(self) -> str | None:
        """Why the avatar may not be able to come, as far as can be told here."""

    async def wait_failed(self) -> None:
        """Wait until there is no avatar any more; raises why."""

    def figures(self) -> dict[str, Any]:
        """What it did, for JSON."""


class RoomWay:
    """Through a LiveKit room: the service's worker joins it, and so does the player."""

    def __init__(self, evidence: Evidence, identity: str | None, **options: Any) -> None:
        """``options`` are :class:`SpatialRealSession`'s; ``identity`` is the player's in the room."""
        self._identity = identity
        self.session = SpatialRealSession(**options)
        self.provider: Provider = TappedProvider(evidence, self.session.avatar_identity)
        self._said: dict[str, Any] = {}
        self._speaking = asyncio.Event()
        self.session.on("speech-started", self._speaking.set)
        narrator = _Narrator(evidence)
        for name in ("state-changed", "interrupted", "retry", "error", *_SPEECH):
            self.session.on(name, lambda payload=None, name=name: narrator.tell(name, payload))

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
            if (doubt := self.doubt()) is not None:
                say(doubt)
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

    async def pause(self) -> bool:
        """Likewise."""
        return await self.session.pause()

    async def resume(self) -> None:
        """Likewise."""
        await self.session.resume()

    def doubt(self) -> str | None:
        """Likewise."""
        return self.session.room_doubt

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

        self._narrator = _Narrator(evidence)
        self._direct: SpatialRealProvider = SpatialRealProvider(on_answer=evidence.message, **options)
        self.provider: Provider = self._direct
        self._connection_id: str | None = None
        self._playback: SpeechPlayback | None = None
        self._said = asyncio.Event()
        self._following: set[asyncio.Task[None]] = set()
        self._cuts = 0

    @contextlib.asynccontextmanager
    async def begin(self, player: AvatarPlayer) -> AsyncIterator[None]:
        """See :class:`Way`, also for the rest."""
        self._player = player
        await player.connect()
        self._connection_id = self._direct.stats().connection_id
        say(f"session {self._connection_id}")
        try:
            yield
        finally:
            await player.disconnect()
            await asyncio.gather(*self._following)

    async def say(self, source: Any) -> Playing:
        """Likewise."""
        self._said.clear()
        self._playback = await self._direct.say(source)
        self._said.set()
        following = asyncio.create_task(self._follow(self._playback), name="what becomes of it")
        self._following.add(following)
        following.add_done_callback(self._following.discard)
        return self._playback

    async def _follow(self, playback: SpeechPlayback) -> None:
        """Tell of it what a session tells by its events."""
        cuts, tell = self._cuts, self._narrator.tell
        await playback.wait_started()
        if not playback.over:
            tell("speech-started", SpeechStarted("", playback))
        with contextlib.suppress(AvatarKitError):
            await playback.wait()
        assert playback.finished is not None
        cut = playback.finished.interrupted
        reason = playback.error.code if playback.error else "explicit" if cuts != self._cuts else ""
        tell(
            "speech-ended",
            SpeechEnded("", playback, playback.finished.position_s, cut, reason if cut else ""),
        )

    async def wait_speaking(self) -> None:
        """Likewise."""
        await self._said.wait()
        assert self._playback is not None
        await self._playback.wait_started()

    async def interrupt(self) -> None:
        """Likewise."""
        self._cuts += 1
        self._narrator.tell("interrupted")
        await self._direct.interrupt()

    async def pause(self) -> bool:
        """Likewise."""
        position_s = self._direct.stats().position_s
        self._direct.pause()
        if position_s is None:
            return False
        self._narrator.tell("speech-paused", SpeechPaused("", position_s))
        return True

    async def resume(self) -> None:
        """Likewise."""
        self._direct.resume()
        position_s = self._direct.stats().position_s
        if position_s is not None:
            self._narrator.tell("speech-resumed", SpeechPaused("", position_s))

    def doubt(self) -> str | None:
        """Likewise."""
        return None

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


_SPEECH: Final = ("speech-started", "speech-paused", "speech-resumed", "speech-ended")


class _Narrator:
    """Says what happens, a line each, and notes it."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def tell(self, name: str, payload: Any = None) -> None:
        """``name`` and ``payload`` are those of a session's events."""
        if isinstance(payload, RetryAttempt):
            self._evidence.note("cause", payload.cause)
        self._evidence.note(name, payload)
        line = _line(name, payload)
        if line is not None:
            say(line)


def _line(name: str, payload: Any) -> str | None:
    if isinstance(payload, SpeechEnded):
        where = "" if payload.position_s is None else f" at {payload.position_s:.2f} s"
        return f"cut off{where} ({payload.reason})" if payload.interrupted else f"said, over{where}"
    if isinstance(payload, RetryAttempt):
        return f"{payload.cause}; connecting anew in {payload.delay_s:.1f} s (attempt {payload.attempt})"
    if isinstance(payload, SpeechPaused) and name == "speech-paused":
        return "held" if payload.position_s is None else f"held at {payload.position_s:.2f} s"
    if isinstance(payload, AvatarKitError):
        return f"error: {payload}"
    return {"speech-started": "it speaks", "speech-resumed": "it goes on"}.get(name)
