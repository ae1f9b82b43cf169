"""An output without sound: tells when the model would be heard, and how loud, were its speech played."""

from __future__ import annotations

import asyncio

from avatarkit_rtc.integrations.realtime.core.speech_clock import SpeechClock
from avatarkit_rtc.integrations.realtime.events import AudioDelta
from avatarkit_rtc.integrations.realtime.output import Heard, OutputListener


class TimedOutput:
    """What the manager uses where it is given no output."""

    def __init__(self, latency_s: float = 0.0) -> None:
        """``latency_s``: from getting sound to its being heard, in seconds."""
        self._latency_s = latency_s
        self._clock = SpeechClock()
        self._listener: OutputListener | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set_listener(self, listener: OutputListener | None) -> None:
        """See :class:`~.output.AudioOutput`, as for all of these."""
        self._listener = listener

    def play(self, audio: AudioDelta) -> None:
        """Further speech."""
        self._clock.play(audio, asyncio.get_running_loop().time() + self._latency_s)
        self._arm()

    def end(self) -> None:
        """All of a response has come."""
        self._clock.end()
        self._arm()

    def flush(self) -> Heard | None:
        """Silence."""
        heard = self._clock.flush()
        self._arm()
        return heard

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._clock.deadline
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._due)

    def _due(self) -> None:
        self._timer = None
        # A timer may fire up to the clock's resolution early.
        now = max(asyncio.get_running_loop().time(), self._clock.deadline or 0.0)
        events = self._clock.due(now)
        self._arm()  # first: a listener may flush
        for event in events:
            if self._listener is not None:
                self._listener(event)
