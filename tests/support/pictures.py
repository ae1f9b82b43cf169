"""Pictures to test with."""

from __future__ import annotations

import numpy as np

from avatarkit_rtc.video.picture import Picture


def grey(t: float, level: int = 128, size: tuple[int, int] = (64, 48)) -> Picture:
    """A grey picture in I420; ``level`` is its brightness, 16 … 235."""
    width, height = size
    data = np.full(width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2), 128, np.uint8)
    data[: width * height] = level
    return Picture(t, width, height, "i420", data)
