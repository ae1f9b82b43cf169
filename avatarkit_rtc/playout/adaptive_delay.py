"""The adaptive target delay: shadow players try every delay at once, and the cheapest one is taken."""

from __future__ import annotations

import math
from typing import Final

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.playout.delay import INITIAL_TARGET_S, FixedDelay
from avatarkit_rtc.playout.media_clock import GAIN, MAX_RATE
from avatarkit_rtc.playout.periodic_stalls import STALL_S, PeriodicStalls

CANDIDATES_S: Final[tuple[float, ...]] = tuple(
    ms / 1000 for ms in (4, 8, 12, 16, 20, 24, 32, 40, 50, 60, 80, 110, 150, 200, 260, 320, 400)
)
"""Target delays that are tried."""

MEMORY_S: Final = 30.0
"""What a shadow player paid counts by 1/e after so long."""

SWITCH_GAIN: Final = 0.05
"""Another candidate must be that much cheaper before it is taken."""

LATENCY_PRICE: Final = 0.09
"""Price of a second of delay, per second, against a second of freeze at 1."""

PRIOR_PRICE: Final = 0.5
"""Price per second by which a candidate falls short of the initial target, paid at the start."""

WARP_PRICE: Final = 0.02
"""Price of a second gained or lost by playing faster or slower."""

UNSEEN_S: Final = 0.020
"""A gap longer by no more than this is not seen as a freeze."""

CHOOSE_EVERY: Final = 5
"""Frames between two choices, where nothing was late."""

MAX_CLOCK_GAP_S: Final = 2.0
"""A longer pause between packets is the service's, not the network's."""

MAX_JITTER_S: Final = 1.0
"""Later than this counts as no later: the clock jumps then, and stragglers of another numbering look hours
late."""

CLOCK_PACE_S: Final = 0.080
"""Packets without a number tell of stalls while they come at least so often."""

RESCALE_AT: Final = 1e6
SETTLED_S: Final = 0.0005
"""A shadow player that is so close to its own delay has reached it."""

# A shadow player comes down by this share of what is too much, per frame, but not faster than the other.
_COMING_DOWN: Final = FRAME_INTERVAL_S * GAIN
_FASTEST: Final = FRAME_INTERVAL_S * (MAX_RATE - 1.0)
_FAR_S: Final = _FASTEST / _COMING_DOWN
_GROWTH: Final = math.exp(FRAME_INTERVAL_S / MEMORY_S)


class AdaptiveDelay(FixedDelay):
    """Target delay by shadow players. One per session; it outlives the rounds.

    Each candidate has a player that is not shown: its delay is pushed up by every frame that comes later
    than that, and comes down again as the real one's does. It pays for freezes, for warping and for its
    delay; what it paid long ago is forgotten. Stalls that come at a steady period are foreseen and taken out
    of the account, and the target is raised for each when it is due.
    """

    def __init__(self) -> None:
        super().__init__(INITIAL_TARGET_S)
        self._stalls = PeriodicStalls()
        self._candidates = CANDIDATES_S
        self._delays = list(CANDIDATES_S)
        # Paid beyond the candidate's own delay. Nothing is known yet, so shorter ones than the initial target
        # begin with a debt, as if they had met a stall.
        self._extra = [PRIOR_PRICE * max(0.0, INITIAL_TARGET_S - own) for own in CANDIDATES_S]
        self._weight = 1.0  # of a payment now; it grows instead of all the old ones shrinking
        self._weights = 0.0  # sum of the weights so far: every candidate pays its own delay for each
        self._chosen = CANDIDATES_S.index(INITIAL_TARGET_S)
        self._until_choice = 0
        self._last_clock = -math.inf
        self._last_pause = math.inf

    @property
    def stall_period_s(self) -> float | None:
        """Period of the stalls that are foreseen, in seconds; None for none."""
        return self._stalls.period_s

    def observe(self, jitter_s: float, now: float) -> None:
        """See :class:`~avatarkit_rtc.playout.delay.DelayEstimator`."""
        jitter_s = min(jitter_s, MAX_JITTER_S)
        super().observe(jitter_s, now)
        self._last_clock, self._last_pause = now, 0.0
        stalls = self._stalls
        stalls.observe(jitter_s, now)
        unforeseen = max(0.0, jitter_s - stalls.foreseen_s(jitter_s, now)) if jitter_s > STALL_S else jitter_s
        self._let_shadows_play(unforeseen)
        self._until_choice -= 1
        if self._until_choice <= 0 or jitter_s > self._target:
            self._choose()
        self._target = max(self._candidates[self._chosen], stalls.wanted_delay_s(now))

    def observe_clock(self, now: float) -> None:
        """A packet without a number came, of those that come each 40 ms between the frames of two rounds.

        Its own lateness is unknown, but a long pause before it is a stall, where there was none before the
        last one: else the service sends them less often.
        """
        pause, before = now - self._last_clock, self._last_pause
        self._last_clock, self._last_pause = now, pause
        if before <= CLOCK_PACE_S and pause < MAX_CLOCK_GAP_S:
            late = pause - FRAME_INTERVAL_S
            self._stalls.observe(late if late > STALL_S else 0.0, now)

    def _let_shadows_play(self, jitter: float) -> None:
        weight, delays, extra = self._weight, self._delays, self._extra
        for index, own in enumerate(self._candidates):
            delay = delays[index]
            if jitter > delay:
                late = jitter - delay
                pay = late if late > UNSEEN_S else late * WARP_PRICE
                delay = jitter
            elif delay == own:
                break  # and so are all longer ones: they were pushed up by less, and came down earlier
            else:
                pay = 0.0
            error = delay - own
            step = _COMING_DOWN * error if error < _FAR_S else _FASTEST
            delays[index] = delay - step if error > SETTLED_S else own
            extra[index] += weight * (pay + WARP_PRICE * step + LATENCY_PRICE * FRAME_INTERVAL_S * error)
        self._weights += weight
        self._weight = weight * _GROWTH
        if self._weight > RESCALE_AT:
            self._rescale()

    def _rescale(self) -> None:
        self._extra = [each / self._weight for each in self._extra]
        self._weights /= self._weight
        self._weight = 1.0

    def _choose(self) -> None:
        self._until_choice = CHOOSE_EVERY
        common = LATENCY_PRICE * FRAME_INTERVAL_S * self._weights
        costs = [more + common * own for more, own in zip(self._extra, self._candidates, strict=True)]
        best = min(range(len(costs)), key=costs.__getitem__)
        if costs[best] < costs[self._chosen] * (1.0 - SWITCH_GAIN):
            self._chosen = best
