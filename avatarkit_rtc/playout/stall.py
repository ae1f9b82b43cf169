"""Notices that an open round has gone silent."""

from __future__ import annotations

import math

from avatarkit_rtc.motion.clock import forward


class StallDetector:
    """Fires once when nothing has come for ``timeout_s`` while something should.

    Something should come while connected and a round is open; also after :meth:`expect`, until anything
    comes; and, with ``watch_idle``, whenever connected. Pure: ``now`` in monotonic seconds.
    """

    def __init__(self, timeout_s: float = 3.0, *, watch_idle: bool = False) -> None:
        """
        Raises:
            ValueError: ``timeout_s`` is not positive.
        """
        if not timeout_s > 0:
            raise ValueError("the stall timeout must be more than 0 seconds")
        self.timeout_s = timeout_s
        """Seconds of silence that make a stall; ``math.inf`` for never."""
        self._watch_idle = watch_idle
        self._connected = False
        self._round_open = False
        self._expecting = False
        self._fired = False
        self._since = -math.inf

    def connected(self, now: float) -> None:
        """Connected, or connected again: the timer starts anew."""
        self._connected = True
        self._restart(now)

    def disconnected(self) -> None:
        """Not connected any more, or reconnecting: silence is no stall now."""
        self._connected = self._expecting = False

    def expect(self, now: float) -> None:
        """Something must come even though no round is open: a rejoin was meant to bring the avatar back."""
        self._expecting = True
        self._restart(now)

    def activity(self, now: float) -> None:
        """A well-formed packet came."""
        self._expecting = False
        self._restart(now)

    def round_open(self, is_open: bool) -> None:
        """Whether a round is open now."""
        self._round_open = is_open

    def silence_s(self, now: float) -> float:
        """Seconds since anything came (or the timer was started anew)."""
        return now - self._since

    def deadline(self) -> float | None:
        """When to call :meth:`check`; None while there is nothing to watch."""
        if self._fired or not self._watching:
            return None
        deadline = self._since + self.timeout_s
        return deadline if deadline < math.inf else None

    def check(self, now: float) -> bool:
        """True, once per stall, when the silence has lasted."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return False
        self._fired = True
        return True

    @property
    def _watching(self) -> bool:
        return self._connected and (self._round_open or self._expecting or self._watch_idle)

    def _restart(self, now: float) -> None:
        self._since = forward(self._since, now)
        self._fired = False
