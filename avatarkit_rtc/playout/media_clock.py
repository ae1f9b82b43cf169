"""The speed of playing: how the media clock gets from the delay it has to the delay it should have."""

from __future__ import annotations

import math
from typing import Final

DEAD_BAND_S: Final = 0.003
"""Closer to the target than this the clock runs at speed 1."""

GAIN: Final = 2.0
"""Change of speed per second of error beyond the dead band."""

MIN_RATE: Final = 0.80
MAX_RATE: Final = 1.08
"""Slower than what would be unseen: after a stall the delay that is left covers the next one, which is often
near."""

CATCH_UP_RATE: Final = 1.25
"""Highest speed when more than :data:`CATCH_UP_S` behind."""

CATCH_UP_S: Final = 0.3
HURRY_S: Final = 0.7
"""Further behind than this every pose goes on by one and a half frames, on top of the highest speed: nothing
that was received is left out, it is played at almost twice the speed."""

JUMP_S: Final = 3.0
"""Further behind than this the clock jumps: catching up would take longer than anyone likes to watch."""

JUMP_TO_S: Final = 0.3
"""So far behind the target a jump ends: what is left is caught up, so that fewer frames are passed over."""

GLIDE: Final = 1.5
"""Frames per step across a gap of lost frames, while there is delay to be won back; and across frames that
are there, when in a hurry."""

LOST_S: Final = 1.0
"""Further behind than this a gap of lost frames is left out and not crossed: nothing of it ever came."""

GLIDE_FROM_S: Final = 0.020
"""Less delay than this is not worth hurrying for."""


def playback_rate(error_s: float) -> float:
    """Media seconds per second for a delay ``error_s`` above (+) or below (-) the target: 0.80 … 1.25."""
    if abs(error_s) <= DEAD_BAND_S:
        return 1.0
    beyond = error_s - DEAD_BAND_S if error_s > 0 else error_s + DEAD_BAND_S
    fastest = CATCH_UP_RATE if error_s > CATCH_UP_S else MAX_RATE
    return min(max(1.0 + GAIN * beyond, MIN_RATE), fastest)


def glide_step(error_s: float) -> float:
    """Frames to go on by per pose across a gap, for a delay ``error_s`` above the target: 1 … 1.5, or all."""
    if error_s > LOST_S:
        return math.inf
    return GLIDE if error_s > GLIDE_FROM_S else 1.0
