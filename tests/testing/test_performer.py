from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.testing.performer import Utterance, mouth_opening, perform


def stack(utterance: Utterance, field: str) -> np.ndarray:
    return np.stack([getattr(frame, field) for frame in utterance.frames])


@pytest.fixture(scope="module")
def minute() -> Utterance:
    return perform(11, 60.0, 16000)


def test_the_same_seed_performs_the_same() -> None:
    first, second, other = perform(1, 2.0), perform(1, 2.0), perform(2, 2.0)
    assert first.frames == second.frames
    assert np.array_equal(first.pcm, second.pcm)
    assert first.frames != other.frames


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**40), st.floats(0.01, 4.0), st.sampled_from([8000, 24000, 48000]))
def test_every_performance_is_finite_and_its_sound_as_long_as_its_motion(
    seed: int, seconds: float, rate: int
) -> None:
    utterance = perform(seed, seconds, rate)
    assert len(utterance.pcm) == round(len(utterance.frames) * 0.04 * rate)
    assert abs(utterance.duration - max(seconds, 0.04)) <= 0.0201
    values = np.stack([frame.values for frame in utterance.frames])
    assert np.isfinite(values).all()
    jaw = stack(utterance, "jaw_pose")
    assert jaw[:, 0].min() >= 0
    assert jaw[:, 0].max() <= 0.3501
    lids = stack(utterance, "eye_lid")
    assert lids.min() >= 0
    assert lids.max() <= 1


def test_the_jaw_follows_the_loudness_without_being_early_or_late(minute: Utterance) -> None:
    jaw = stack(minute, "jaw_pose")[:, 0].astype(float)
    level = np.sqrt((minute.pcm.reshape(-1, 640).astype(float) ** 2).mean(axis=1))
    correlation = {
        lag: np.corrcoef(jaw[5:-5], np.roll(level, lag)[5:-5])[0, 1] for lag in (-3, -2, -1, 0, 1, 2, 3)
    }
    assert max(correlation, key=correlation.__getitem__) == 0
    assert correlation[0] > 0.85
    assert jaw.max() > 0.25
    assert jaw[level == 0].max(initial=0.0) < 0.2


def test_a_click_opens_the_mouth_in_its_own_frame() -> None:
    pcm = np.zeros(24000, np.int16)
    pcm[10 * 960 : 11 * 960] = 20000
    opening = mouth_opening(pcm, 24000, 25)
    assert opening.argmax() == 10
    assert opening[9] == pytest.approx(opening[11])
    assert not opening[:9].any()
    assert not opening[12:].any()


def test_silence_keeps_the_mouth_shut() -> None:
    assert not mouth_opening(np.zeros(100, np.int16), 24000, 25).any()


def test_blinks_are_short_and_come_every_few_seconds(minute: Utterance) -> None:
    lids = stack(minute, "eye_lid")
    assert np.array_equal(lids[:, 0], lids[:, 1])
    shut = lids[:, 0] > 0.05
    starts = np.flatnonzero(shut[1:] & ~shut[:-1])
    lengths = [int(np.argmin(shut[start + 1 :])) for start in starts[:-1]]
    assert 9 <= len(starts) <= 31
    assert all(3 <= length <= 6 for length in lengths)
    peaks = [lids[start : start + 8, 0].max() for start in starts[:-1]]
    assert min(peaks) > 0.9


def test_eyes_rest_and_jump_together(minute: Utterance) -> None:
    eyes = stack(minute, "eye_pose")
    assert np.array_equal(eyes[:, :3], eyes[:, 3:])
    moved = np.any(np.diff(eyes, axis=0) != 0, axis=1)
    assert 20 < np.count_nonzero(moved) < 160
    assert np.abs(eyes).max() <= 0.36


def test_the_head_moves_slowly_and_never_far(minute: Utterance) -> None:
    head = stack(minute, "rotation")
    assert head.std(axis=0).max() > 0.01
    assert np.abs(head).max() < 0.35
    assert np.abs(np.diff(head, axis=0)).max() < 0.05
    assert np.abs(stack(minute, "neck_pose")).max() < 0.1


def test_the_expression_moves_plausibly(minute: Utterance) -> None:
    expression = stack(minute, "expression")
    assert (expression[:, :12].std(axis=0) > 0.03).all()
    assert np.abs(expression).max() < 5
    assert not expression[:, 50:].any()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((-1, 1.0), "seed"),
        ((0, 0.0), "seconds"),
        ((0, float("nan")), "seconds"),
        ((0, 1.0, 400), "sample_rate"),
    ],
)
def test_bad_arguments_are_told(arguments: tuple[float, ...], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        perform(*arguments)  # type: ignore[arg-type]


def test_frames_are_motion_frames() -> None:
    assert all(isinstance(frame, MotionFrame) for frame in perform(0, 0.2).frames)
