"""Every error this package raises on purpose, under one base class.

Each class has a stable ``code`` (for logs and for programs that switch on it) and a message that says what
to do next. The original error, where there is one, is kept as ``__cause__``. No message carries a token or
a secret.
"""

from __future__ import annotations

from typing import ClassVar


class AvatarKitError(Exception):
    """Base class of all errors of this package."""

    code: ClassVar[str] = "avatarkit"
    """Stable, machine-readable name of the kind of error."""


class ConfigurationError(AvatarKitError, ValueError):
    """An option or argument is missing, out of range or contradicts another."""

    code = "configuration"


class RoomMismatchError(ConfigurationError):
    """``room_name`` is not the room the token admits to."""

    code = "room-mismatch"


class NotConnectedError(AvatarKitError):
    """The call needs a connection and there is none."""

    code = "not-connected"


class AlreadyConnectedError(AvatarKitError):
    """``connect()`` while connected or connecting."""

    code = "already-connected"


class ConnectError(AvatarKitError):
    """Joining the room failed."""

    code = "connect-failed"


class ConnectTimeoutError(ConnectError):
    """Joining the room took longer than allowed."""

    code = "connect-timeout"


class ConnectAbortedError(ConnectError):
    """``disconnect()`` was called while ``connect()`` ran."""

    code = "connect-aborted"


class RoomNotOwned(AvatarKitError):  # noqa: N818 (the documented name)
    """The room belongs to the caller, so this package may not connect or rebuild it."""

    code = "room-not-owned"


class AvatarTimeoutError(AvatarKitError):
    """No avatar came into the room in time."""

    code = "avatar-timeout"


class PublishError(AvatarKitError):
    """The user's audio could not be published."""

    code = "publish-failed"


class AudioDeviceError(AvatarKitError):
    """An audio device is missing, busy or cannot do what was asked."""

    code = "audio-device"


class DisplayError(AvatarKitError):
    """A window was asked for where none can be opened."""

    code = "no-display"


class RecordingError(AvatarKitError):
    """A recording has ended before its time: the disk is full, the file cannot be written."""

    code = "recording-failed"


class MissingDependencyError(AvatarKitError):
    """A Python package or a system library is missing; the message names what to install."""

    code = "missing-dependency"


class ServerError(AvatarKitError):
    """A local LiveKit server could not be found, built or started."""

    code = "server"
