"""Figures of a session."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SessionStats:
    """What a session did so far."""

    connections: int = 0
    """Connections to the service that came about."""
    token_s: float | None = None
    """How long the last session token took, in seconds."""
    connect_s: float | None = None
    """How long the last connection took altogether."""
    errors: dict[str, int] = field(default_factory=dict)
    """What went wrong, by ``code``."""
    close_codes: tuple[int, ...] = ()
    """Codes that connections were closed with by the service, the last 32."""
    said: int = 0
    """Utterances of which something was sent."""
    duplicate_ends: int = 0
    """Ends that the service reported once more."""
    unexpected: int = 0
    """Reports that belong to nothing that was said."""
