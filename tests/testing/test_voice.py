from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.testing.voice import Speech, speak


def loudness(speech: Speech, block_s: float = 0.02) -> np.ndarray:
    size = round(block_s * speech.sample_rate)
    blocks = speech.pcm[: len(speech.pcm) // size * size].reshape(-1, size).astype(float)
    return np.asarray(np.sqrt((blocks**2).mean(axis=1)))


def test_the_same_seed_says_the_same() -> None:
    first, second, other = speak(4, 2.0, 24000), speak(4, 2.0, 24000), speak(5, 2.0, 24000)
    assert np.array_equal(first.pcm, second.pcm)
    assert first.stresses == second.stresses
    assert not np.array_equal(first.pcm, other.pcm)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_any_rate_gives_whole_frames_of_sound_at_a_speech_level(rate: int) -> None:
    speech = speak(2, 3.0, rate)
    assert speech.pcm.dtype == np.int16
    assert len(speech.pcm) == 3 * rate
    assert speech.formants.shape == (75, 2)
    rms = np.sqrt((speech.pcm.astype(float) ** 2).mean())
    assert 1000 < rms < 9000


@pytest.mark.parametrize("seed", range(6))
def test_there_are_syllables_and_pauses_and_silence_at_both_ends(seed: int) -> None:
    speech = speak(seed, 6.0, 24000)
    level = loudness(speech)
    assert level[:4].max() < 50
    assert level[-4:].max() < 50
    loud = level > 0.2 * np.quantile(level, 0.95)
    assert 0.3 < loud.mean() < 0.9
    onsets = np.count_nonzero(loud[1:] & ~loud[:-1])
    assert 4 <= onsets <= 40


def test_voiced_sound_is_low_and_hisses_are_high() -> None:
    speech = speak(3, 5.0, 24000)
    size = 480
    blocks = speech.pcm.reshape(-1, size).astype(float)
    power = np.abs(np.fft.rfft(blocks * np.hanning(size), axis=1)) ** 2
    frequency = np.fft.rfftfreq(size, 1 / 24000)
    audible = power.sum(axis=1) > 1e-3 * power.sum(axis=1).max()
    high_share = power[:, frequency > 2500].sum(axis=1)[audible] / power.sum(axis=1)[audible]
    assert np.quantile(high_share, 0.3) < 0.05
    assert high_share.max() > 0.6


def test_a_voiced_block_is_periodic_at_a_speaking_pitch() -> None:
    speech = speak(1, 4.0, 24000)
    level = loudness(speech, 0.04)
    at = int(level.argmax()) * 960
    block = speech.pcm[at : at + 960].astype(float)
    correlation = np.correlate(block, block, "full")[len(block) - 1 :]
    lags = slice(24000 // 260, 24000 // 80)
    assert correlation[lags].max() > 0.5 * correlation[0]


def test_the_shortest_utterance_is_one_frame() -> None:
    assert len(speak(0, 0.001, 24000).pcm) == 960
