"""What can be chosen about playing: the delay, how it is found, and the ways to and from idle."""

from __future__ import annotations

from dataclasses import dataclass

from avatarkit_rtc.playout.idle import IdleSpec
from avatarkit_rtc.playout.jitter_buffer import OnBacklog
from avatarkit_rtc.playout.strategy import PRESETS, StrategyName, make_strategy


@dataclass(frozen=True, slots=True)
class PlayoutOptions:
    """How to play. The frame counts are those of the reference client."""

    enable_jitter_buffer: bool = True
    """False: draw each frame on arrival."""
    max_buffer_delay_ms: float | str = 80.0
    """Cap of the target delay: milliseconds, or ``low`` (40), ``default`` (80), ``balanced`` (200) or
    ``smooth`` (400)."""
    strategy: StrategyName = "adaptive"
    """How the delay is chosen; see :data:`avatarkit_rtc.playout.strategy.STRATEGIES`."""
    on_backlog: OnBacklog = "catch_up"
    """After an outage: play what has piled up faster, or ``skip`` to what the cap allows."""
    start_transition_frames: int = 8
    """Longest way from idle to the first pose, in frames of 40 ms; cut short when the first frame is due."""
    end_transition_frames: int = 40
    """Way from the last pose to idle."""
    disconnect_transition_frames: int = 12
    """Way to idle when the stream breaks off; after an interruption 5 at most."""
    idle: IdleSpec = None
    """The face while nobody speaks."""

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: a figure is out of range.
        """
        if not 0 <= self.max_delay_s <= 10:
            raise ValueError("max_buffer_delay_ms must lie between 0 and 10000")
        make_strategy(self.strategy, max_delay_s=self.max_delay_s, on_backlog=self.on_backlog)
        for name in ("start_transition_frames", "end_transition_frames", "disconnect_transition_frames"):
            if not 0 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name} must lie between 0 and 1000")

    @property
    def max_delay_s(self) -> float:
        """The cap in seconds.

        Raises:
            ValueError: there is no such preset.
        """
        cap = self.max_buffer_delay_ms
        if isinstance(cap, str):
            if cap not in PRESETS:
                raise ValueError(f"there is no preset {cap!r}; the presets are {', '.join(PRESETS)}")
            cap = PRESETS[cap]
        return cap / 1000
