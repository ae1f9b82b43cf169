"""The face speaks: ``bench.speaking``, with speech made here.

AVATARKIT_CLIP (a JSON file) and AVATARKIT_CLIP_PCM (its sound) name a real clip to take in its place.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from bench.mouth import MouthSeen
from bench.report import Report
from bench.speaking import Speech, Spoken, blinks_per_minute, clip_speech, follow, measure, still_speech
from tests.support.system import require


@pytest.fixture(scope="module")
def report() -> Report:
    require("espeak-ng")
    clip, pcm = os.environ.get("AVATARKIT_CLIP"), os.environ.get("AVATARKIT_CLIP_PCM")
    whole = clip_speech(clip, pcm) if clip and pcm else still_speech()
    count = min(75, len(whole.frames))
    sound = whole.sound[: round(count * 0.04 * whole.sample_rate)]
    short = Speech(whole.frames[:count], sound, whole.sample_rate)
    return measure(short, voices=("es", "es+f2", "it"), seconds=60)


@pytest.mark.parametrize("face", ["head", "cartoon"])
def test_the_mouth_that_is_seen_follows_loudness_without_a_lag(report: Report, face: str) -> None:
    assert report.figure(f"{face}: correlation with loudness").value >= 0.6
    assert report.figure(f"{face}: lag behind loudness, either way").value <= 40


def test_five_vowels_have_five_mouths(report: Report) -> None:
    assert report.figure("vowels with a mouth of their own").met


def test_blinks_come_as_often_as_peoples() -> None:
    fewest, most = blinks_per_minute(180, range(3))
    assert 10 <= fewest <= most <= 25


def test_the_measure_sees_a_lag_and_no_following_where_there_is_none() -> None:
    random = np.random.default_rng(1)
    loud = np.convolve(random.random(1000), np.hanning(15), mode="same")
    assert follow(Spoken(np.roll(loud, 6), loud, 0.0))[1] == pytest.approx(60)
    assert follow(Spoken(np.roll(loud, -4), loud, 0.0))[1] == pytest.approx(-40)
    assert abs(follow(Spoken(random.random(1000), loud, 0.0))[0]) < 0.2


def test_a_picture_without_lips_is_refused() -> None:
    with pytest.raises(ValueError, match="no lips"):
        MouthSeen(np.full((64, 64, 3), 200, np.uint8))


def test_a_still_frame_is_the_same_all_along() -> None:
    require("espeak-ng")
    frames = still_speech().frames
    assert isinstance(frames[0], MotionFrame)
    assert all(frame == frames[0] for frame in frames)
