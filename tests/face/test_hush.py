"""The user interrupts: sound that came and is not heard any more moves no mouth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.face import FaceDriver
from avatarkit_rtc.face.mouth_estimator import MouthMoment
from avatarkit_rtc.face.mouth_track import SMOOTHING_S, MouthTrack
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.testing.voice import speak
from renderers import HeadlessSink, Tee
from renderers.face import hush

VOICE = speak(1, 3.0, 24000).pcm
JAW = ARKIT_INDEX["jawOpen"]


def block(at: float, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> ReceivedAudio:
    return ReceivedAudio(samples.reshape(-1, 1), 24000, at, at, None, None)


def pose(at: float) -> Pose:
    shown = Pose(at, PoseKind.RECEIVED, MotionFrame.neutral(), 1, 0.0)
    return dataclasses.replace(shown, presentation_time=at)


@pytest.mark.parametrize("drained", [False, True])
def test_the_mouth_is_at_rest_soon_and_stays_there(drained: bool) -> None:
    driver = FaceDriver()
    openings: dict[float, float] = {}
    cut_at = 1.0
    for step in range(200):
        now = step * 0.01
        if now < cut_at:  # heard of 0.15 s before it is heard
            at = step * 240
            driver.hear(block(now + 0.15, VOICE[at : at + 240]))
        else:
            driver.hear(block(now + 0.15, np.zeros(240, np.int16)))
        if step == 100:
            if drained:
                driver.pose(pose(now - 0.001))
            driver.hush()
        if step % 2 == 0:
            openings[now] = float(driver.pose(pose(now)).coefficients[JAW])
    assert max(value for at, value in openings.items() if at < cut_at) > 0.2
    late = {at: value for at, value in openings.items() if at > cut_at + 0.1}
    assert max(late.values()) < 0.02, late


def test_the_track_is_silent_from_a_moment_on() -> None:
    track, wide = MouthTrack(), np.ones(8, np.float32)
    track.silence_after(1.0)
    assert track.at(1.0) is None
    track.add(MouthMoment(n * 0.01, wide) for n in range(50))
    track.silence_after(0.3)
    assert track.at(0.3 - 0.05) == pytest.approx(wide)
    assert track.at(0.3 + SMOOTHING_S + 0.01) == pytest.approx(np.zeros(8))
    track.silence_after(2.0)  # after all that is known
    shape = track.at(2.05)
    assert shape is not None
    assert not shape.any()


class Listener:
    def __init__(self) -> None:
        self.hushed = 0

    def show(self, shown: Pose) -> None:
        """Nothing."""

    def hush(self) -> None:
        self.hushed += 1

    flushed = hush


def test_views_hand_it_on() -> None:
    hush(object())
    listener = Listener()
    Tee(listener, HeadlessSink()).flushed()  # type: ignore[attr-defined]
    assert listener.hushed == 1
    driver = FaceDriver()
    sink = HeadlessSink(driver=driver)
    driver.hear(block(0.0, VOICE[:2400]))
    sink.flushed()
    assert driver.pose(pose(0.05)).coefficients[JAW] == 0


@pytest.mark.parametrize("name", ["cartoon", "head"])
def test_faces_hand_it_on(name: str) -> None:
    sink = HeadlessSink(face=name, size=(64, 64))
    assert sink.face is not None
    sink.face.driver = listener = Listener()  # type: ignore[attr-defined]
    sink.flushed()
    assert listener.hushed == 1
    sink.close()
