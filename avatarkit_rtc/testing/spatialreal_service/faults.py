"""What can go wrong at an avatar service, on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

CREDITS_EXHAUSTED: Final = 4001
SESSION_TIMEOUT: Final = 4002
CONCURRENCY_LIMIT: Final = 4003
AUTH_FAILED: Final = 4010
UPSTREAM_UNAVAILABLE: Final = 4503
"""WebSocket close codes, from ``CloseCode`` of the vendor's package 0.2.2. 40xx: trying again changes nothing
(but for 4002); 45xx: try again."""

INVALID_REQUEST: Final = 4000
"""A close code of the stand-in's own in the range 40xx: the request is at fault."""
INVALID_ARGUMENT, UNAVAILABLE, UNAUTHENTICATED = 3, 14, 16
"""Codes of gRPC, with which a service relays what failed behind it."""

Where = Literal["token", "connect", "handshake", "sentence"]
"""The request for a session token; the WebSocket's HTTP request; the answer to the session's configuration;
in the middle of a turn of speech."""


@dataclass(frozen=True, slots=True)
class HttpFault:
    """What a request gets instead of its answer. For ``token`` and ``connect``."""

    status: int = 500
    text: str | None = None
    """The body; None for the JSON of an error as the vendor's package reads it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """``{"Retry-After": "2"}``, for instance."""
    kind: Literal["answer", "slow", "hang", "close"] = "answer"
    """``slow``: the good answer, after ``delay_s``. ``hang``: none. ``close``: the connection ends."""
    delay_s: float = 0.0
    """Seconds before the answer."""


@dataclass(frozen=True, slots=True)
class SocketFault:
    """What happens on the WebSocket, in the order of the fields. For ``handshake`` and ``sentence``.

    ``SocketFault(close_code=4500)`` closes, ``SocketFault(error_code=4001, close_code=4001)`` says so first.
    """

    delay_s: float = 0.0
    """Nothing is sent for so long; what comes is still read."""
    garbage: bytes | None = None
    """Sent as a binary message."""
    text: str | None = None
    """Sent as a text message; the protocol has none."""
    error_code: int | None = None
    """An error message with this code: a close code, or one of gRPC."""
    error_message: str = ""
    """Its text."""
    close_code: int | None = None
    """The connection is closed with this code."""
    reason: str = ""
    """What is said with it, at most 123 bytes."""
    cut: bool = False
    """The connection ends without a word (RST)."""
    hang: bool = False
    """At the handshake: no answer to the configuration, and the connection stays."""
    after_s: float = 0.5
    """In a sentence: after so many seconds of its motion."""
