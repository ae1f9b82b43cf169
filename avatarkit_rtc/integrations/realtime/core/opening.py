"""What a client tells while its ``connect()`` runs, until that is seen to have returned."""

from __future__ import annotations

from collections import deque
from typing import Final

from avatarkit_rtc.errors import RealtimeServerError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime.events import (
    ClientEvent,
    ConnectionLost,
    ErrorReported,
    SessionEnded,
)

MAX_EARLY_EVENTS: Final = 256
"""Events that are kept until ``connect()`` has returned."""


class Opening:
    """Keeps what will count once the connection is open, and why it never will be."""

    def __init__(self) -> None:
        self._early: deque[ClientEvent] = deque()
        self.broken: Exception | None = None
        """Why the connection is of no use, although ``connect()`` may return."""
        self.dropped = 0
        """Events that there was no room for, of all connections."""

    def begin(self) -> None:
        """Forget all of it."""
        self._early.clear()
        self.broken = None

    def note(self, event: ClientEvent) -> None:
        """The client tells ``event``."""
        if isinstance(event, ConnectionLost | SessionEnded):
            self.broken = why(event)
        elif isinstance(event, ErrorReported):
            self.broken = self.broken if event.recoverable else event.error
        elif len(self._early) < MAX_EARLY_EVENTS:
            self._early.append(event)
        else:
            self.dropped += 1

    def take(self) -> list[ClientEvent]:
        """What was kept."""
        early = list(self._early)
        self._early.clear()
        return early


def why(event: ConnectionLost | SessionEnded) -> Exception:
    """What the end of a connection is reported as."""
    if isinstance(event, SessionEnded):
        return RealtimeServerError(f"the realtime provider has ended the session: {event.reason}")
    if event.error is not None:
        return event.error
    return RealtimeTransportError(f"the connection to the realtime provider was lost: {event.cause}")
