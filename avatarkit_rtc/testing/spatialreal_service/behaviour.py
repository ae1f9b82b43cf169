"""How the stand-in service behaves, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from avatarkit_rtc.motion import motion_pb2 as pb


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the stand-in service behaves."""

    capabilities: tuple[str, ...] = ("playback_control", "playback_state")
    """What it says it can do. Without the first pause and resume are ignored, without the second no state is
    sent, as by an old server."""
    inference_s: float = 0.1
    """From the first sound of a turn to its first motion."""
    ends: int = 1
    """How often the end of a turn is signalled with an egress; a service may do so twice."""
    preempts: bool = False
    """A new turn cuts the one before it off; else it waits for its end."""
    while_paused: Literal["nothing", "idle"] = "nothing"
    """Packets in the room while a turn is paused."""
    pause_timeout_s: float | None = None
    """A turn paused for longer is cut off, reason ``pause_timeout``."""
    keyframes: int = 10
    """Keyframes a message, without an egress."""
    speed: float = 4.0
    """So much faster than it is played motion comes, without an egress."""
    stale_messages: int = 0
    """Messages of a turn that still come after its interruption, without an egress."""
    max_session_s: float | None = None
    """After so long the session is closed with 4002."""


def objection(config: pb.ClientConfigureSession) -> str | None:
    """What the stand-in cannot do of ``config``; None when it can do it all."""
    if config.audio_format != pb.AUDIO_FORMAT_PCM_S16LE:
        return "the stand-in takes PCM only"
    if not 8000 <= config.sample_rate <= 48000 or config.sample_rate % 100:
        return f"unsupported sample rate {config.sample_rate}"
    if config.egress_type not in (pb.EGRESS_TYPE_UNSPECIFIED, pb.EGRESS_TYPE_LIVEKIT):
        return "the stand-in has no egress but LiveKit's"
    egress = config.livekit_egress
    if config.egress_type == pb.EGRESS_TYPE_LIVEKIT:
        keyed = egress.api_key and egress.api_secret and egress.room_name and egress.publisher_id
        if not egress.url or not (egress.api_token or keyed):
            return "the egress needs url and api_token"
    return None
