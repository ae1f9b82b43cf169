"""The face's delay follows what the output says of the voice, and is given back when nothing is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.output import NullSpeaker
from avatarkit_rtc.audio.sync import NEEDED_BLOCKS
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player_sync import KEPT_S, VoiceFollower
from avatarkit_rtc.playout.delay import SyncDelay

BLOCK_S = 0.01


class Feed:
    """A feed whose sound took ``delay`` to get here; fails to say so when that is None."""

    dropped = 0

    def __init__(self, delay: float | None = 0.05) -> None:
        self.delay = delay

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing to release."""

    async def path_delay_s(self) -> float:
        """As set."""
        if self.delay is None:
            raise RuntimeError("the room is gone")
        return self.delay


class Output(NullSpeaker):
    """An output that is heard ``after`` each block was handed over; None for not at all."""

    after: float | None = 0.1

    def audible_at(self, position: int) -> float | None:
        """As set."""
        return None if self.after is None else position * BLOCK_S + self.after


def block(number: int) -> AudioBlock:
    return AudioBlock(np.zeros((480, 1), np.int16), 48000, number * BLOCK_S)


async def started(feed: Feed, output: Output, face: SyncDelay, **options: float) -> VoiceFollower:
    follower = VoiceFollower(feed, output, face, AvatarPlayerOptions(**options))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return follower


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0.19),
        ({"audio_delay_ms": 240.0}, 0.39),
        ({"lip_sync_correction_ms": -20.0}, 0.17),
    ],
)
async def test_the_face_waits_as_long_as_its_voice_takes(options: dict[str, float], expected: float) -> None:
    face = SyncDelay()
    follower = await started(Feed(), Output(), face, **options)
    for number in range(100):
        follower.played(block(number), number)
    assert face.delay_s == pytest.approx(expected)
    follower.stop()
    assert face.delay_s is None


async def test_a_face_that_is_drawn_between_frames_waits_one_frame_less() -> None:
    face = SyncDelay()
    face.render_s = 0.04
    follower = await started(Feed(), Output(), face)
    for number in range(100):
        follower.played(block(number), number)
    assert face.delay_s == pytest.approx(0.15)
    assert follower.delay_s == pytest.approx(0.19), "the voice takes as long as it takes"
    face.render_s = 1.0
    follower.played(block(100), 100)
    assert face.delay_s == pytest.approx(-0.81), "so late the face is, and figures should say so"
    follower.stop()
    assert follower.delay_s is None


async def test_what_is_heard_no_more_is_forgotten_after_a_while() -> None:
    face, output = SyncDelay(), Output()
    follower = await started(Feed(), output, face)
    for number in range(50):
        follower.played(block(number), number)
    assert face.delay_s == pytest.approx(0.19)
    output.after = None
    for number in range(50, 51 + round(KEPT_S / BLOCK_S)):
        assert face.delay_s == pytest.approx(0.19), "an underrun: the voice will be back"
        follower.played(block(number), number)
    assert face.delay_s is None
    follower.stop()


async def test_after_an_underrun_only_what_is_heard_from_then_on_counts() -> None:
    face, output = SyncDelay(), Output()
    follower = await started(Feed(), output, face)
    for number in range(50):
        follower.played(block(number), number)
    follower.played(block(50), None)
    output.after = 0.3
    for number in range(51, 51 + NEEDED_BLOCKS):
        follower.played(block(number), number)
    assert face.delay_s == pytest.approx(0.39)
    follower.stop()


async def test_without_an_answer_of_the_network_nothing_is_set() -> None:
    face = SyncDelay()
    follower = await started(Feed(None), Output(), face)
    for number in range(50):
        follower.played(block(number), number)
    assert face.delay_s is None
    follower.stop()


async def test_it_asks_no_more_once_stopped() -> None:
    follower = await started(Feed(), Output(), SyncDelay())
    follower.stop()
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "voice delay" and not task.done()]
