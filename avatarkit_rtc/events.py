"""Events of the player: their names and their payloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal

from avatarkit_rtc.motion.events import RoundEndReason

if TYPE_CHECKING:
    from avatarkit_rtc.playout.stats import RoundStats


class ConnectionState(StrEnum):
    """State of the connection to the avatar's room."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    FAILED = "failed"


class DisconnectReason(StrEnum):
    """Why a connection ended."""

    CLIENT_INITIATED = "client-initiated"
    """``disconnect()`` or ``reconnect()`` was called here."""
    DUPLICATE_IDENTITY = "duplicate-identity"
    """Somebody joined with the same identity."""
    SERVER_SHUTDOWN = "server-shutdown"
    """The server is stopping."""
    PARTICIPANT_REMOVED = "participant-removed"
    """An administrator removed this participant."""
    ROOM_DELETED = "room-deleted"
    """The room was deleted."""
    ROOM_CLOSED = "room-closed"
    """The room was closed because it was empty or over."""
    STATE_MISMATCH = "state-mismatch"
    """The server could not resume the session."""
    JOIN_FAILURE = "join-failure"
    """The room could not be joined (again)."""
    MIGRATION = "migration"
    """The server moved the session and the move failed."""
    SIGNAL_CLOSED = "signal-closed"
    """The signalling connection broke and did not come back."""
    CONNECTION_TIMEOUT = "connection-timeout"
    """The server was not reached in time."""
    MEDIA_FAILURE = "media-failure"
    """The media connection could not be set up."""
    REJECTED = "rejected"
    """The other side refused (a call rejected or unavailable, a failed agent or trunk)."""
    UNKNOWN = "unknown"
    """The server gave no reason, or one this version does not know."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Payload of ``disconnected``."""

    reason: DisconnectReason


@dataclass(frozen=True, slots=True)
class AvatarJoined:
    """Payload of ``avatar-joined``."""

    identity: str


@dataclass(frozen=True, slots=True)
class AvatarLeft:
    """Payload of ``avatar-left``."""

    identity: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """Payload of ``stalled``."""

    silence_s: float
    """Seconds since anything came."""
    round: int | None
    """The round that was open, if one was."""
    what: Literal["motion", "video", "audio"] = "motion"
    """What is missing: motion packets, the pictures of a video avatar, or its sound, though that was fetched
    anew three times."""


@dataclass(frozen=True, slots=True)
class AudioStalled:
    """Payload of ``audio-stalled``: the avatar's track handed out no sound, not even silence, and is fetched
    anew."""

    silence_s: float
    """Seconds since any came, or since the track was there."""


@dataclass(frozen=True, slots=True)
class RoundStarted:
    """Payload of ``round-started``: a round is on show, with its transition or its first frame."""

    round: int
    """Number of the round since the player was made: 1, 2, …"""


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """Payload of ``round-ended``: the last frame of the round was shown, or the round was cut off."""

    round: int
    reason: RoundEndReason
    stats: RoundStats
    """What was shown of it."""


@dataclass(frozen=True, slots=True)
class ReconnectAttempt:
    """Payload of ``reconnect-attempt``: auto-reconnect is about to try."""

    attempt: int
    """1, 2, …"""
    delay_s: float
    """Pause before this attempt."""
    cause: str
    """What made it necessary: a :class:`DisconnectReason`, ``stalled``, or the last error's code."""


@dataclass(frozen=True, slots=True)
class ReconnectSucceeded:
    """Payload of ``reconnect-succeeded``: frames are coming again."""

    attempts: int


@dataclass(frozen=True, slots=True)
class ReconnectFailed:
    """Payload of ``reconnect-failed``: auto-reconnect has given up."""

    attempts: int
    cause: str


@dataclass(frozen=True, slots=True)
class AudioNotice:
    """Payload of ``audio-unavailable``, ``microphone-lost`` and ``microphone-back``: what does not work with
    sound and what to do about it, or what works again."""

    message: str
    microphone: bool = False
    """It is about the microphone, and not about what the avatar is heard on."""


@dataclass(frozen=True, slots=True)
class MicrophoneLevel:
    """Payload of ``microphone-level``: loudness at the microphone over the last 0.1 s, echo cancelled."""

    rms_dbfs: float
    """-96 … 0, relative to full scale."""
    peak_dbfs: float
    """-96 … 0, relative to full scale."""
    muted: bool
    """It is muted: this is what others do not hear."""


class AudioDeviceChange(StrEnum):
    """What has happened to the device that the avatar is heard on."""

    LOST = "lost"
    """It is gone. It is looked for, and sound is dropped meanwhile."""
    BACK = "back"
    """It plays: again, or for the first time where it could not be opened before."""
    MOVED = "moved"
    """It is not there; the default device plays in its place until it is."""
    DEFAULT_CHANGED = "default-changed"
    """Another device is the default now, and plays."""
    UNAVAILABLE = "unavailable"
    """It has been gone for some seconds; it is looked for all the same."""


@dataclass(frozen=True, slots=True)
class AudioDeviceChanged:
    """Payload of ``audio-device-changed``."""

    change: AudioDeviceChange
    message: str
    """One line for people, with the names of the devices."""


@dataclass(frozen=True, slots=True)
class RecorderFile:
    """Payload of ``recorder-file``: a recorder that begins new files by time or size has begun one."""

    path: str
    number: int
    """2, 3, …"""


@dataclass(frozen=True, slots=True)
class RecorderLoad:
    """Payload of ``recorder-load``: a recorder could not keep up and works less hard, or has room again."""

    level: int
    """How little the encoder works: 0 is its best."""
    picture_rate: float
    """Pictures a second that are written now."""
    less: bool
    """It is less work than before."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Payload of ``transcript``: what somebody has said, as the avatar's service understood or wrote it."""

    id: str
    """Of the turn (or the segment): the same each time that more of it is known."""
    text: str
    """All of it that is known."""
    final: bool
    """No more of it will come."""
    role: str | None
    """Who speaks: ``assistant``, ``user``, …; None where the message does not say."""
    turn: int | None
    """Number of the turn, by the service's count; None where the message does not say."""
    delta: str
    """What is new in ``text`` since the event before with this ``id``."""
    speaker: str
    """Identity of the participant who speaks where the message says so, else of the one who sent it."""


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """Payload of ``client-event``: the avatar asks the program for something."""

    tool: str
    """Its name."""
    args: Mapping[str, Any]
    """As they were sent; not checked."""
    sender: str
    """Identity of the participant who sent it."""


EVENTS: Final[dict[str, type | None]] = {
    "connected": None,
    "disconnected": Disconnected,
    "error": Exception,
    "connection-state-changed": ConnectionState,
    "stalled": Stalled,
    "avatar-joined": AvatarJoined,
    "avatar-left": AvatarLeft,
    "round-started": RoundStarted,
    "round-ended": RoundEnded,
    "reconnect-attempt": ReconnectAttempt,
    "reconnect-succeeded": ReconnectSucceeded,
    "reconnect-failed": ReconnectFailed,
    "token-refreshed": None,
    "transcript": Transcript,
    "client-event": ClientEvent,
    "audio-stalled": AudioStalled,
    "audio-unavailable": AudioNotice,
    "audio-device-changed": AudioDeviceChanged,
    "audio-published": str,
    "audio-ended": str,
    "microphone-level": MicrophoneLevel,
    "microphone-lost": AudioNotice,
    "microphone-back": AudioNotice,
    "recorder-file": RecorderFile,
    "recorder-load": RecorderLoad,
    "view-closed": None,
}
"""Every event by name, with the type of its payload."""
