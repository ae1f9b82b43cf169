"""LiveKit's disconnect reasons in this package's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from avatarkit_rtc.events import DisconnectReason

# By their numbers on the wire, so that a reason newer than the installed SDK is no error.
_REASONS: Final[Mapping[int, DisconnectReason]] = {
    1: DisconnectReason.CLIENT_INITIATED,
    2: DisconnectReason.DUPLICATE_IDENTITY,
    3: DisconnectReason.SERVER_SHUTDOWN,
    4: DisconnectReason.PARTICIPANT_REMOVED,
    5: DisconnectReason.ROOM_DELETED,
    6: DisconnectReason.STATE_MISMATCH,
    7: DisconnectReason.JOIN_FAILURE,
    8: DisconnectReason.MIGRATION,
    9: DisconnectReason.SIGNAL_CLOSED,
    10: DisconnectReason.ROOM_CLOSED,
    11: DisconnectReason.REJECTED,  # a callee does not answer
    12: DisconnectReason.REJECTED,  # a callee declines
    13: DisconnectReason.REJECTED,  # a SIP trunk fails
    14: DisconnectReason.CONNECTION_TIMEOUT,
    15: DisconnectReason.MEDIA_FAILURE,
    16: DisconnectReason.REJECTED,  # an agent fails
}


def disconnect_reason(code: int | None, *, reconnecting: bool = False) -> DisconnectReason:
    """The reason for LiveKit's ``code``.

    Args:
        code: a value of ``livekit.rtc.DisconnectReason``.
        reconnecting: the connection was being rebuilt at that moment. LiveKit gives no reason when it gives
            up rebuilding; the reason then is that the signalling connection did not come back.
    """
    reason = _REASONS.get(code or 0, DisconnectReason.UNKNOWN)
    if reason is DisconnectReason.UNKNOWN and reconnecting:
        return DisconnectReason.SIGNAL_CLOSED
    return reason
