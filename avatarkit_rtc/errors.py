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


class RunwayError(AvatarKitError):
    """Runway's API could not do what was asked."""

    code = "runway"

    session_may_exist: bool = False
    """True when creating a session failed in such a way that one may have been started all the same, of
    which nobody knows the id: it runs, and is billed, until its ``max_duration``."""


class RunwayStatusError(RunwayError):
    """Runway's API answered with an error."""

    code = "runway-status"

    def __init__(self, message: str, *, status: int, body: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, 300 … 599."""
        self.body = body
        """Text of the answer, at most 64 KiB of it, without the key."""
        self.retry_after_s = retry_after_s
        """Seconds the answer asks to wait for (``Retry-After``), if it does."""


class RunwayConnectionError(RunwayError):
    """Runway's API could not be reached, or broke off."""

    code = "runway-unreachable"


class RunwayTimeoutError(RunwayError):
    """Runway's API did not answer in time."""

    code = "runway-timeout"


class RunwayReplyError(RunwayError):
    """Runway's API answered with something else than was to be expected: no JSON, a field missing."""

    code = "runway-reply"


class RunwaySessionError(RunwayError):
    """The session has failed, is over, or did not get ready in time."""

    code = "runway-session"

    def __init__(self, message: str, *, status: str | None = None, failure_code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The session's last status, ``NOT_READY``, ``FAILED``, …"""
        self.failure_code = failure_code
        """Runway's name of the failure, if it gave one."""


class SpatialRealError(AvatarKitError):
    """SpatialReal's service could not do what was asked."""

    code = "spatialreal"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        close_code: int | None = None,
        vendor_code: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, if an HTTP answer said so."""
        self.close_code = close_code
        """Code that the WebSocket was closed with, or was going to be; None if nobody said one."""
        self.vendor_code = vendor_code
        """Name of the failure in the vendor's package (``creditsExhausted``, …), if it has one."""
        self.retryable = retryable
        """Whether a new connection may well succeed."""


class SpatialRealAuthError(SpatialRealError):
    """The API key or the app id is not accepted (401, 403, close code 4010)."""

    code = "spatialreal-auth"


class SpatialRealBillingError(SpatialRealError):
    """The account has to be paid for, or its credits are used up (402, close code 4001)."""

    code = "spatialreal-billing"


class SpatialRealNotFoundError(SpatialRealError):
    """There is no such avatar, or no such address (404)."""

    code = "spatialreal-not-found"


class SpatialRealLimitError(SpatialRealError):
    """Too many sessions at the same time (429, close code 4003)."""

    code = "spatialreal-limit"


class SpatialRealEgressError(SpatialRealError):
    """The service could not bring the avatar into the LiveKit room, or keep it there: its join token has
    expired, for one."""

    code = "spatialreal-egress"

    token_refused: bool = False
    """The LiveKit server did not let the avatar in with its token, as far as the service's text tells."""


class SpatialRealConnectionError(SpatialRealError):
    """The service could not be reached, did not answer in time, or the connection broke off."""

    code = "spatialreal-unreachable"


class SpatialRealClosedError(SpatialRealError):
    """The service has ended the connection; ``close_code`` says why."""

    code = "spatialreal-closed"


class SpatialRealReplyError(SpatialRealError):
    """The service answered with something else than was to be expected."""

    code = "spatialreal-reply"


class SpatialRealUnsupportedError(SpatialRealError):
    """The service does not offer this (``capabilities`` of the session)."""

    code = "spatialreal-unsupported"


class ToolCallError(AvatarKitError):
    """A tool call of the avatar was not answered with a result; ``__cause__`` is the tool's own exception."""

    code = "tool-failed"

    def __init__(self, message: str, *, tool: str) -> None:
        super().__init__(message)
        self.tool = tool
        """Name of the tool."""


class ToolTimeoutError(ToolCallError):
    """The tool took longer than it may."""

    code = "tool-timeout"


class ToolReplyError(ToolCallError):
    """The tool's result cannot be sent: it is no JSON, or more than LiveKit carries."""

    code = "tool-reply"


class RealtimeError(AvatarKitError):
    """A realtime session could not do what was asked."""

    code = "realtime"


class RealtimeStateError(RealtimeError):
    """The call does not fit the state of the session: no session, one already, or reconnecting."""

    code = "realtime-state"


class RealtimeTransportError(RealtimeError):
    """The realtime provider could not be reached, or the connection broke off."""

    code = "realtime-transport"


class RealtimeTimeoutError(RealtimeTransportError):
    """The realtime provider did not answer in time."""

    code = "realtime-timeout"


class RealtimeReplyError(RealtimeError):
    """The realtime provider, or the server that hands out its sessions, sent what is not understood."""

    code = "realtime-reply"


class RealtimeServerError(RealtimeError):
    """The realtime provider refused, or reported an error."""

    code = "realtime-server"

    def __init__(self, message: str, *, server_code: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.server_code = server_code
        """The provider's name of the error, if it gave one."""
        self.event_id = event_id
        """The client's event that it is about, if it says so."""
