"""What a motion stream reports: rounds opening and closing, and what they carry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from avatarkit_rtc.motion.frame import MotionFrame


class RoundCause(StrEnum):
    """What opened a round."""

    START = "start"
    """A frame with the start flag."""
    TRANSITION = "transition"
    """A transition packet."""
    FRAME = "frame"
    """A frame out of nothing: its start packet was lost."""
    RESTART = "restart"
    """The sequence numbers began anew without a start flag."""


class RoundEndReason(StrEnum):
    """Why a round of speech ended."""

    TRANSITION_END = "transition-end"
    """The service said that the speech is over (the usual end)."""
    END_FLAG = "end-flag"
    """The last frame carried the end flag."""
    IDLE = "idle"
    """Only idle packets came."""
    SUPERSEDED = "superseded"
    """The next round began."""
    STALLED = "stalled"
    """Nothing came for the stall timeout."""
    AVATAR_LEFT = "avatar-left"
    """The avatar left the room."""
    CONNECTION_LOST = "connection-lost"
    """The connection went down or is being rebuilt."""
    DISCONNECTED = "disconnected"
    """``disconnect()`` or ``reconnect()`` was called here."""
    FLUSHED = "flushed"
    """``flush()`` was called."""


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """A round of speech opens; frames of it may follow at once."""

    round: int
    cause: RoundCause
    req_id: str = ""
    """The service's name for the turn, if it gives one."""


class FrameArrived(NamedTuple):
    """A frame of a round, the first time it arrives by any packet."""

    round: int
    seq: int
    """Frame number within the round, unwrapped: it goes on rising past 2^32."""
    frame: MotionFrame
    recovered: bool = False
    """A redundant copy or the transition-end brought it, not its own packet."""
    rebased: bool = False
    """The numbering jumped far ahead to get here: what lies between will never come."""


@dataclass(frozen=True, slots=True)
class TransitionArrived:
    """The pose a round will begin with; once per round."""

    round: int
    frame: MotionFrame


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """No further frames are expected, though a straggler may still come within 0.3 s."""

    round: int
    reason: RoundEndReason


StreamEvent: TypeAlias = RoundOpened | FrameArrived | TransitionArrived | RoundClosed
