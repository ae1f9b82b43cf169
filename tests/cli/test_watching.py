"""What is said while an avatar is played."""

from __future__ import annotations

import pytest

from avatarkit_rtc.cli import watching
from avatarkit_rtc.cli.watching import NoView, absence_line, narrate, tell_absence
from avatarkit_rtc.events import AudioDeviceChange, AudioDeviceChanged, AudioNotice
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.providers.loopback import LoopbackProvider
from avatarkit_rtc.testing.room import RoomTransport, avatar_token
from tests.support.livekit import LiveKitServer, mint_token, until


async def test_sound_that_is_back_is_said_as_well_as_its_loss(capsys: pytest.CaptureFixture[str]) -> None:
    player = AvatarPlayer(LoopbackProvider(), NoView(), play_audio=False)
    narrate(player)
    player._parts.emit("audio-unavailable", AudioNotice("no device"))
    player._parts.emit("audio-device-changed", AudioDeviceChanged(AudioDeviceChange.BACK, "a device is back"))
    assert capsys.readouterr().err.splitlines() == ["no sound: no device", "a device is back"]


def test_who_is_there_instead_of_the_avatar() -> None:
    assert absence_line(None, []) == "no avatar yet; in the room: nobody else"
    assert absence_line("ann", ["bob", "eve"]) == "no avatar 'ann' yet; in the room: bob, eve"
    assert absence_line("ann", list("abcdefg")).endswith(": a, b, c, d, e, 2 more")


@pytest.mark.parametrize("wanted", ["nobody", "spatialreal-avatar"])
async def test_an_avatar_that_is_not_there_is_told_of_once(
    livekit_server: LiveKitServer,
    room_name: str,
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(watching, "ABSENT_AFTER_S", 0.0)
    player = AvatarPlayer(LiveKitProvider(avatar_identity=wanted), NoView(), play_audio=False)
    tell_absence(player, wanted)
    player.on("avatar-joined", lambda event: watching.say(f"{event.identity} is here"))
    token = avatar_token(livekit_server.api_key, livekit_server.api_secret, room_name)
    said = ""
    async with RoomTransport(livekit_server.url, token), player:
        await player.connect(url=livekit_server.url, token=mint_token(livekit_server, room_name, "viewer"))

        def told() -> bool:
            nonlocal said
            said += capsys.readouterr().err
            return said.count("\n") > 0

        await until(told, "a line")
    lines = {"nobody": "no avatar 'nobody' yet; in the room: spatialreal-avatar"}
    assert said.splitlines() == [lines.get(wanted, "spatialreal-avatar is here")]
