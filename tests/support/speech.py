"""Speech for tests, spoken by espeak-ng (Debian and Ubuntu: the package of that name)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench import speaking
from tests.support.system import require


def espeak(
    text: str, *, voice: str = "en-us", words_per_minute: int = 150
) -> tuple[npt.NDArray[np.int16], int]:
    """``text`` (phonemes in ``[[…]]``): samples, shape (n,), int16, and samples per second."""
    require("espeak-ng")
    return speaking.espeak(text, voice, words_per_minute)
