"""The echo canceller on sound made by code: a late, quieter copy of what was played, and a voice on top."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.audio import echo as echo_module
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


class Room:
    """A clock of its own, so that seconds of sound are processed as fast as the machine can."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(echo_module.time, "monotonic", lambda: self.now)

    def hear(
        self, canceller: EchoCanceller, far: np.ndarray, near: np.ndarray, *, pauses: range = range(0)
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
            if block not in pauses:
                canceller.played(mono(sent[at]))
            out.append(canceller.process(mono(heard[at])).samples[:, 0])
            self.now += 0.01
        return np.concatenate(out)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(monkeypatch)


def test_the_echo_goes_and_without_the_canceller_it_stays(room: Room) -> None:
    far, nobody = voice(1), np.zeros(SECONDS * RATE, np.int16)
    only = {"noise_suppression": False, "auto_gain_control": False, "high_pass_filter": False}
    left = room.hear(EchoCanceller(VoiceProcessing(**only)), far, nobody)
    without = room.hear(EchoCanceller(VoiceProcessing(echo_cancellation=False, **only)), far, nobody)
    quieter_db = 20 * np.log10(rms(without[3 * RATE :]) / max(rms(left[3 * RATE :]), 1e-6))
    assert quieter_db > 30


def test_a_voice_in_the_room_stays(room: Room) -> None:
    far, near = voice(1), voice(2)
    near[: 4 * RATE] = 0  # speaks while the avatar is silent, after it has learnt
    far[4 * RATE :] = 0
    out = room.hear(EchoCanceller(VoiceProcessing(auto_gain_control=False)), far, near)
    assert rms(out[4 * RATE :]) > 0.5 * rms(near[4 * RATE :])


def test_after_a_pause_of_the_speaker_the_echo_is_gone_at_once(room: Room) -> None:
    far, nobody = voice(1, 9), np.zeros(9 * RATE, np.int16)
    left = room.hear(EchoCanceller(), far, nobody, pauses=range(400, 600))
    without = room.hear(
        EchoCanceller(VoiceProcessing(echo_cancellation=False)), far, nobody, pauses=range(400, 600)
    )
    after = slice(int(6.6 * RATE), int(7.6 * RATE))
    assert rms(left[after]) < 0.03 * rms(without[after])


def test_blocks_of_any_form_may_be_played(room: Room) -> None:
    far = speak(1, 6, 24000).pcm
    heard = (np.concatenate([np.zeros(4800, np.int16), voice(1)]) // 4).astype(np.int16)
    canceller = EchoCanceller(VoiceProcessing(auto_gain_control=False), delay_ms=100)
    out = []
    for pair in range(300):
        stereo = np.repeat(far[pair * 480 : (pair + 1) * 480, np.newaxis], 2, axis=1)  # 20 ms at a time
        canceller.played(AudioBlock(stereo, 24000, 0.0))
        for block in (2 * pair, 2 * pair + 1):
            out.append(canceller.process(mono(heard[block * 480 : (block + 1) * 480])).samples[:, 0])
            room.now += 0.01
    assert rms(np.concatenate(out)[4 * RATE :]) < 0.1 * rms(heard[4 * RATE : 6 * RATE])


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
