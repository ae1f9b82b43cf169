from __future__ import annotations

import dataclasses
import json

import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.events import EVENTS, ConnectionState, Disconnected, DisconnectReason
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.testing.mock_provider import MockProvider


def test_states_and_reasons_compare_as_strings_and_go_into_json() -> None:
    assert ConnectionState.RECONNECTING == "reconnecting"
    assert json.dumps({"reason": DisconnectReason.ROOM_DELETED}) == '{"reason": "room-deleted"}'


def test_payloads_are_frozen() -> None:
    event = Disconnected(DisconnectReason.ROOM_DELETED)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.reason = DisconnectReason.UNKNOWN  # type: ignore[misc]


def test_every_event_can_be_listened_to_and_no_other() -> None:
    player = AvatarPlayer(MockProvider(), play_audio=False)
    for name in EVENTS:
        player.on(name, print)
        player.off(name, print)
    with pytest.raises(ConfigurationError, match="avatar-joined"):
        player.on("avatar_joined", print)
