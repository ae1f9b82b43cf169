"""From the room to the mouth: a stream that stands still, a voice, and the face of a player's view."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face import FaceDriver
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.loopback import LoopbackProvider
from avatarkit_rtc.testing import StandInAvatar, Utterance, perform
from avatarkit_rtc.testing.schedule import StandInOptions
from renderers import HeadlessSink
from tests.support.playing import NotingView
from tests.support.virtual_loop import VirtualLoop, on_virtual_time

STILL = MotionFrame.from_fields({"rotation": [0.09, 0.02, 0.02], "expression": [1.0, -1.5] * 20})


class Notes(NotingView):
    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[AudioBlock] = []

    def sound(self, block: AudioBlock) -> None:
        self.blocks.append(block)


def still_utterance(seconds: float, gain: float = 1.0) -> Utterance:
    """A voice made by code, over a face that stands still."""
    spoken = perform(3, seconds)
    pcm = (gain * spoken.pcm).astype(np.int16)
    return Utterance((STILL,) * len(spoken.frames), pcm, spoken.sample_rate)


async def play(view: object, utterance: Utterance) -> None:
    provider = LoopbackProvider()
    avatar = StandInAvatar(provider.avatar, [utterance], StandInOptions(rounds=1, pause_s=0.2))
    async with AvatarPlayer(provider, view, play_audio=False) as player:  # type: ignore[arg-type]
        await player.connect()
        await avatar.run()
        await asyncio.sleep(0.3)


@on_virtual_time
async def test_the_mouth_follows_the_voice_by_presentation_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.hang(1000.0)  # moments are something else than presentation times, which begin at 0
    clock = SimpleNamespace(monotonic=loop.time)
    monkeypatch.setattr("avatarkit_rtc.providers.loopback.time", clock)
    notes = Notes()
    await play(notes, still_utterance(4.0))
    driver = FaceDriver()
    for block in notes.blocks:
        driver.hear(block)
    assert driver.blocks_dropped == 0
    rate = notes.blocks[0].sample_rate
    begin = notes.blocks[0].presentation_time  # type: ignore[attr-defined]
    sound = np.concatenate([block.samples[:, 0] for block in notes.blocks]) / 32768.0
    jaw, loudness = [], []
    for pose in notes.poses:
        face = driver.pose(pose)
        assert pose.presentation_time is not None
        middle = round((pose.presentation_time - begin) * rate)
        around = sound[max(0, middle - rate // 50) : middle + rate // 50]
        if pose.position is not None and len(around) > rate // 50:
            jaw.append(face.coefficients[ARKIT_INDEX["jawOpen"]])
            loudness.append(np.sqrt(np.mean(np.square(around))) ** 0.6)
    assert len(jaw) > 90
    assert np.corrcoef(jaw, loudness)[0, 1] > 0.8
    assert max(jaw) > 0.25


async def mouth_movement(utterance: Utterance) -> float:
    """Largest mean difference between the mouth's part of a picture and of the first one, 0 to 255."""
    pictures: list[np.ndarray] = []
    with HeadlessSink(lambda shot: pictures.append(shot.image), face="cartoon", size=(96, 96)) as sink:
        await play(sink, utterance)
    mouths = np.array([picture[52:72, 38:58].astype(int) for picture in pictures])
    assert len(mouths) > 30
    return float(np.abs(mouths - mouths[0]).mean(axis=(1, 2, 3)).max())


async def test_a_sink_that_draws_gets_the_sound_and_its_face_speaks() -> None:
    silent, speaking = await asyncio.gather(
        mouth_movement(still_utterance(2.0, gain=0.0)), mouth_movement(still_utterance(2.0))
    )
    assert speaking > 2 * silent
    assert speaking > 8
