"""What was said through an avatar worker and is not over, and which of it a report is of. Pure but for
:meth:`Pending.wait`: time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from avatarkit_rtc.integrations.agents.playback import Playback, PlaybackFinished

OWED_S: Final = 10.0
"""A report of an interruption that comes later than this is taken for that of a newer utterance."""


class Pending:
    """Utterances in their order. Times are seconds of the event loop's clock."""

    def __init__(self) -> None:
        self._playbacks: deque[Playback] = deque()
        self._owed = 0
        self._owed_until = 0.0
        self.unexpected = 0
        """Reports that belong to nothing that was said, or cannot be understood."""

    def __bool__(self) -> bool:
        return bool(self._playbacks)

    def __iter__(self) -> Iterator[Playback]:
        return iter(self._playbacks)

    async def wait(self) -> None:
        """Wait until all of it is over."""
        while self._playbacks:
            await self._playbacks[-1].wait()

    def add(self, playback: Playback) -> None:
        """It begins to be sent."""
        self._playbacks.append(playback)

    def never_sent(self, playback: Playback) -> None:
        """Nothing of it went out: no report will come."""
        if playback in self._playbacks:
            self._playbacks.remove(playback)

    def cut_off(self) -> list[Playback]:
        """Send no more of what there is; returns that."""
        for playback in self._playbacks:
            playback.interrupt()
        return list(self._playbacks)

    # -- ends ------------------------------------------------------------------------------------------------

    def started(self) -> None:
        """The worker reports that it has begun."""
        playback = next((each for each in self._playbacks if not each.started), None)
        if playback is None:
            self.unexpected += 1
        else:
            playback.begin()

    def finished(self, finished: PlaybackFinished, now: float, *, interrupting: bool) -> None:
        """The worker reports an end. ``interrupting``: it is being told to stop just now."""
        if finished.interrupted and self._owed:
            self._owed -= 1
            if now < self._owed_until and not interrupting:
                return  # late, of what was given up
        if not self._playbacks or not (
            finished.interrupted or self._playbacks[0].can_end(finished.position_s or 0.0, now)
        ):
            self.unexpected += 1
            return
        self._playbacks[0].finish(finished)
        if finished.interrupted and interrupting:
            # A worker reports once, for what it was saying; what was to follow was dropped with it.
            for playback in self._playbacks:
                if playback.cut:
                    playback.finish(PlaybackFinished(0.0, True, reported=False))
        self._forget_over()

    def not_reported(self, playback: Playback) -> None:
        """Its end, which must have been reported by now, is taken for granted."""
        playback.finish(PlaybackFinished(None, False, reported=False))
        self._forget_over()

    def not_stopped(self, cut: list[Playback], now: float) -> None:
        """No report has come of what of ``cut`` is not over; it may come yet."""
        for playback in cut:
            if not playback.over:
                self._owed += 1
                self._owed_until = now + OWED_S
                playback.finish(PlaybackFinished(None, True, reported=False))
        self._forget_over()

    def give_up(self) -> None:
        """The worker is gone: nothing will be reported."""
        for playback in self.cut_off():
            playback.finish(PlaybackFinished(None, True, reported=False))
        self._forget_over()

    def _forget_over(self) -> None:
        while self._playbacks and self._playbacks[0].over:
            self._playbacks.popleft()
