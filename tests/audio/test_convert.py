"""Formats, channels and rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avatarkit_rtc.audio.convert import Converter, from_bytes, to_channels, to_int16
from avatarkit_rtc.errors import ConfigurationError
from tests.support.pulse import peak_frequency, rms, tone


def test_floats_are_scaled_clipped_and_cleaned() -> None:
    samples = np.array([0.0, 0.5, 1.0, -1.0, 3.0, -3.0, np.nan, np.inf], np.float32)
    assert to_int16(samples)[:, 0].tolist() == [0, 16384, 32767, -32767, 32767, -32767, 0, 32767]


def test_one_dimension_becomes_one_channel() -> None:
    assert to_int16(np.zeros(7, np.int16)).shape == (7, 1)
    assert to_int16(np.zeros((7, 2), np.float64)).shape == (7, 2)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((2, 480), np.int16),
        np.zeros((1, 2, 3), np.int16),
        np.zeros(5, np.int32),
        np.zeros((5, 0), np.int16),
    ],
    ids=["channels first", "three dimensions", "int32", "no channel"],
)
def test_what_is_no_sound_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ConfigurationError):
        to_int16(samples)


def test_bytes_are_interleaved_little_endian() -> None:
    assert from_bytes(b"\x01\x00\xff\xff\x00\x80\xff\x7f", 2).tolist() == [[1, -1], [-32768, 32767]]
    with pytest.raises(ConfigurationError, match="whole number"):
        from_bytes(b"\x01\x00\x02", 1)


def test_channels_are_mixed_without_overflow() -> None:
    loud = np.full((3, 2), 32767, np.int16)
    assert to_channels(loud, 1).tolist() == [[32767]] * 3
    assert to_channels(np.array([[10, -20]], np.int16), 1).tolist() == [[-5]]
    assert to_channels(np.array([[7]], np.int16), 2).tolist() == [[7, 7]]
    assert to_channels(np.array([[3, 6, 9]], np.int16), 2).tolist() == [[6, 6]]
    assert to_channels(loud, 2) is loud


@given(hnp.arrays(np.float32, st.integers(0, 50)))
def test_any_floats_become_sound(samples: np.ndarray) -> None:
    out = to_int16(samples)
    assert out.dtype == np.int16
    assert out.shape == (len(samples), 1)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_resampled_sound_keeps_length_pitch_and_level(rate: int, channels: int) -> None:
    source = np.repeat(tone(440, 1.0, rate=rate)[:, np.newaxis], channels, axis=1)
    converter = Converter(48000, channels)
    step = rate // 100
    parts = [converter.convert(source[at : at + step], rate) for at in range(0, len(source), step)]
    out = np.concatenate([*parts, converter.flush()])
    assert abs(len(out) - 48000) <= 2
    for channel in range(channels):
        assert peak_frequency(out[:, channel]) == pytest.approx(440, abs=1)
        assert rms(out[4800:-4800, channel]) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_a_change_of_rate_loses_nothing() -> None:
    converter = Converter(48000, 1)
    parts = [
        converter.convert(tone(440, 0.5, rate=rate)[:, np.newaxis], rate)
        for rate in (16000, 48000, 24000, 24000)
    ]
    assert abs(len(np.concatenate([*parts, converter.flush()])) - 4 * 24000) <= 6


def test_an_impossible_rate_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="must be positive"):
        Converter(48000, 1).convert(np.zeros((10, 1), np.int16), 0)
