"""Whether a sound device is still there, and when to look for it again.

Devices go in many ways: the stream ends, or it stays open and asks for nothing any more. None of them raises
anywhere. Pure: a table of states, and time is an argument; :mod:`avatarkit_rtc.audio.keeper` acts on it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

SILENT_S: Final = 0.5
"""A stream that runs and has not called back for so long is lost."""
START_S: Final = 3.0
"""A stream that has been opened may take so long until it calls back: sound servers take up to 2 s."""
_STEADY_S: Final = 0.2
"""Sound servers call back at once to fill their buffer, whether their device plays or not. Callbacks as long
after the opening as this are real ones."""
_ASLEEP_S: Final = 0.3
"""Nobody looked for so long: the whole process was held up, and the device is not to blame."""
_BACKOFF_S: Final = (0.0, 0.25, 0.5)
"""Pauses before the first, the second and all further attempts to open it again."""
_LONG_AWAY: Final = ((600.0, 5.0), (60.0, 1.5))
"""Away for so long: pauses of so long. An attempt costs some hundredths of a second of processor time."""


class State(Enum):
    """Of a device."""

    STARTING = auto()
    """Open, and has not called back yet."""
    RUNNING = auto()
    AWAY = auto()
    """Gone; tried again and again."""


class Signal(Enum):
    """What is seen of it."""

    CALLED = auto()
    """It calls back."""
    SILENT = auto()
    """It has not called back for too long."""
    ENDED = auto()
    """Its stream has ended."""
    DUE = auto()
    """It is time for the next attempt."""
    OPENED = auto()
    REFUSED = auto()


class Action(Enum):
    """What to do now."""

    NONE = auto()
    RELEASE = auto()
    """Close its stream."""
    OPEN = auto()
    """Try to open it, and tell :meth:`Watchdog.opened` or :meth:`Watchdog.refused`."""
    WELCOME = auto()
    """It works (again)."""


TABLE: Final = {
    (State.STARTING, Signal.CALLED): (State.RUNNING, Action.WELCOME),
    (State.STARTING, Signal.SILENT): (State.AWAY, Action.RELEASE),
    (State.STARTING, Signal.ENDED): (State.AWAY, Action.RELEASE),
    (State.RUNNING, Signal.CALLED): (State.RUNNING, Action.NONE),
    (State.RUNNING, Signal.SILENT): (State.AWAY, Action.RELEASE),
    (State.RUNNING, Signal.ENDED): (State.AWAY, Action.RELEASE),
    (State.AWAY, Signal.DUE): (State.AWAY, Action.OPEN),
    (State.AWAY, Signal.OPENED): (State.STARTING, Action.NONE),
    (State.AWAY, Signal.REFUSED): (State.AWAY, Action.NONE),
}


class Beat(NamedTuple):
    """What a stream has done."""

    last: float
    """Monotonic seconds of its last callback; 0 before the first one."""
    ended: bool
    """The stream has ended, or its device is not active."""


class Watchdog:
    """Watches one device, from the moment it has been opened."""

    def __init__(self, now: float) -> None:
        self.state = State.STARTING
        self.away_since: float | None = None
        """Since when it has not worked; None while it does. Ends when it calls back, not when it opens."""
        self._opened = now
        self._since = now  # nothing before this moment counts as silence
        self._looked = now
        self._attempts = 0
        self._due = now

    @classmethod
    def away(cls, now: float) -> Watchdog:
        """Of a device that could not be opened at all."""
        self = cls(now)
        self.state = State.AWAY
        self.away_since = now
        self._attempts = 1
        self._back_off(now)
        return self

    def look(self, now: float, beat: Beat | None) -> Action:
        """What to do at ``now``. ``beat`` is the open stream's, None while there is none."""
        if now - self._looked > _ASLEEP_S:
            self._since = now
        self._looked = now
        signal = self._signal(now, beat)
        if signal is None:
            return Action.NONE
        action = self._step(signal)
        if action is Action.RELEASE:
            if self.away_since is None:
                self.away_since = now
                self._attempts = 0
            self._back_off(now)
        elif action is Action.WELCOME:
            self.away_since = None
        return action

    def opened(self, now: float) -> None:
        """The attempt has worked; whether the device does will be seen."""
        self._step(Signal.OPENED)
        self._opened = self._since = self._looked = now

    def refused(self, now: float) -> None:
        """The attempt has failed."""
        self._step(Signal.REFUSED)
        self._looked = now
        self._back_off(now)

    def _signal(self, now: float, beat: Beat | None) -> Signal | None:
        if beat is None:
            return Signal.DUE if now >= self._due else None
        if beat.ended:
            return Signal.ENDED
        if self.state is State.STARTING:
            if beat.last - self._opened > _STEADY_S:
                return Signal.CALLED
            return Signal.SILENT if now - self._since > START_S else None
        return Signal.SILENT if now - max(beat.last, self._since) > SILENT_S else Signal.CALLED

    def _step(self, signal: Signal) -> Action:
        self.state, action = TABLE[self.state, signal]
        return action

    def _back_off(self, now: float) -> None:
        away = 0.0 if self.away_since is None else now - self.away_since
        usual = _BACKOFF_S[min(self._attempts, len(_BACKOFF_S) - 1)]
        self._due = now + next((pause for long, pause in _LONG_AWAY if away > long), usual)
        self._attempts += 1
