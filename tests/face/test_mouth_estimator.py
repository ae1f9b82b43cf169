from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.face.mouth_estimator import LATENCY_S, MouthEstimator, MouthMoment
from avatarkit_rtc.face.mouth_shapes import MOUTH_COEFFICIENTS, MOUTH_SHAPES
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from tests.support.speech import espeak

VOWELS = {"a": "open", "e": "mid", "i": "wide", "o": "round", "u": "pucker"}
VOICES = ("es", "es+f2", "es+f4", "es+m3", "es+m7", "it", "it+f5")

Samples = npt.NDArray[np.int16]


def listen(samples: Samples, rate: int, *, block_ms: float = 10, start: float = 0.0) -> list[MouthMoment]:
    estimator, step = MouthEstimator(), round(rate * block_ms / 1000)
    moments: list[MouthMoment] = []
    for begin in range(0, len(samples), step):
        moments += estimator.hear(samples[begin : begin + step], rate, start + begin / rate)
    return moments


def mean_shape(moments: list[MouthMoment]) -> npt.NDArray[np.float32]:
    """Of the loud moments."""
    weights = np.array([moment.weights for moment in moments])
    loud = weights.sum(axis=1) > 0.6
    assert loud.sum() > 20
    mean: npt.NDArray[np.float32] = weights[loud].mean(axis=0)
    return mean


@pytest.mark.parametrize("voice", VOICES)
def test_five_vowels_make_five_shapes_in_any_voice(voice: str) -> None:
    shapes = {}
    for vowel in VOWELS:
        sound, rate = espeak(f"[[{vowel}]] [[{vowel}]] [[{vowel}]]", voice=voice, words_per_minute=80)
        shapes[vowel] = mean_shape(listen(sound, rate))
    assert {vowel: MOUTH_SHAPES[int(shape.argmax())] for vowel, shape in shapes.items()} == VOWELS
    # And what they are as coefficients is as it should be.
    mouth = {vowel: shape @ MOUTH_COEFFICIENTS for vowel, shape in shapes.items()}
    jaw = {vowel: float(each[ARKIT_INDEX["jawOpen"]]) for vowel, each in mouth.items()}
    assert jaw["a"] > jaw["e"] > jaw["i"]
    assert jaw["a"] > jaw["o"] > jaw["u"]
    for vowel in "ou":
        assert mouth[vowel][ARKIT_INDEX["mouthPucker"]] > 0.15
    for vowel in "aei":
        assert mouth[vowel][ARKIT_INDEX["mouthPucker"]] < 0.05


@pytest.mark.parametrize("voice", ["es", "es+f2"])
def test_consonants_close_lips_and_teeth(voice: str) -> None:
    for sound, shape in (("m'ama", "closed"), ("s'asa", "teeth"), ("S'aSa", "teeth")):
        samples, rate = espeak(f"[[{sound}]]", voice=voice, words_per_minute=90)
        weights = np.array([moment.weights for moment in listen(samples, rate)])
        assert weights[:, MOUTH_SHAPES.index(shape)].max() > 0.5, sound
        assert weights[:, MOUTH_SHAPES.index("open")].max() > 0.8, sound


def test_silence_and_noise_that_is_as_quiet_leave_the_lips_at_rest() -> None:
    random = np.random.default_rng(1)
    quiet = random.integers(-20, 20, 24000).astype(np.int16)
    for samples in (np.zeros(24000, np.int16), quiet):
        assert max(moment.weights.sum() for moment in listen(samples, 24000)) < 0.05


def test_silence_that_is_skipped_counts_like_silence_that_is_looked_at() -> None:
    sound, rate = espeak("[[a]]", voice="es")
    whispered = (sound * 0.1).astype(np.int16)
    openings = []
    for quiet in (0, 1):  # a single count in a while is not skipped
        pause = np.zeros(2 * rate, np.int16)
        pause[:: rate // 200] = quiet
        weights = [moment.weights.sum() for moment in listen(np.concatenate([sound, pause, whispered]), rate)]
        openings.append(max(weights[-len(whispered) * 100 // rate :]))
    assert openings[0] == pytest.approx(openings[1], abs=1e-4)


def test_louder_means_wider_open() -> None:
    sound, rate = espeak("[[a]] [[a]]", voice="es", words_per_minute=80)
    opening = []
    for gain_db in (0, -6, -12, -18, -24, -40):
        estimator = MouthEstimator()
        estimator.hear(sound, rate, 0.0)  # how loud this voice is, it has learnt
        softer = (sound * 10 ** (gain_db / 20)).astype(np.int16)
        moments = estimator.hear(softer, rate, len(sound) / rate)
        opening.append(max(float(moment.weights.sum()) for moment in moments))
    assert opening == sorted(opening, reverse=True)
    assert opening[0] > 0.9
    assert opening[-1] == 0.0


def test_moments_are_10_ms_apart_and_in_the_middle_of_their_sound() -> None:
    rate = 24000
    samples = np.zeros(rate, np.int16)
    burst = np.arange(480)
    samples[12000:12480] = (20000 * np.sin(2 * np.pi * 700 * burst / rate)).astype(np.int16)
    moments = listen(samples, rate, start=100.0)
    times = np.array([moment.t for moment in moments])
    assert np.diff(times) == pytest.approx(0.010, abs=1e-6)
    loud = np.array([moment.weights.sum() for moment in moments])
    assert times @ loud / loud.sum() == pytest.approx(100.510, abs=0.004)


def test_what_can_be_told_is_told_at_once() -> None:
    estimator, rate = MouthEstimator(), 48000
    for k in range(100):
        moments = estimator.hear(np.zeros(480, np.int16), rate, k * 0.01)
        if k > 3:
            assert [moment.t for moment in moments] == [pytest.approx((k + 1) * 0.01 - LATENCY_S, abs=1e-6)]


@pytest.mark.parametrize("block_ms", [2.5, 7, 20, 60, 1000])
def test_the_size_of_the_blocks_makes_no_difference(block_ms: float) -> None:
    sound, rate = espeak("Mobile phones", voice="en-us")
    tens, others = listen(sound, rate), listen(sound, rate, block_ms=block_ms)
    assert len(tens) == len(others)
    for one, other in zip(tens, others, strict=True):
        assert one.t == pytest.approx(other.t, abs=1e-6)
        assert one.weights == pytest.approx(other.weights, abs=1e-5)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_any_rate_will_do(rate: int) -> None:
    sound, own = espeak("[[a]] [[a]]", voice="es", words_per_minute=80)
    t = np.arange(0, len(sound) / own - 0.01, 1 / rate)
    other = np.interp(t, np.arange(len(sound)) / own, sound).astype(np.int16)
    assert MOUTH_SHAPES[int(mean_shape(listen(other, rate)).argmax())] == "open"


def test_stereo_is_heard_by_its_first_channel_and_a_rate_too_low_is_refused() -> None:
    sound, rate = espeak("[[a]]", voice="es")
    stereo = np.stack([sound, np.zeros_like(sound)], axis=1)
    mono, both = MouthEstimator().hear(sound, rate, 0.0), MouthEstimator().hear(stereo, rate, 0.0)
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(mono, both, strict=True))
    with pytest.raises(ValueError, match="8000"):
        MouthEstimator().hear(sound, 7999, 0.0)


def test_a_jump_in_time_begins_anew_and_jitter_does_not() -> None:
    estimator = MouthEstimator()
    block = np.zeros(480, np.int16)
    for k in range(50):
        moments = estimator.hear(block, 48000, k * 0.01 + (0.015 if k % 7 == 0 else 0.0))
    assert estimator.gaps == 0
    assert moments[0].t == pytest.approx(0.5 - LATENCY_S, abs=0.006)
    assert estimator.hear(block, 48000, 7.0) == []  # 10 ms are no window yet
    assert estimator.gaps == 1
    estimator.hear(block, 48000, 7.01)
    assert [moment.t for moment in estimator.hear(block, 48000, 7.02)] == [pytest.approx(7.015)]


def test_the_size_of_a_voice_is_learnt() -> None:
    sizes = []
    for voice in ("es", "es+f4"):
        sound, rate = espeak("la casa blanca de mi hermana", voice=voice)
        estimator = MouthEstimator()
        estimator.hear(sound, rate, 0.0)
        sizes.append(estimator.voice_size)
    assert 0.9 < sizes[0] < 1.1 < sizes[1] < 1.35


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2000), min_size=1, max_size=8),
    st.sampled_from([8000, 16000, 24000, 48000]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 100, 32767]),
)
def test_any_sound_gives_weights_that_are_shares(
    lengths: list[int], rate: int, seed: int, loudness: int
) -> None:
    random, estimator, t, last = np.random.default_rng(seed), MouthEstimator(), 0.0, -1.0
    for length in lengths:
        block = random.integers(-loudness, loudness + 1, length).astype(np.int16)
        for moment in estimator.hear(block, rate, t):
            assert moment.t > last
            last = moment.t
            assert np.all(moment.weights >= 0)
            assert moment.weights.sum() <= 1 + 1e-5
        t += length / rate
