"""The moment in which all streams of this process close, so that PortAudio can look for devices anew.

PortAudio is one per process and knows no device that came after it started. A new one can be opened only
after a restart, which would end every open stream. So who needs one asks; when no speaker of this package has
anything to say, or after some seconds all the same, everybody closes, PortAudio restarts, and everybody opens
again: some tenths of a second of silence.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from avatarkit_rtc.audio.streams import foreign_stream_open, refresh_devices
from avatarkit_rtc.errors import AvatarKitError

_log = logging.getLogger("avatarkit_rtc.audio")

PATIENCE_S: Final = 20.0
"""A pause of the sound is waited for this long."""
GIVE_UP_S: Final = 5.0
"""Not everybody has closed by then: everybody opens again."""
REST_S: Final = 30.0
"""From one restart to the next at least: each is a gap in whatever is played and recorded."""

Quiet = Callable[[float], bool]
"""Whether nothing is being heard at a moment, in monotonic seconds. From any thread; does not block."""


class Restart:
    """Methods may be called from any thread, and do not block but where they say so. ``now`` is in monotonic
    seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempting = threading.Lock()
        self._speakers: list[Quiet] = []
        self._asked: float | None = None
        self._begun: float | None = None
        self._next = float("-inf")

    def join(self, quiet: Quiet) -> None:
        """A speaker is there."""
        with self._lock:
            self._speakers.append(quiet)

    def leave(self, quiet: Quiet) -> None:
        """It is gone. More than once is fine."""
        with self._lock:
            if quiet in self._speakers:
                self._speakers.remove(quiet)

    def ask(self, now: float) -> bool:
        """Ask for a restart, unless there was one a short while ago. Blocks as long as PortAudio does.

        Returns:
            Whether there will be one; False also where the program has streams of its own open, which nobody
            here may close.
        """
        with self._lock:
            if self._asked is not None:
                return True
            if now < self._next:
                return False
        try:
            # Without the lock: it waits for PortAudio, and due() is asked on event loops.
            if foreign_stream_open():
                return False
        except AvatarKitError as error:
            _log.debug("PortAudio cannot be restarted: %s", error)
            return False
        with self._lock:
            if self._asked is None and now >= self._next:
                self._asked = now
            return self._asked is not None

    def due(self, now: float) -> bool:
        """Whether every stream of this package has to be closed now, and none opened."""
        with self._lock:
            if self._asked is None:
                return False
            if self._begun is None:
                if now - self._asked < PATIENCE_S and not all(quiet(now) for quiet in self._speakers):
                    return False
                self._begun = now
            if now - self._begun > GIVE_UP_S:
                _log.warning("sound devices could not be looked for anew: a stream stayed open")
                self._end(now)
                return False
            return True

    def attempt(self, now: float) -> None:
        """My streams are closed: restart PortAudio if everybody's are. Blocks as long as PortAudio does."""
        with self._attempting:
            if self._begun is None:
                return  # somebody else has done it
            try:
                if not refresh_devices():
                    return
            except AvatarKitError as error:
                _log.debug("the restart failed: %s", error)  # whoever opens a device now will say it
            with self._lock:
                self._end(now)

    def _end(self, now: float) -> None:
        self._asked = self._begun = None
        self._next = now + REST_S


RESTART: Final = Restart()
"""The process's own, as PortAudio is."""
