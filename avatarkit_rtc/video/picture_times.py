"""When a picture is to be shown, and where it lies on the time that it shares with the sound. Pure.

LiveKit's server does not tell the receiving end that an avatar's picture and sound belong together (a room's
``sync_streams`` is off by default), so WebRTC holds each of the two back for as long as its own network
jitter asks for: the picture comes out some 20-100 ms before its sound. What is known of each is the delay
from its sending to its handing out, and of the sound also the one to its being heard; the difference is how
long the picture waits. Both figures are estimates that are corrected as they are learnt, so the difference is
followed slowly.
"""

from __future__ import annotations

from typing import Final

SLEW: Final = 0.1
"""The waiting changes by at most so many seconds a second: the picture runs 10 % slower or faster."""

JUMP_S: Final = 0.4
"""A difference larger than this (the sound moved to another device) is made up for at once."""

START_S: Final = 1.0
"""So long after the first picture the waiting may change by :data:`START_SLEW`: the sound's own delay is
learnt meanwhile."""

START_SLEW: Final = 0.5


class _Followed:
    """A figure that changes slowly."""

    __slots__ = ("_began", "_last", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._began = self._last = 0.0

    def follow(self, target: float, now: float) -> float:
        """``target`` is the figure as it is known at ``now``; returns it as it is to be used."""
        if self.value is None or abs(target - self.value) > JUMP_S:
            self.value, self._began, self._last = target, now, now
            return target
        passed, self._last = max(0.0, now - self._last), max(now, self._last)
        most = passed * (START_SLEW if now - self._began < START_S else SLEW)
        self.value += min(max(target - self.value, -most), most)
        return self.value


class PictureTimes:
    """The times of one track's pictures."""

    def __init__(self) -> None:
        self._wait = _Followed()
        self._lead = _Followed()
        self._last_due = float("-inf")
        self._last_time = float("-inf")

    @property
    def wait_s(self) -> float | None:
        """How long pictures wait now, in seconds; less than 0 where they come after their sound, which nobody
        can help. None before the first."""
        return self._wait.value

    def due(self, t: float, path_delay_s: float, heard_delay_s: float | None) -> float:
        """When to show a picture, in monotonic seconds; never before the one before.

        Args:
            t: when it was handed out.
            path_delay_s: how long it took from its sending until then.
            heard_delay_s: how long its sound takes from its sending to being heard; None where none is.
        """
        wait = 0.0 if heard_delay_s is None else heard_delay_s - path_delay_s
        due = t + max(0.0, self._wait.follow(wait, t))
        self._last_due = max(self._last_due, due)
        return self._last_due

    def presentation_time(
        self, t: float, path_delay_s: float, sound_delay_s: float, offset_s: float
    ) -> float:
        """Where a picture lies on the sound's time, in seconds; more than the one before.

        Args:
            t: when it was handed out.
            path_delay_s: how long it took from its sending until then.
            sound_delay_s: how long sound takes from its sending to its handing out.
            offset_s: monotonic time minus the sound's, at its handing out.
        """
        lead = self._lead.follow(sound_delay_s - path_delay_s - offset_s, t)
        self._last_time = max(self._last_time + 1e-4, t + lead)
        return self._last_time
