"""Playout strategies by name: how a session's buffers are made, and what outlives a round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

from avatarkit_rtc.playout.adaptive_delay import AdaptiveDelay
from avatarkit_rtc.playout.buffer import FrameBuffer
from avatarkit_rtc.playout.delay import DelayEstimator, FixedDelay, QuantileDelay, SyncDelay
from avatarkit_rtc.playout.direct_buffer import DirectBuffer
from avatarkit_rtc.playout.fixed_buffer import FixedBuffer
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer, OnBacklog
from avatarkit_rtc.playout.reference_buffer import ReferenceBuffer

StrategyName: TypeAlias = Literal["adaptive", "quantile", "fixed", "reference", "direct"]

STRATEGIES: Final[tuple[str, ...]] = get_args(StrategyName)
"""``adaptive``: the target delay that costs least, as shadow players find it. ``quantile``: the 95 % quantile
of the worst jitter in each half second. ``fixed``: a given delay, neither warped nor interpolated.
``reference``: the reference client's rules. ``direct``: no buffer."""

PRESETS: Final[dict[str, float]] = {"low": 40.0, "default": 80.0, "balanced": 200.0, "smooth": 400.0}
"""Names for ``max_buffer_delay_ms``."""


class Strategy:
    """One session's way to play: makes a buffer per round, which share what was learnt."""

    def __init__(
        self,
        name: StrategyName,
        estimator: DelayEstimator,
        make: Callable[[DelayEstimator], FrameBuffer],
        max_delay_s: float,
        sync: SyncDelay | None = None,
    ) -> None:
        """Use :func:`make_strategy`."""
        self.name = name
        """One of :data:`STRATEGIES`."""
        self.estimator = estimator
        """What was learnt about the network."""
        self.sync = sync or SyncDelay()
        """Set its delay to hold the face back for its voice; strategies that cannot warp time ignore it."""
        self._make = make
        self._max_delay = max_delay_s

    @property
    def target_delay_s(self) -> float:
        """Delay behind the fastest packet that is aimed at, in seconds."""
        return max(self.jitter_delay_s, self.sync.delay_s or 0.0)

    @property
    def jitter_delay_s(self) -> float:
        """The part of it that is there for the sake of jitter, capped."""
        return min(self.estimator.target_s, self._max_delay)

    @property
    def jitter_s(self) -> float:
        """Smoothed jitter of arrivals, in seconds."""
        return self.estimator.jitter_s

    @property
    def cuts_start_transition(self) -> bool:
        """Whether the start transition ends when the first frame is due; the reference client shows it."""
        return self.name != "reference"

    def new_buffer(self) -> FrameBuffer:
        """The buffer of one round."""
        return self._make(self.estimator)

    def clock_packet(self, now: float) -> None:
        """An idle or transition packet came: one of those that come each 40 ms between the rounds' frames."""
        self.estimator.observe_clock(now)


def make_strategy(
    name: StrategyName = "adaptive", *, max_delay_s: float = 0.080, on_backlog: OnBacklog = "catch_up"
) -> Strategy:
    """A strategy by name.

    Args:
        name: see :data:`STRATEGIES`.
        max_delay_s: cap of the target delay; for ``fixed`` the delay itself.
        on_backlog: see :class:`~avatarkit_rtc.playout.jitter_buffer.JitterBuffer`.

    Raises:
        ValueError: there is no such strategy, or ``on_backlog`` is none of its values.
    """
    if on_backlog not in get_args(OnBacklog):
        raise ValueError(f"on_backlog must be one of {', '.join(get_args(OnBacklog))}")

    sync = SyncDelay()

    def jitter_buffer(estimator: DelayEstimator) -> FrameBuffer:
        return JitterBuffer(estimator, max_delay_s=max_delay_s, on_backlog=on_backlog, sync=sync)

    if name == "adaptive":
        return Strategy(name, AdaptiveDelay(), jitter_buffer, max_delay_s, sync)
    if name == "quantile":
        return Strategy(name, QuantileDelay(), jitter_buffer, max_delay_s, sync)
    if name == "fixed":
        return Strategy(
            name, FixedDelay(max_delay_s), lambda e: FixedBuffer(e, delay_s=max_delay_s), max_delay_s
        )
    if name == "reference":
        return Strategy(
            name, FixedDelay(max_delay_s), lambda e: ReferenceBuffer(e, max_delay_s=max_delay_s), max_delay_s
        )
    if name == "direct":
        return Strategy(name, FixedDelay(0.0), lambda _: DirectBuffer(), 0.0)
    raise ValueError(f"there is no strategy {name!r}; the strategies are {', '.join(STRATEGIES)}")
