"""``bench.echo``: its measures, and a short form of the real thing."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.testing.voice import speak
from bench.echo import dbfs, likeness, measure
from bench.processes import Place
from tests.support.livekit import LiveKitServer
from tests.support.pulse import tone
from tests.support.system import require


def test_loudness() -> None:
    assert dbfs(tone(1000, 1.0, level=1.0)) == pytest.approx(-3.0, abs=0.1)
    assert dbfs(np.zeros(480, np.int16)) == dbfs(np.zeros(0, np.int16)) == -96.0


def test_a_voice_is_like_itself_later_and_quieter_and_unlike_another() -> None:
    voice, other = speak(1, 4.0, 48000).pcm, speak(2, 4.0, 48000).pcm
    late = np.concatenate([np.zeros(9600, np.int16), voice]) // 4
    assert likeness(late, voice) > 0.95
    assert likeness(other, voice) < 0.6
    assert likeness(np.zeros(48000, np.int16), voice) == 0.0


@pytest.mark.alone
def test_the_echo_is_gone_and_the_user_is_heard(livekit_server: LiveKitServer) -> None:
    require("pulseaudio", "pacat", "pactl", "espeak-ng")
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    for _ in range(3):  # a machine that stands still for a second is no fault of the canceller's
        report = measure(where, settings=("default", "default without canceller"), part_s=4.0)
        found = {figure.name: figure.value for figure in report.figures}
        if (
            found["times a microphone was lost"] == 0
            # 45 to 75 dB are usual.
            and found["default: echo against default without canceller"] < -20
            and found["default: user alone, quieter than default without canceller"] < 6
            and found["default: user alone, likeness"] > 0.6
        ):
            return
    raise AssertionError(report.table())
