from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.testing.beeps import OPEN_JAW, beeps


@pytest.mark.parametrize("silence_s", [0.0, 0.04, 0.32])
def test_the_mouth_is_open_exactly_while_it_beeps(silence_s: float) -> None:
    made = beeps(6.0, silence_s=silence_s)
    assert len(made.frames) == 150
    per_frame = made.pcm.reshape(150, -1)
    loud = np.abs(per_frame.astype(int)).max(axis=1) > 1000
    is_open = np.array([frame.jaw_pose[0] > OPEN_JAW / 2 for frame in made.frames])
    np.testing.assert_array_equal(loud, is_open)
    assert np.flatnonzero(is_open)[0] == round(silence_s / 0.04)
    assert np.diff(is_open.astype(int)).clip(0).sum() + is_open[0] == 6


def test_a_seed_varies_the_rhythm_and_repeats_itself() -> None:
    one, same, other = (beeps(6.0, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.pcm, same.pcm)
    assert not np.array_equal(one.pcm, other.pcm)
