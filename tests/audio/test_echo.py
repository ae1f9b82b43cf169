"""The echo canceller on sound made by code: a late, quieter copy of what was played, and a voice on top."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.echo import EchoCanceller, VoiceProcessing
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.voice import speak
from tests.support.pulse import rms

RATE = 48000
SECONDS = 6


def voice(seed: int, seconds: float = SECONDS) -> np.ndarray:
    return speak(seed, seconds, RATE).pcm


def mono(samples: np.ndarray, rate: int = RATE) -> AudioBlock:
    return AudioBlock(samples[:, np.newaxis], rate, 0.0)


def hear(
    canceller: EchoCanceller, far: np.ndarray, near: np.ndarray, *, pauses: range = range(0)
) -> np.ndarray:
    """What is left of ``near`` and the echo of ``far`` (120 ms later, 12 dB quieter)."""
    sent = far.copy()
    for block in pauses:
        sent[block * 480 : (block + 1) * 480] = 0
    echoed = np.concatenate([np.zeros(5760, np.int16), sent])[: len(sent)] // 4
    heard = (echoed + near[: len(echoed)]).astype(np.int16)
    out = []
    for block in range(len(sent) // 480):
        at = slice(block * 480, (block + 1) * 480)
        reference = None if block in pauses else sent[at, np.newaxis]
        out.append(canceller.process(mono(heard[at]), reference).samples[:, 0])
    return np.concatenate(out)


def test_the_echo_goes_and_without_the_canceller_it_stays() -> None:
    far, nobody = voice(1), np.zeros(SECONDS * RATE, np.int16)
    only = {"noise_suppression": False, "auto_gain_control": False, "high_pass_filter": False}
    left = hear(EchoCanceller(VoiceProcessing(**only)), far, nobody)
    without = hear(EchoCanceller(VoiceProcessing(echo_cancellation=False, **only)), far, nobody)
    quieter_db = 20 * np.log10(rms(without[3 * RATE :]) / max(rms(left[3 * RATE :]), 1e-6))
    assert quieter_db > 30


def test_a_voice_in_the_room_stays() -> None:
    far, near = voice(1), voice(2)
    near[: 4 * RATE] = 0  # speaks while the avatar is silent, after it has learnt
    far[4 * RATE :] = 0
    out = hear(EchoCanceller(VoiceProcessing(auto_gain_control=False)), far, near)
    assert rms(out[4 * RATE :]) > 0.5 * rms(near[4 * RATE :])


def test_after_a_pause_of_the_speaker_the_echo_is_gone_at_once() -> None:
    far, nobody = voice(1, 9), np.zeros(9 * RATE, np.int16)
    left = hear(EchoCanceller(), far, nobody, pauses=range(400, 600))
    without = hear(
        EchoCanceller(VoiceProcessing(echo_cancellation=False)), far, nobody, pauses=range(400, 600)
    )
    after = slice(int(6.6 * RATE), int(7.6 * RATE))
    assert rms(left[after]) < 0.03 * rms(without[after])


def test_the_input_is_left_alone_and_time_is_kept() -> None:
    block = AudioBlock(np.full((480, 1), 1000, np.int16), RATE, 7.0)
    done = EchoCanceller().process(block)
    assert (block.samples == 1000).all()
    assert (done.t, done.sample_rate, done.samples.shape) == (7.0, RATE, (480, 1))


@pytest.mark.parametrize(("samples", "rate"), [(960, 48000), (480, 44100), (441, 44100)])
def test_blocks_that_would_pass_unprocessed_are_refused(samples: int, rate: int) -> None:
    with pytest.raises(ConfigurationError, match="480"):
        EchoCanceller().process(AudioBlock(np.zeros((samples, 1), np.int16), rate, 0.0))


def test_a_delay_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="delay_ms"):
        EchoCanceller(delay_ms=1000)


def test_nothing_switched_on_is_nothing_to_do() -> None:
    assert VoiceProcessing().any
    assert not VoiceProcessing(False, False, False, False).any
