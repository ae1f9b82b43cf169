"""Keeps log lines that the network can cause from filling a disk."""

from __future__ import annotations


class RateLimit:
    """Lets one line of each kind through per interval. The kinds are ours, so their number is bounded."""

    def __init__(self, interval_s: float) -> None:
        self._interval = interval_s
        self._next: dict[str, float] = {}

    def allows(self, kind: str, now: float) -> bool:
        """Whether a line of ``kind`` may be written at ``now`` (monotonic seconds)."""
        if now < self._next.get(kind, now):
            return False
        self._next[kind] = now + self._interval
        return True
