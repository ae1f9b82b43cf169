from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.face.mouth_estimator import MouthMoment
from avatarkit_rtc.face.mouth_track import HOLD_S, KEPT, SMOOTHING_S, MouthTrack


def moments(start: float, *openings: float) -> list[MouthMoment]:
    """Moments 10 ms apart with the first shape so strong."""
    weights = [np.array([opening, *[0.0] * 7], np.float32) for opening in openings]
    return [MouthMoment(start + 0.01 * k, weight) for k, weight in enumerate(weights)]


def opening(track: MouthTrack, t: float) -> float | None:
    shape = track.at(t)
    return None if shape is None else float(shape[0])


def test_nothing_is_known_before_there_is_sound_and_after_it_has_gone() -> None:
    track = MouthTrack()
    assert opening(track, 1.0) is None
    track.add(moments(1.0, 0.5))
    assert opening(track, 1.0 - SMOOTHING_S) is None
    assert opening(track, 1.0) == pytest.approx(0.5)
    assert opening(track, 1.0 + HOLD_S - 1e-6) == pytest.approx(0.5)
    assert opening(track, 1.0 + HOLD_S + 1e-3) is None


def test_a_sudden_opening_is_smooth_and_begins_before_it() -> None:
    track = MouthTrack()
    track.add(moments(0.0, *[0.0] * 100, *[1.0] * 100))
    seen = [opening(track, 0.9 + 0.005 * k) or 0.0 for k in range(41)]
    assert np.diff(seen).min() > -1e-6
    assert seen[0] == pytest.approx(0.0, abs=1e-6)
    assert seen[-1] == pytest.approx(1.0)
    assert np.diff(seen).max() < 0.16
    middle = 0.9 + 0.005 * int(np.argmin(np.abs(np.array(seen) - 0.5)))
    assert middle == pytest.approx(0.995, abs=0.006)


def test_sound_that_is_said_anew_replaces_what_was_known() -> None:
    track = MouthTrack()
    track.add(moments(0.0, *[1.0] * 50))
    track.add(moments(0.2, *[0.0] * 10))  # after a flush
    assert opening(track, 0.1) == pytest.approx(1.0)
    assert opening(track, 0.27) == pytest.approx(0.0)
    assert opening(track, 0.46) is None


def test_only_the_last_seconds_are_kept() -> None:
    track = MouthTrack()
    for k in range(3 * KEPT):
        track.add(moments(0.01 * k, 0.5))
    assert opening(track, 0.01 * 3 * KEPT - 9.0) == pytest.approx(0.5)
    assert opening(track, 10.0) is None
