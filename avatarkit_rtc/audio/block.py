"""A block of sound on its way from or to the room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Interleaved-free 16-bit sound."""

    samples: npt.NDArray[np.int16]
    """Samples, shape (n, channels), int16."""
    sample_rate: int
    """Samples per second and channel."""
    t: float
    """Arrival of the block, in monotonic seconds: never before that of the block before it."""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate
