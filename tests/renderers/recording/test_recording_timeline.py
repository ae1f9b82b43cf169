from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers.recording.timeline import Timeline

SAMPLES = np.zeros((480, 1), np.int16)


def shown(t: float, presentation_time: float | None) -> Pose:
    return Pose(t, PoseKind.IDLE, MotionFrame.neutral(), presentation_time=presentation_time)


def test_what_comes_first_is_the_beginning() -> None:
    timeline = Timeline()
    assert timeline.pose(shown(1000.0, 30.0)) == 0.0
    assert timeline.sound(ReceivedAudio(SAMPLES, 48000, 1000.2, 29.9)) == pytest.approx(-0.1)
    assert timeline.sound(ReceivedAudio(SAMPLES, 48000, 1007.0, 31.0)) == pytest.approx(1.0)
    assert timeline.epoch == 30.0


def test_what_no_player_gave_has_its_own_moment() -> None:
    timeline = Timeline()
    assert timeline.sound(AudioBlock(SAMPLES, 48000, 500.0)) == 0.0
    assert timeline.pose(shown(501.5, None)) == 1.5


def test_a_moment_is_placed_by_the_most_prompt_block() -> None:
    timeline = Timeline()
    timeline.pose(shown(1000.0, 30.0))
    assert timeline.moment(1001.0) == pytest.approx(1.0), "without sound, as poses are"
    for k, late in enumerate((0.05, 0.01, 0.2)):
        timeline.sound(ReceivedAudio(SAMPLES, 48000, 1000.1 + 0.01 * k + late, 30.0 + 0.01 * k))
    assert timeline.moment(1001.0) == pytest.approx(1001.0 - 1000.11)
