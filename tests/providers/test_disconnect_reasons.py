"""Every reason LiveKit has becomes one of ours."""

from __future__ import annotations

from livekit import rtc

from avatarkit_rtc.events import DisconnectReason
from avatarkit_rtc.providers.disconnect_reasons import disconnect_reason


def test_every_reason_of_the_installed_sdk_is_mapped() -> None:
    mapped = {name: disconnect_reason(code) for name, code in rtc.DisconnectReason.items()}
    unmapped = [name for name, reason in mapped.items() if reason is DisconnectReason.UNKNOWN]
    assert unmapped == ["UNKNOWN_REASON"]
    assert mapped["ROOM_DELETED"] is DisconnectReason.ROOM_DELETED
    assert mapped["SIGNAL_CLOSE"] is DisconnectReason.SIGNAL_CLOSED
    assert mapped["USER_REJECTED"] is DisconnectReason.REJECTED


def test_unknown_and_missing_reasons() -> None:
    assert disconnect_reason(None) is DisconnectReason.UNKNOWN
    assert disconnect_reason(4711) is DisconnectReason.UNKNOWN


def test_giving_up_on_a_lost_connection_has_a_reason() -> None:
    assert disconnect_reason(0, reconnecting=True) is DisconnectReason.SIGNAL_CLOSED
    assert disconnect_reason(5, reconnecting=True) is DisconnectReason.ROOM_DELETED
