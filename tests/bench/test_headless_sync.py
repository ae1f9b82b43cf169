"""The short form of ``bench.headless_sync``: through a real server, poses and sound blocks come with times by
which mouth and beep are together."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc import Pose, PoseKind, ReceivedAudio
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.testing.beeps import OPEN_JAW
from bench.headless_sync import Onsets, measure, media_offsets_ms, offsets_ms, report
from bench.processes import Place
from renderers import Shot
from tests.support.livekit import LiveKitServer


def shot(t: float, jaw: float, position: float) -> Shot:
    frame = MotionFrame.from_fields({"jaw_pose": (jaw, 0.0, 0.0)})
    return Shot(Pose(t, PoseKind.RECEIVED, frame, 1, position, t), None)


def block(t: float, loud_from: int | None) -> ReceivedAudio:
    samples = np.zeros((480, 1), np.int16)
    if loud_from is not None:
        samples[loud_from:] = 10_000
    return ReceivedAudio(samples, 48000, 0.0, t, 1, t - 1.0)


def test_onsets_are_found_to_the_sample() -> None:
    onsets = Onsets()
    for k in range(1, 11):
        onsets.shot(shot(1.0 + k / 25, OPEN_JAW if k % 5 == 0 else 0.0, float(k)))
    for k in range(60):
        onsets.block(block(1.0 + k / 100, 240 if k in (20, 45) else 0 if k == 21 else None))
    assert onsets.mouths == pytest.approx([1.2, 1.4])
    assert onsets.beeps == pytest.approx([1.205, 1.455])
    assert onsets.media_mouths == [(1, pytest.approx(0.2)), (1, pytest.approx(0.4))]
    assert onsets.media_beeps == [(1, pytest.approx(0.205)), (1, pytest.approx(0.455))]
    assert (onsets.backward, onsets.gaps_s) == (0, pytest.approx(0.0, abs=1e-9))
    onsets.block(block(1.9, None))
    onsets.block(block(1.9, None))
    assert (onsets.backward, onsets.gaps_s) == (1, pytest.approx(0.3))
    with pytest.raises(RuntimeError, match="only 2 of 2 beeps"):
        report(onsets, 1.0)


def test_a_mouth_is_matched_with_its_beep() -> None:
    assert offsets_ms([1.01, 1.98, 9.0], [1.0, 2.0, 3.0]) == pytest.approx([10.0, -20.0])
    assert offsets_ms([], [1.0]) == []
    assert media_offsets_ms([(1, 0.5), (2, 0.6)], [(1, 0.51), (2, 0.59), (3, 0.5)]) == pytest.approx(
        [-10.0, 10.0]
    )


@pytest.mark.alone
def test_poses_and_sound_are_together_though_nothing_is_played(livekit_server: LiveKitServer) -> None:
    names = [f"{kind}: |median| of mouth - beep" for kind in ("presentation time", "media time")]
    for _ in range(3):
        where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
        found = measure(where, 8.0)
        assert found.figure("times that went back").value == 0
        worst = max(found.figure(name).value for name in names)
        # The goal is 10 ms; motion comes 95 ms before its sound. A busy machine holds up the sender's sound,
        # which cannot be seen from here.
        if worst < 60.0:
            return
    pytest.fail(f"mouth and beep are {worst:.0f} ms apart")
