"""Closing PortAudio streams on threads that a sound system which hangs may keep.

A sound server that stops answering keeps whoever aborts or closes a stream for half a minute and more. So
that is done on threads of its own, few in number, and without the lock that opening and listing need; whoever
waits for it waits for a moment only. A stream that is abandoned in this way stays alive until it is closed:
PortAudio's thread may call back in the meantime, and PortAudio is not restarted before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from avatarkit_rtc.audio.portaudio import PORTAUDIO_LOCK

_log = logging.getLogger("avatarkit_rtc.audio")

ABANDON_S: Final = 2.0
"""A stream that is not closed by then is left to its thread."""
_THREADS: Final = 8
"""Further streams wait for one of these. They are silent meanwhile, as all that are to be closed."""
_UNLISTED_S: Final = 0.25
"""PortAudio takes a stream out of its list first of all when it closes it, and has done so by then. The list
is what must not change under another call."""


class Release:
    """One stream that is being closed."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.then: list[Callable[[], None]] = []
        self._begun = time.monotonic()
        self._finished = threading.Event()

    @property
    def finished(self) -> bool:
        """The stream is closed."""
        return self._finished.is_set()

    def over(self, now: float) -> bool:
        """It is closed, or has taken so long that it is left alone, at ``now`` (monotonic seconds)."""
        return self.finished or now - self._begun >= ABANDON_S

    def wait(self, longest_s: float = ABANDON_S) -> bool:
        """Wait until it is closed, and no longer than ``longest_s`` and :data:`ABANDON_S` from its begin.

        Returns:
            Whether it is closed.
        """
        left = self._begun + ABANDON_S - time.monotonic()
        return self._finished.wait(max(0.0, min(longest_s, left)))

    def _run(self) -> None:
        try:
            # This touches nothing but the stream, so it needs no lock. It waits for the thread that calls
            # back, which may be in a call to the sound server.
            self.stream.abort(ignore_errors=True)
            with PORTAUDIO_LOCK:
                closing = threading.Thread(target=self._close, name="sound closes", daemon=True)
                if threaded := _can_start(closing):
                    closing.join(_UNLISTED_S)
                else:
                    self._close()
            if threaded:
                closing.join()
        except Exception:
            _log.exception("closing a sound device failed")
        self._finished.set()

    def _close(self) -> None:
        try:
            self.stream.close(ignore_errors=True)
        except Exception:
            _log.exception("closing a sound device failed")


def _can_start(thread: threading.Thread) -> bool:
    """Start it; there may be no threads left, and Python 3.12.0 and 3.12.1 have none when they end."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


class _Releases:
    """The streams of this process that are being closed, and the threads that do it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Release] = deque()
        self._open: set[Release] = set()
        self._threads = 0

    def add(self, stream: Any, then: Callable[[], None]) -> Release:
        with self._lock:
            release = next((each for each in self._open if each.stream is stream), None)
            if release is not None:  # a second call would be into what PortAudio has freed
                release.then.append(then)
                return release
            release = Release(stream)
            release.then.append(then)
            self._waiting.append(release)
            self._open.add(release)
            if self._threads == _THREADS:
                return release
            self._threads += 1
        if not _can_start(threading.Thread(target=self._work, name="sound release", daemon=True)):
            self._work()
        return release

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                release = self._waiting.popleft()
            release._run()
            with self._lock:
                self._open.discard(release)
            for then in release.then:
                then()

    def unfinished(self) -> list[Release]:
        with self._lock:
            return [release for release in self._open if not release.finished]


_RELEASES: Final = _Releases()


def release_stream(stream: Any, then: Callable[[], None] = lambda: None) -> Release:
    """Stop ``stream`` at once and give its device back. Does not block, but where no thread can be started.
    One that is being closed already is not closed a second time.

    Args:
        then: called on another thread when it is closed, which may be never.
    """
    return _RELEASES.add(stream, then)


def close_stream(stream: Any) -> None:
    """:func:`release_stream`, and wait for it for up to :data:`ABANDON_S`. Never raises."""
    release_stream(stream).wait()


def unfinished() -> list[Release]:
    """What is being closed."""
    return _RELEASES.unfinished()
