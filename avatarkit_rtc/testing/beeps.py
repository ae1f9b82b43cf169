"""An utterance that opens the mouth at the moment of a beep, to measure lip sync with."""

from __future__ import annotations

import random
from typing import Final

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.testing.performer import Utterance

OPEN_JAW: Final = 0.3
"""``jaw_pose`` x while the mouth is open."""

BEEP_FRAMES: Final = 3
"""Length of a beep, in frames of 40 ms."""

BEEP_HZ: Final = 1000.0


def beeps(
    seconds: float,
    *,
    every_s: float = 1.0,
    silence_s: float = 0.0,
    seed: int | None = None,
    sample_rate: int = 24000,
) -> Utterance:
    """A face at rest that opens its mouth for 120 ms at each beep; the rest is silence.

    Args:
        seconds: length of the utterance.
        every_s: seconds between two beeps.
        silence_s: silence before the first beep, during which the face already moves (it nods).
        seed: varies the moments of the beeps by up to a quarter of ``every_s``; None for a strict rhythm.
        sample_rate: samples per second.
    """
    rng = random.Random(seed)
    count = round(seconds / FRAME_INTERVAL_S)
    opens: set[int] = set()
    sound = np.zeros(round(count * FRAME_INTERVAL_S * sample_rate), np.int16)
    length = round(BEEP_FRAMES * FRAME_INTERVAL_S * sample_rate)
    beep = (0.5 * 32767 * np.sin(2 * np.pi * BEEP_HZ * np.arange(length) / sample_rate)).astype(np.int16)
    at = silence_s
    while (first := round(at / FRAME_INTERVAL_S)) + BEEP_FRAMES < count:
        opens.update(range(first, first + BEEP_FRAMES))
        begin = round(first * FRAME_INTERVAL_S * sample_rate)
        sound[begin : begin + length] = beep
        at += every_s * (1.0 + (rng.uniform(-0.25, 0.25) if seed is not None else 0.0))
    frames = [
        MotionFrame.from_fields(
            {
                "jaw_pose": (OPEN_JAW if number in opens else 0.0, 0.0, 0.0),
                "rotation": (0.1 * np.sin(2 * np.pi * number / 40), 0.0, 0.0),
            }
        )
        for number in range(count)
    ]
    return Utterance(tuple(frames), sound, sample_rate)
