"""A video avatar's pictures wait for their sound, and no longer: they do not go through the render clock."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, Picture
from avatarkit_rtc.audio import speaker as speaker_module
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.output import NullSpeaker
from avatarkit_rtc.testing.mock_provider import MockProvider
from tests.support.pictures import grey
from tests.support.playing import NotingView
from tests.support.virtual_loop import on_virtual_time

HEARD_S = 0.2


class Screen(NotingView):
    """Shows pictures, as a window does."""

    def __init__(self, render_rate_hz: float | None) -> None:
        super().__init__()
        self.render_rate_hz = render_rate_hz
        self.waited: list[float] = []

    def show_picture(self, picture: Picture) -> None:
        self.waited.append(asyncio.get_running_loop().time() - float(picture.data[0]) / 50)


class Card(NullSpeaker):
    """Each block is heard some time after it was written."""

    def write(self, block: AudioBlock) -> int:
        return round(1e6 * block.t)

    def audible_at(self, position: int) -> float:
        return position / 1e6 + HEARD_S


@pytest.mark.parametrize("render_rate_hz", [None, 60.0])
@on_virtual_time
async def test_a_picture_is_shown_when_its_sound_is_heard(
    render_rate_hz: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_speaker(device: object, on_event: object) -> tuple[NullSpeaker, None]:
        return Card(), None

    monkeypatch.setattr(speaker_module, "open_speaker", open_speaker)
    loop = asyncio.get_running_loop()
    provider, screen = MockProvider(), Screen(render_rate_hz)
    async with AvatarPlayer(provider, screen, log_level="none") as player:
        await player.connect()
        provider.avatar_joins()
        begin = loop.time()
        for number in range(400):  # 4 s of sound, and a picture each 20 ms that tells when it came
            if number % 2 == 0:
                level = round(50 * (loop.time() - begin))
                provider.feed_picture(grey(loop.time(), level))
            provider.feed_audio(np.ones(480, np.int16))
            await asyncio.sleep(begin + 0.01 * (number + 1) - loop.time())
        stats = player.stats()
        assert stats.video is not None
        assert stats.video.wait_ms == pytest.approx(1000 * HEARD_S, abs=2)
        assert stats.video.av_offset_ms == pytest.approx(0.0, abs=2)
        assert [each - begin for each in screen.waited[-10:]] == pytest.approx([HEARD_S] * 10, abs=0.012)
