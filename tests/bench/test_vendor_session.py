"""The short form of ``bench.vendor_session``: both ways show a clip, and stop when they are told to."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")

from bench.vendor_service import utterance
from bench.vendor_session import WAYS, after_cuts_ms, frames_missing, quick
from tests.support.system import require


def test_what_happens_after_a_cut_and_before_the_next_turn_counts() -> None:
    moments = np.array([0.9, 1.1, 1.2, 2.5, 6.0])
    assert after_cuts_ms([1.0, 3.0], moments) == pytest.approx([200.0, 0.0])


def test_frames_are_counted_over_the_rounds_of_a_turn() -> None:
    assert frames_missing([[0, 1], [2, 3], [0, 1, 2, 3]], 4, 2) == 0
    assert frames_missing([[0, 2], [3], [0, 1, 2]], 4, 2) == 2
    assert frames_missing([], 4, 1) == 4


def test_the_sound_of_interruptions_is_never_silent() -> None:
    pcm = utterance("sound").pcm
    loudest = np.abs(pcm[: len(pcm) // 240 * 240].reshape(-1, 240).astype(int)).max(axis=1)
    assert loudest.min() > 1500


@pytest.mark.long
@pytest.mark.alone
def test_both_ways_show_the_clip_and_can_be_interrupted() -> None:
    require("pulseaudio", "parec", "pactl")
    report, frames = quick(), len(utterance("clip").frames)
    for way in WAYS:
        assert report.figure(f"{way}: rounds of the clip that were played").met, report.table()
        assert report.figure(f"{way}: rounds that ended").met, report.table()
        assert report.figure(f"{way}: largest error of a frame's values").met, report.table()
        # That error is of what was shown: so nearly all must have been.
        missing = report.figure(f"{way}: frames of {frames} that were not shown")
        assert missing.value < 0.1 * frames, report.table()
        # Not the goals: the machine may be busy.
        for what in ("mouth still", "silence"):
            assert report.figure(f"{way}: from interrupt() to {what}, median").value < 1000
