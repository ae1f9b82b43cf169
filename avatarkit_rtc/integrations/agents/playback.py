"""What became of one utterance."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Final

IDLE_S: Final = 5.0
"""A worker may end an utterance by itself where nothing has come for so long (LiveKit Agents': 10 s)."""
SLACK_S: Final = 0.5
"""A worker may report the end so much too early: it has queues, and rounds."""


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """The end of an utterance."""

    position_s: float | None
    """So much of it was played, in seconds; None where the worker did not say."""
    interrupted: bool
    """It was cut off."""
    reported: bool = True
    """The worker said so. False: it was dropped before it began, or the worker is gone or did not answer."""


class Playback:
    """One utterance, from its first sample being sent to its end at the worker."""

    def __init__(self) -> None:
        self.sent_s = 0.0
        """Seconds of it that were sent."""
        self.all_sent = False
        """No more of it is to come."""
        self._first_at = self._last_at = math.inf
        self._cut = asyncio.Event()
        self._started = asyncio.Event()
        self._over = asyncio.Event()
        self._finished: PlaybackFinished | None = None

    @property
    def cut(self) -> bool:
        """It was interrupted, so no more of it is sent."""
        return self._cut.is_set()

    @property
    def started(self) -> bool:
        """The worker has begun to play it. Workers that do not report this say so with its end."""
        return self._started.is_set()

    @property
    def over(self) -> bool:
        """It has ended."""
        return self._finished is not None

    @property
    def finished(self) -> PlaybackFinished | None:
        """How it ended; None before."""
        return self._finished

    async def wait_started(self) -> None:
        """Wait until the worker has begun to play it, or it is over."""
        await self._started.wait()

    async def wait(self) -> PlaybackFinished:
        """Wait until it is over."""
        await self._over.wait()
        assert self._finished is not None
        return self._finished

    async def wait_cut(self) -> None:
        """Wait until it is interrupted."""
        await self._cut.wait()

    def interrupt(self) -> None:
        """Send no more of it."""
        self._cut.set()

    def wrote(self, seconds: float, now: float) -> None:
        """So much more of it was sent."""
        if not self.sent_s:
            self._first_at = now
        self._last_at = now
        self.sent_s += seconds

    def can_end(self, position_s: float, now: float) -> bool:
        """Whether it can have been played to its end, of which ``position_s`` is reported.

        If not, the report is of another one: a worker that got no answer reports again, up to some 20 s
        later, and may meet what was begun meanwhile.
        """
        if not self.all_sent:
            return now - self._last_at > IDLE_S
        least = self.sent_s - SLACK_S
        return position_s >= least or now - self._first_at >= least

    def begin(self) -> None:
        """The worker has begun."""
        self._started.set()

    def finish(self, finished: PlaybackFinished) -> None:
        """It is over; what is said of it later does not count."""
        if self._finished is None:
            self._finished = finished
            self._started.set()
            self._over.set()


def parse_finished(payload: str) -> PlaybackFinished | None:
    """What a worker reports, ``{"playback_position": seconds, "interrupted": bool}``; None where it is
    something else."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    position, interrupted = said.get("playback_position"), said.get("interrupted")
    if (
        isinstance(position, bool)
        or not isinstance(position, int | float)
        or not isinstance(interrupted, bool)
    ):
        return None
    if not 0 <= position < math.inf:
        return None
    return PlaybackFinished(float(position), interrupted)
