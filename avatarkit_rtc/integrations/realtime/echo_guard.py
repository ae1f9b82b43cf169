"""Keeps the avatar from interrupting itself while the echo canceller does not know the room yet. Pure.

A canceller takes some seconds of sound to learn how it comes back, and some tenths of a second anew after
a gap in what the sound card played. What comes through meanwhile is speech to a model's server, which would
take it for the user's: so nothing is sent while the avatar is heard, until enough of it was. After that the
user may interrupt at any time.
"""

from __future__ import annotations

from typing import Final

LEARNING_S: Final = 3.5
"""Speech of the avatar's that the canceller learns from before it is trusted. WebRTC's is in its initial
state for the first 2.5 s; in a room that is all echo, the last of it came through after 2.2-2.9 s."""
RELEARNING_S: Final = 0.5
"""The same after a gap."""
TAIL_S: Final = 0.25
"""A room's echo, and what the microphone's side is late by."""
LOUD_RMS: Final = 0.01
"""Sound that is quieter teaches nothing."""


class EchoGuard:
    """Moments are monotonic seconds."""

    def __init__(self) -> None:
        self._to_learn_s = LEARNING_S
        self._until = float("-inf")

    @property
    def learnt(self) -> bool:
        """The canceller is trusted now."""
        return self._to_learn_s <= 0

    def begin(self) -> None:
        """The microphone was opened."""
        self._to_learn_s = LEARNING_S

    def gap(self) -> None:
        """What the card played had a gap."""
        self._to_learn_s = max(self._to_learn_s, RELEARNING_S)

    def heard(self, now: float, seconds: float, rms: float) -> None:
        """``seconds`` of the avatar's voice are heard from ``now`` on, as loud as ``rms``, 0 … 1."""
        if rms >= LOUD_RMS:
            self._until = now + seconds + TAIL_S
            self._to_learn_s -= seconds

    def closed(self, now: float) -> bool:
        """Whether silence is to be sent in the microphone's place."""
        # While the last of it is learnt the door stays shut for the echo's tail, too.
        return now < self._until and self._to_learn_s > -TAIL_S
