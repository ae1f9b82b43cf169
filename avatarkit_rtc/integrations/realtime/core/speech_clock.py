"""When speech is heard that comes faster than it is played, and how loud it is then. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.integrations.realtime.events import AudioDelta
from avatarkit_rtc.integrations.realtime.output import (
    Heard,
    OutputEnded,
    OutputEvent,
    OutputLevel,
    OutputStarted,
)

WINDOW_S: Final = 0.02
"""Sound that one level is of."""
GAP_S: Final = 1.0
"""Speech that does not go on for so long has ended, also where nobody says so."""
MAX_QUEUED_S: Final = 600.0
"""Longest speech that is kept; what comes beyond it is not counted in."""
_FULL_SCALE: Final = 32768.0


class _Window(NamedTuple):
    rms: float
    seconds: float
    item_id: str | None


class SpeechClock:
    """Plays by the clock: what comes is heard at once, or behind what came before. ``now`` is monotonic
    seconds."""

    def __init__(self) -> None:
        self._windows: deque[_Window] = deque()
        self._queued_s = 0.0
        self._rest = b""
        self._rest_of: tuple[int, str | None] = (0, None)  # rate and item of the rest
        self._next_at: float | None = None  # when the next window begins; None while nothing plays
        self._started = False
        self._done = False
        self._heard_item: str | None = None
        self._heard_s = 0.0
        self.dropped_s = 0.0
        """Seconds of speech that were more than :data:`MAX_QUEUED_S`."""

    @property
    def deadline(self) -> float | None:
        """When :meth:`due` is to be called; None: not at all."""
        if self._next_at is None or self._windows or self._done:
            return self._next_at
        return self._next_at + GAP_S

    def play(self, audio: AudioDelta, now: float) -> None:
        """Further speech."""
        of = (audio.sample_rate, audio.item_id)
        if of != self._rest_of:
            self._push_rest()
        self._rest_of = of
        size = max(1, round(audio.sample_rate * WINDOW_S))
        pcm = self._rest + audio.pcm
        whole = len(pcm) - len(pcm) % (2 * size)
        self._rest = pcm[whole:]
        self._done = False
        if self._next_at is None or (not self._windows and self._next_at < now):
            self._next_at = now
        self._push(np.frombuffer(pcm[:whole], "<i2").reshape(-1, size))

    def end(self) -> None:
        """All of a response has come."""
        self._push_rest()
        self._done = True

    def flush(self) -> Heard | None:
        """Forget what is queued; what was being heard, if anything was."""
        heard = None
        if self._started or self._windows:
            item = self._heard_item if self._started else self._windows[0].item_id
            heard = Heard(item, round(self._heard_s * 1000))
        self._reset()
        return heard

    def due(self, now: float) -> list[OutputEvent]:
        """What is heard up to ``now``. Of several levels only the last: the others are late already."""
        if self._next_at is None:
            return []
        level: float | None = None
        events: list[OutputEvent] = []
        while self._windows and self._next_at <= now:
            window = self._windows.popleft()
            self._queued_s -= window.seconds
            self._next_at += window.seconds
            level = window.rms
            if window.item_id != self._heard_item:
                self._heard_item, self._heard_s = window.item_id, 0.0
            self._heard_s += window.seconds
        if level is not None:
            if not self._started:
                self._started = True
                events.append(OutputStarted())
            events.append(OutputLevel(level))
        over = self._next_at if self._done else self._next_at + GAP_S
        if not self._windows and now >= over:
            if self._started:
                events.append(OutputEnded())
            self._reset()
        return events

    def _push_rest(self) -> None:
        rest = np.frombuffer(self._rest[: len(self._rest) & ~1], "<i2")
        self._rest = b""
        if rest.size:
            self._push(rest.reshape(1, -1))

    def _push(self, windows: npt.NDArray[np.int16]) -> None:
        """``windows`` has shape (windows, samples)."""
        rate, item_id = self._rest_of
        seconds = windows.shape[1] / rate
        room = max(0, int((MAX_QUEUED_S - self._queued_s) / seconds + 1e-6))
        self.dropped_s += max(0, len(windows) - room) * seconds
        loud = np.sqrt(np.mean(np.square(windows[:room].astype(np.float64)), axis=1)) / _FULL_SCALE
        self._windows.extend(_Window(rms, seconds, item_id) for rms in loud.tolist())
        self._queued_s += len(loud) * seconds

    def _reset(self) -> None:
        self._windows.clear()
        self._queued_s = 0.0
        self._rest = b""
        self._next_at = None
        self._started = self._done = False
        self._heard_item, self._heard_s = None, 0.0
