"""What the two ways of playing have in common: into a room, and over the WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from avatarkit_rtc.testing.spatialreal_service.turn import Turn


class Playback(Protocol):
    """Plays turns in the order they come."""

    @property
    def busy(self) -> bool:
        """A turn is being played, or waits."""

    def add(self, turn: Turn) -> None:
        """Play ``turn`` after those before it; its sound and motion may still be coming."""

    def changed(self) -> None:
        """A turn has got more motion, or its end."""

    def turns(self) -> Iterator[Turn]:
        """The turns that are not over, the oldest first."""

    def interrupt(self, turn: Turn, reason: str) -> None:
        """Cut ``turn`` off: no more motion and sound of it."""

    async def run(self) -> None:
        """Play until cancelled.

        Raises:
            PlaybackOver: it cannot go on.
        """

    async def aclose(self) -> None:
        """Free everything. More than once is fine; never raises."""


class Listener(Protocol):
    """Who is told how the playback goes."""

    def on_started(self, turn: Turn) -> None:
        """The first motion of ``turn`` is sent now."""

    def on_progress(self, turn: Turn) -> None:
        """Another second of ``turn`` was sent."""

    def on_frame(self, turn: Turn) -> None:
        """Motion of ``turn`` was sent."""

    def on_ended(self, turn: Turn) -> None:
        """All of ``turn``, its sound included, was sent."""


class PlaybackOver(Exception):  # noqa: N818 (an idle timeout is no error)
    """The playback cannot go on, or need not; the session is to be closed."""

    def __init__(self, close_code: int, message: str, error_code: int | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.error_code = error_code
        """What the error message says first, if there is to be one."""
