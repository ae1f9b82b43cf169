"""Speech of the espeak-ng program (Debian package: espeak-ng)."""

from __future__ import annotations

import io
import subprocess
import wave
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.convert import Converter

RATE: Final = 48000
TEXT: Final = (
    "Good morning, and welcome. I am glad that you are here today. Please tell me what I can do for you, and "
    "I will try to help. We could talk about the weather, about music, or the history of this old house. "
    "The quick brown fox jumps over the lazy dog, while seven wizards juggle with crystal balls. "
)


def say(voice: str, seconds: float) -> npt.NDArray[np.int16]:
    """``seconds`` of :data:`TEXT`, said by ``voice`` as often as it takes; shape (n,), int16 at 48 kHz.

    Raises:
        FileNotFoundError: there is no espeak-ng.
        subprocess.CalledProcessError: it does not know the voice.
    """
    # With --stdout it writes a WAV header that says nothing of the length.
    spoken = subprocess.run(["espeak-ng", "-v", voice, "--stdout", TEXT], capture_output=True, check=True)
    with wave.open(io.BytesIO(spoken.stdout)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(len(spoken.stdout)), "<i2").astype(np.int16)
    converter = Converter(RATE, 1)
    once = np.concatenate([converter.convert(samples[:, np.newaxis], rate), converter.flush()])[:, 0]
    count = round(seconds * RATE)
    return np.tile(once, -(-count // len(once)))[:count]
