"""The live figures that a window shows on a key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from avatarkit_rtc.player import AvatarPlayer
    from avatarkit_rtc.player_stats import PlayerStats
    from renderers._pace import Pace
    from renderers._screen import Screen
    from renderers.face import Image

REFRESH_S: Final = 0.25
"""Between two looks at the player's figures, in seconds."""


def figure_lines(
    stats: PlayerStats | None, *, pictures_per_s: float, drawing_ms: float, slow: bool = False
) -> list[str]:
    """The figures, a line each; plain ASCII, as OpenCV's letters are.

    Args:
        stats: those of the player; None where the window has none.
        pictures_per_s: pictures that came to the screen.
        drawing_ms: median time to draw one.
        slow: the window leaves out poses because drawing takes too long.
    """
    drawn = f"{pictures_per_s:.0f} fps   drawing {drawing_ms:.1f} ms{'  (half rate)' if slow else ''}"
    if stats is None:
        return [drawn]
    playout, counters = stats.playout, stats.playout.counters
    delay, offset = playout.current_delay_ms, stats.av_offset_ms
    lost = counters.recovered + counters.interpolated
    share = 100 * lost / counters.shown if counters.shown else 0.0
    return [
        f"{stats.connection.state.value}   {playout.state}",
        drawn,
        f"delay {_ms(delay)} (target {playout.target_delay_ms:.0f})   jitter {playout.jitter_ms:.1f} ms",
        f"freezes {counters.freezes} ({counters.frozen_s:.1f} s)   loss {share:.1f} %",
        f"lip sync {'-' if offset is None else f'{offset:+.0f} ms'}",
    ]


class LiveFigures:
    """Asks the player four times a second at most, and makes a panel of what it said."""

    def __init__(self) -> None:
        self.on = False
        """Whether they are shown; may be set on any thread."""
        self.player: AvatarPlayer | None = None
        self._stats: PlayerStats | None = None
        self._ask_at = self._made_at = 0.0
        self._pictures = 0
        self._panel: Image | None = None

    def ask(self, *, at_once: bool = False) -> None:
        """Ask the player, if it is time to. On its event loop."""
        now = time.monotonic()
        if self.player is not None and (at_once or (self.on and now >= self._ask_at)):
            self._ask_at = now + REFRESH_S
            self._stats = self.player.stats()

    def panel(self, now: float, screen: Screen, pace: Pace) -> Image | None:
        """What to lay over the picture now; a new array when it has changed. On the thread of the windows."""
        if not self.on:
            self._panel = None
        elif self._panel is None or now >= self._made_at + REFRESH_S:
            rate = (screen.pictures - self._pictures) / max(1e-3, now - self._made_at)
            self._made_at, self._pictures = now, screen.pictures
            drawing_ms = 1000 * pace.drawing_s
            self._panel = screen.panel(
                figure_lines(self._stats, pictures_per_s=rate, drawing_ms=drawing_ms, slow=pace.slow)
            )
        return self._panel


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
