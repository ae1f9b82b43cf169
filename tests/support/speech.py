"""Speech for tests, spoken by espeak-ng (Debian and Ubuntu: the package of that name)."""

from __future__ import annotations

import io
import subprocess
import wave

import numpy as np
import numpy.typing as npt

from tests.support.system import require

PHRASE = "Good morning everybody. Today we are going to talk about a machine that speaks with a human face."


def espeak(
    text: str, *, voice: str = "en-us", words_per_minute: int = 150
) -> tuple[npt.NDArray[np.int16], int]:
    """``text`` (phonemes in ``[[…]]``): samples, shape (n,), int16, and samples per second."""
    require("espeak-ng")
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    sound = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    with wave.open(io.BytesIO(sound)) as file:
        # The header says nothing of the length: it is written before the speech.
        samples = np.frombuffer(sound[44:], "<i2").copy()
        return samples, file.getframerate()
