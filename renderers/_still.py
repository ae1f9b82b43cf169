"""When a window shows a still: once the connection has been gone for a while.

Pure: moments come as arguments, in monotonic seconds.
"""

from __future__ import annotations

import math
from typing import Final

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S

LOST_AFTER_S: Final = 2.0
"""A connection that is back sooner was never gone for the viewer; the face also takes half a second to come
to rest."""

FADE_S: Final = 0.4
"""From the living face to the still, and back."""

REST_S: Final = 0.7
"""For so long the window itself brings the face to rest before it holds it."""
_NO_BLINK_S: Final = 0.45
"""A still must not have its eyes shut: so long must the last blink be over."""
_LONGEST_REST_S: Final = 3.0


class Still:
    """Follows the connection: living, coming to rest, or held."""

    def __init__(self) -> None:
        self.count = 0
        """Times the face became a still."""
        self._connected = True
        self._down_since: float | None = None
        self._began: float | None = None
        self._draw_at = -math.inf
        self._ended = -math.inf
        self._from = 0.0
        self._held = False
        self._blinks = -1
        self._blinked = -math.inf

    @property
    def held(self) -> bool:
        """Whether no poses are to be drawn now."""
        return self._began is not None

    def connection(self, state: str) -> None:
        """The connection is in ``state`` now, one of :class:`avatarkit_rtc.events.ConnectionState`; on any
        thread."""
        self._connected = state == "connected"

    def step(self, now: float, blinks: int) -> bool:
        """Look at the time; returns whether the window is to draw a resting pose now.

        Args:
            now: monotonic seconds.
            blinks: blinks of the face so far.
        """
        if self._connected:
            if self._down_since is not None:
                self._from, self._ended = self.gone(now), now
                self._down_since = self._began = None
            return False
        if self._down_since is None:
            self._down_since = now
        if self._began is None:
            if now - self._down_since < LOST_AFTER_S:
                return False
            self._began, self._held = now, False
            self._blinks, self._blinked = blinks, -math.inf
            self.count += 1
        return not self._held and self._comes_to_rest(now, blinks)

    def _comes_to_rest(self, now: float, blinks: int) -> bool:
        assert self._began is not None
        if blinks != self._blinks:
            self._blinks, self._blinked = blinks, now
        rested = now - self._began
        self._held = rested > _LONGEST_REST_S or (rested > REST_S and now - self._blinked > _NO_BLINK_S)
        if self._held or now < self._draw_at:
            return False
        self._draw_at = now + FRAME_INTERVAL_S
        return True

    def gone(self, now: float) -> float:
        """How far the still is dimmed, 0 to 1."""
        if self._began is not None:
            return min(1.0, max(0.0, (now - self._began) / FADE_S))
        return max(0.0, self._from - (now - self._ended) / FADE_S) if self._from > 0 else 0.0
