"""How long to hold frames back: the network's jitter, and the target delay that covers it."""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Protocol

WINDOW_S: Final = 0.5
"""The jitter of each half second counts by its worst packet (as WebRTC's NetEQ does)."""

HISTORY_WINDOWS: Final = 60
"""Half minutes of windows remembered: networks change, but a Wi-Fi scan every 11 s must not be forgotten."""

QUANTILE: Final = 0.95
"""Share of the windows whose worst packet the target covers."""

MIN_TARGET_S: Final = 0.010
"""Below this the timers of a desktop system decide, not the network."""

INITIAL_TARGET_S: Final = 0.040
"""Target before anything is known of the network."""

LEARNING_WINDOWS: Final = 4
"""Windows to have seen before the initial target gives way."""

BASE_WINDOW_S: Final = 10.0
"""The fastest packet of so many seconds is taken for the network without jitter; older ones would let the two
machines' clock drift build up."""


JITTER_SMOOTHING: Final = 1 / 16
"""Share of a new packet in the smoothed jitter (RFC 3550, section 6.4.1)."""


class SlidingMinimum:
    """Minimum over the last ``span`` seconds, in O(1) amortised (a monotonic queue)."""

    def __init__(self, span: float, *, resolution: float = 0.02) -> None:
        self._span = span
        self._resolution = resolution
        self._queue: deque[tuple[float, float]] = deque()

    def update(self, now: float, value: float) -> float:
        """Add ``value`` at ``now`` and return the minimum."""
        queue = self._queue
        while queue and queue[-1][1] >= value:
            queue.pop()
        # Two values within the resolution need no entry of their own: this bounds memory whatever arrives.
        if not queue or now - queue[-1][0] >= self._resolution:
            queue.append((now, value))
        while queue[0][0] < now - self._span:
            queue.popleft()
        return queue[0][1]

    @property
    def value(self) -> float | None:
        """The minimum now; None before the first value."""
        return self._queue[0][1] if self._queue else None


AVERAGED_FRAMES: Final = 32
"""Frames over which the average arrival is taken: 1.3 s. A sender that is held up sends the rest of a round
later, motion and sound together; that has to be followed soon."""

HELD_UP_S: Final = 0.060
"""A frame later than the average by more than this counts as so late: what the network held up once says
little of how long it takes on average."""


class AverageArrival:
    """Arrival of a round's frame 0, had it taken as long as the packets of late on average.

    Sound passes the same network as motion, and what holds it up on average is not in the figures of the
    sound's own jitter buffer. In O(1): the plain mean at first, exponential smoothing later.
    """

    __slots__ = ("_count", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        """The moment; None before the first frame."""
        self._count = 0

    def update(self, arrival: float) -> float:
        """A frame came; ``arrival`` is its moment less its number times 40 ms. Returns :attr:`value`."""
        if self.value is None:
            self.value = arrival
        if self._count < AVERAGED_FRAMES:
            self._count += 1
        self.value += min(arrival - self.value, HELD_UP_S) / self._count
        return self.value


class SyncDelay:
    """Delay that the face needs so that it moves when its voice is heard; set from the sound's side."""

    __slots__ = ("delay_s", "render_s")

    def __init__(self) -> None:
        self.delay_s: float | None = None
        """Seconds behind the average motion packet; None while no sound is played or its delay is unknown."""
        self.render_s = 0.0
        """How much later than it is played a pose is seen, in seconds: what a render clock takes."""


class DelayEstimator(Protocol):
    """Learns from the jitter of arrivals what delay covers it. One per session; it outlives the rounds."""

    @property
    def target_s(self) -> float:
        """Delay behind the fastest packet that the network calls for, in seconds."""

    @property
    def jitter_s(self) -> float:
        """Smoothed jitter, in seconds."""

    def observe(self, jitter_s: float, now: float) -> None:
        """A frame, or what stands in for a lost one, arrived ``jitter_s`` later than the fastest of late."""

    def observe_clock(self, now: float) -> None:
        """A packet without a number came, of those that come each 40 ms while no frames do."""


class FixedDelay:
    """A target delay that is given; only the jitter is learnt. The others begin with this."""

    def __init__(self, target_s: float) -> None:
        self._target = target_s
        self._jitter = 0.0

    @property
    def target_s(self) -> float:
        """See :class:`DelayEstimator`."""
        return self._target

    @property
    def jitter_s(self) -> float:
        """Mean deviation of arrivals, smoothed over 16 packets (RFC 3550, section 6.4.1)."""
        return self._jitter

    def observe(self, jitter_s: float, now: float) -> None:
        """See :class:`DelayEstimator`."""
        self._jitter += (jitter_s - self._jitter) * JITTER_SMOOTHING

    def observe_clock(self, now: float) -> None:
        """Nothing to learn from it here."""


class QuantileDelay(FixedDelay):
    """Target delay = 95 % quantile of the worst jitter in each half second of the last half minute."""

    def __init__(self) -> None:
        super().__init__(INITIAL_TARGET_S)
        self._windows: deque[float] = deque(maxlen=HISTORY_WINDOWS)
        self._worst = 0.0
        self._window_end = -math.inf

    def observe(self, jitter_s: float, now: float) -> None:
        """See :class:`DelayEstimator`."""
        # What came before a jump of the numbering looks hours late.
        jitter_s = min(jitter_s, BASE_WINDOW_S)
        super().observe(jitter_s, now)
        if 0.0 < self._window_end - now <= WINDOW_S:
            self._worst = max(self._worst, jitter_s)
        else:
            if self._window_end > -math.inf:
                self._windows.append(self._worst)
            self._worst = jitter_s
            self._window_end = now + WINDOW_S
        if len(self._windows) >= LEARNING_WINDOWS:
            ranked = sorted((*self._windows, self._worst))
            self._target = max(MIN_TARGET_S, ranked[math.ceil(QUANTILE * len(ranked)) - 1])
        else:
            # Not enough seen to go below the initial target, but enough to go above it.
            self._target = max(self._target, self._worst)
