from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.video_avatar import VideoAvatar, is_flash, is_flash_time
from avatarkit_rtc.video.picture import Picture
from tests.support.livekit import LiveKitServer


def test_flash_and_beep_begin_at_the_same_moments() -> None:
    avatar = VideoAvatar("ws://nowhere", "token", size=(64, 48), fps=25, every_s=0.5)
    size = 480
    sound = np.concatenate([avatar._sound(k * size, size) for k in range(100)])  # 2 s at 24 kHz
    # The first sample of a sine is 0, and within a beep the sign changes.
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 2000)
    begins = loud[np.concatenate([[True], np.diff(loud) > 2400])] / 24000
    ends = loud[np.concatenate([np.diff(loud) > 2400, [True]])] / 24000
    assert begins == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.001)
    assert ends - begins == pytest.approx([0.12] * 4, abs=0.002)
    flashes = [k / 25 for k in range(50) if is_flash_time(k / 25, 0.5)]
    assert flashes == pytest.approx([0.0, 0.04, 0.08, 0.52, 0.56, 0.6, 1.0, 1.04, 1.08, 1.52, 1.56, 1.6])


@pytest.mark.parametrize("flash", [True, False])
def test_a_flash_is_told_from_the_rest_in_any_format(flash: bool) -> None:
    avatar = VideoAvatar("ws://nowhere", "token", size=(64, 48))
    frame = avatar._picture(3, flash)
    picture = Picture(0.0, 64, 48, "i420", np.frombuffer(frame.data, np.uint8))
    assert is_flash(picture) is flash
    assert is_flash(picture.converted("bgra")) is flash
    other = np.frombuffer(avatar._picture(4, flash).data, np.uint8)
    assert not np.array_equal(other, picture.data)  # no two are alike


@pytest.mark.parametrize(
    "wrong", [{"size": (63, 48)}, {"size": (16, 16)}, {"fps": 0.5}, {"every_s": 0.2}, {"codec": "mpeg2"}]
)
def test_wrong_arguments_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        VideoAvatar("ws://nowhere", "token", **wrong)  # type: ignore[arg-type]


async def test_it_sends_both_in_a_room(livekit_server: LiveKitServer, join_token: Callable[..., str]) -> None:
    flashes: list[float] = []
    token = join_token("face", attributes={"lk.publish_on_behalf": "agent"})
    async with VideoAvatar(
        livekit_server.url, token, size=(64, 48), every_s=0.5, on_flash=flashes.append
    ) as avatar:
        await avatar.run(seconds=1.6)
        assert avatar.pictures == 40
        assert avatar.flashes == len(flashes) == 4
        assert avatar.room is not None
        await avatar.unpublish_picture()
        await avatar.unpublish_picture()
    await avatar.aclose()
