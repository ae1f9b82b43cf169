"""A video avatar through a real server: played, recorded, stalled, gone and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, LiveKitProvider, Picture, ReceivedAudio
from avatarkit_rtc.events import Transcript
from avatarkit_rtc.testing.video_avatar import VideoAvatar, is_flash
from renderers import HeadlessSink, Recorder, Tee
from tests.support.livekit import LiveKitServer, until
from tests.support.playing import Record
from tests.support.system import require
from tests.support.video import Flash, bright, onsets, sound_of


@pytest.fixture
def avatar(livekit_server: LiveKitServer, join_token: Callable[..., str]) -> VideoAvatar:
    token = join_token("face-avatar-agent", attributes={"lk.publish_on_behalf": "agent"})
    return VideoAvatar(livekit_server.url, token, size=(320, 240))


def begins(noted: Sequence[tuple[float, bool]]) -> list[float]:
    """When what is noted begins, after 0.3 s without it."""
    on = [at for at, is_on in noted if is_on]
    return [at for k, at in enumerate(on) if k == 0 or at - on[k - 1] > 0.3]


def offsets(flashes: Sequence[float], beeps: Sequence[float]) -> list[float]:
    """Of each flash from its beep."""
    return [flash - min(beeps, key=lambda at: abs(at - flash)) for flash in flashes]


async def test_it_is_played_and_recorded_in_step_with_its_sound(
    avatar: VideoAvatar, livekit_server: LiveKitServer, join_token: Callable[..., str], tmp_path: Path
) -> None:
    require("ffmpeg")
    pictures: list[Picture] = []
    path = tmp_path / "video.mp4"
    recorder = Recorder(path, face=Flash(), fps=25)
    blocks: list[ReceivedAudio] = []
    view = Tee(recorder, HeadlessSink(on_picture=pictures.append, on_sound=blocks.append))
    async with avatar, AvatarPlayer(LiveKitProvider(), view, play_audio=False) as player:
        record = Record(player)
        await player.connect(url=livekit_server.url, token=join_token("viewer"))
        await avatar.run(seconds=9.0)
        await until(lambda: player.stats().video.held == 0, "the last picture")  # type: ignore[union-attr]
        stats, seen = player.stats(), len(pictures)
        await avatar.send_message(b'{"type": "transcription", "role": "assistant", "turn": 1, "text": "Bye"}')
        await until(lambda: record.count("transcript") == 1, "the transcript")
    await recorder.aclose()
    assert stats.video is not None
    assert stats.video.size == (320, 240)
    assert stats.video.shown == seen > 150
    assert stats.video.path_delay_ms is not None
    assert record.payloads("transcript") == [
        Transcript("assistant-1", "Bye", False, "assistant", 1, "Bye", "face-avatar-agent")
    ]
    assert record.count("stalled") == record.count("error") == 0
    shown = [(picture.presentation_time or 0.0, is_flash(picture)) for picture in pictures]
    heard = [(block.presentation_time, bool(np.abs(block.samples).max() > 2000)) for block in blocks]
    at_the_view = offsets(begins(shown), begins(heard))
    in_the_file = offsets(begins([(at, True) for at in bright(path)]), onsets(sound_of(path)))
    assert len(in_the_file) >= 6
    # The file has the times that the view was given, to a picture. How far these are from being in step is
    # measured by bench.video_sync: a busy machine holds up the sender, too.
    assert float(np.median(in_the_file)) == pytest.approx(float(np.median(at_the_view)), abs=0.03)
    assert abs(float(np.median(at_the_view))) < 0.15


async def test_pictures_that_cease_are_a_stall_and_a_muted_or_absent_track_is_none(
    avatar: VideoAvatar, livekit_server: LiveKitServer, join_token: Callable[..., str]
) -> None:
    pictures: list[Picture] = []
    view = HeadlessSink(on_picture=pictures.append)
    timeout_s = 3.0  # a busy machine holds pictures up for a second now and then
    options = {"play_audio": False, "stall_timeout_s": timeout_s}
    async with avatar, AvatarPlayer(LiveKitProvider(), view, **options) as player:
        record = Record(player)
        player.on("stalled", player.reconnect)
        await player.connect(url=livekit_server.url, token=join_token("viewer"))
        running = asyncio.create_task(avatar.run())
        await until(lambda: len(pictures) > 20, "pictures")
        avatar.mute_picture(True)
        await until(lambda: player.stats().video.muted, "muted")  # type: ignore[union-attr]
        await asyncio.sleep(timeout_s + 0.5)
        assert record.count("stalled") == 0
        avatar.mute_picture(False)
        await until(lambda: not player.stats().video.muted, "unmuted")  # type: ignore[union-attr]
        running.cancel()
        await until(lambda: record.count("stalled") == 1, "the stall")
        assert record.payloads("stalled")[0].what == "video"
        running = asyncio.create_task(avatar.run())
        before = len(pictures)
        await until(lambda: player.stats().connection.connects == 2, "the reconnect")
        await until(lambda: len(pictures) > before + 30, "pictures again")
        assert record.count("stalled") == 1
        await avatar.aclose()
        running.cancel()
        await until(lambda: record.count("avatar-left") == 1, "the avatar to leave")
        poses = view.shown
        await until(lambda: view.shown > poses + 5, "the face")
        assert record.count("stalled") == 1
