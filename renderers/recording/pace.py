"""A picture rate kept on average, whatever the rhythm of what comes. Pure."""

from __future__ import annotations

import math


class Pace:
    """Chooses which moments have a picture: about one each ``interval``, and none that comes in time is left
    out."""

    def __init__(self) -> None:
        self._due = -math.inf

    def wants(self, t: float, interval: float) -> bool:
        """Whether there is to be a picture at ``t``, in seconds; moments come in order."""
        if t < self._due - 0.25 * interval:
            return False
        late = t - self._due > interval
        self._due = (t if late else self._due) + interval
        return True

    def took(self, t: float, interval: float) -> None:
        """There is a picture at ``t`` for other reasons."""
        self._due = t + interval
