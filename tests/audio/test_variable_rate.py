"""Resampling at a ratio that changes: the sound stays what it was, and every sample is where it should be."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.audio.variable_rate import CubicRate, VariableRate, make_variable_rate
from tests.support.pulse import tone

BLOCK = 480


def library(channels: int) -> VariableRate:
    pytest.importorskip("samplerate", reason="needs the extra 'audio'")
    made = make_variable_rate(channels)
    assert not isinstance(made, CubicRate)
    return made


KINDS = [pytest.param(library, id="libsamplerate"), pytest.param(CubicRate, id="cubic")]


def resample(
    resampler: VariableRate, samples: npt.NDArray[np.int16], ratios: npt.NDArray[np.float64]
) -> npt.NDArray[np.int16]:
    blocks = samples.reshape(len(ratios), BLOCK, -1)
    return np.concatenate([resampler.process(b, r) for b, r in zip(blocks, ratios, strict=True)])


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("ratio", [0.997, 1.0, 1.001])
def test_a_tone_stays_a_clean_tone_of_that_much_longer(make: type[CubicRate], ratio: float) -> None:
    count = 300
    sound = tone(1000, count * BLOCK / 48000)
    made = resample(make(1), sound, np.full(count, ratio))[:, 0]
    assert len(made) == pytest.approx(len(sound) * ratio, abs=64)
    middle = made[4800:-480].astype(float)
    phase = 2 * np.pi * 1000 / 48000 / ratio * (4800 + np.arange(len(middle)))
    # Against the phase that it should have: a delay would show.
    error = middle - 0.5 * 32767 * np.sin(phase)
    assert 10 * np.log10(np.square(middle).sum() / np.square(error).sum()) > 60


@pytest.mark.parametrize("make", KINDS)
def test_a_changing_ratio_makes_no_clicks(make: type[CubicRate]) -> None:
    count = 400
    sound = tone(500, count * BLOCK / 48000)
    ratios = 1 + 0.003 * np.sign(np.sin(np.arange(count)))  # from one extreme to the other, all the time
    made = resample(make(1), sound, ratios)[4800:-480, 0].astype(float)
    # The second difference of a tone is the tone, much smaller; a click stands out of it.
    bend = np.abs(np.diff(made, 2)).max()
    assert bend < 1.2 * 0.5 * 32767 * (2 * np.pi * 500 / 48000) ** 2 + 2


@pytest.mark.parametrize("make", KINDS)
def test_channels_stay_apart_and_lengths_any(make: type[CubicRate]) -> None:
    resampler = make(2)
    sound = np.stack([tone(440, 1.0), np.zeros(48000, np.int16)], axis=1)
    sizes = [1, 2, 3, 479, 1, 960, 0, 7, 5000]
    ends = np.cumsum(sizes)
    made = np.concatenate(
        [resampler.process(sound[e - n : e], 0.999) for n, e in zip(sizes, ends, strict=True)]
    )
    assert made.shape[1] == 2
    assert made.dtype == np.int16
    assert len(made) == pytest.approx(ends[-1] * 0.999, abs=64)
    assert np.abs(made[:, 0]).max() > 16000
    assert not made[:, 1].any()


@pytest.mark.parametrize("make", KINDS)
def test_full_scale_is_clipped_and_does_not_wrap(make: type[CubicRate]) -> None:
    square = np.where(np.arange(4800) // 50 % 2, 32767, -32768).astype(np.int16)[:, np.newaxis]
    made = make(1).process(square, 1.002)[200:4500, 0].astype(int)
    assert made.max() == 32767
    assert made.min() == -32768
    assert np.abs(np.diff(made)).max() <= 65535
    assert (np.abs(made) > 20000).mean() > 0.9


@pytest.mark.parametrize("make", KINDS)
def test_a_reset_forgets(make: type[CubicRate]) -> None:
    resampler = make(1)
    resampler.process(np.full((480, 1), 20000, np.int16), 1.0)
    resampler.reset()
    assert not resampler.process(np.zeros((480, 1), np.int16), 1.0).any()


def test_without_the_library_there_is_the_cubic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "samplerate", None)
    assert isinstance(make_variable_rate(1), CubicRate)
