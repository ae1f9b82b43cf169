"""PortAudio, of which a process has one: its lock, all streams that are open on it, and its end."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from avatarkit_rtc.errors import AudioDeviceError, MissingDependencyError

PORTAUDIO_LOCK: Final = threading.RLock()
"""Held during every call into PortAudio that opens or lists, and while it takes a stream out of its list."""

PATIENCE_S: Final = 15.0
"""Longest wait for another thread's call into PortAudio, which a sound server that hangs keeps for long."""
_EXIT_S: Final = 2.0
"""Longest that the interpreter's end waits for such a call."""

_INSTALL_PORTAUDIO: Final = {
    "linux": "install it with `sudo apt install libportaudio2` (Debian, Ubuntu), "
    "`sudo dnf install portaudio` (Fedora) or `sudo pacman -S portaudio` (Arch)",
    "darwin": "reinstall it with `pip install --force-reinstall sounddevice`, or `brew install portaudio`",
    "win32": "reinstall it with `pip install --force-reinstall sounddevice`",
}

_streams: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_streams_lock: Final = threading.Lock()
_starting: Final[set[Any]] = set()
_starts: Final = threading.Condition()  # for the set
_ending: Final = threading.Event()


@contextlib.contextmanager
def portaudio_lock() -> Iterator[None]:
    """:data:`PORTAUDIO_LOCK`, waited for no longer than :data:`PATIENCE_S`.

    Raises:
        AudioDeviceError: another thread's call has not come back.
    """
    if not PORTAUDIO_LOCK.acquire(timeout=PATIENCE_S):
        raise AudioDeviceError(
            f"the sound system has not answered for {PATIENCE_S:g} s; restart the sound server, or take away "
            "the device that hangs"
        )
    try:
        yield
    finally:
        PORTAUDIO_LOCK.release()


def load_sounddevice() -> ModuleType:
    """The ``sounddevice`` module, imported and with PortAudio started.

    Raises:
        MissingDependencyError: sounddevice or the PortAudio library is not installed.
        AudioDeviceError: PortAudio is there and cannot start, or does not answer.
    """
    with portaudio_lock():
        was_there = "sounddevice" in sys.modules
        try:
            import sounddevice
        except OSError as error:
            hint = _INSTALL_PORTAUDIO.get(sys.platform, _INSTALL_PORTAUDIO["linux"])
            raise MissingDependencyError(f"no sound: the PortAudio library is missing; {hint}") from error
        except ImportError as error:
            raise MissingDependencyError(
                "no sound: the Python package sounddevice is missing; "
                "install it with `pip install sounddevice`"
            ) from error
        except Exception as error:  # sounddevice.PortAudioError cannot be named before the import has worked
            raise AudioDeviceError(
                f"no sound: PortAudio cannot start ({error}); check the sound system"
            ) from error
        module: ModuleType = sounddevice
        _watch_streams(module, look_for_older=was_there)
        return module


def open_streams() -> list[Any]:
    """Every stream of sounddevice's that is open in this process, the caller's own included."""
    with _streams_lock:
        return [each for each in _streams if not each.closed]


@contextlib.contextmanager
def starting(stream: Any) -> Iterator[None]:
    """``stream`` is being started meanwhile, which PortAudio does not let be aborted: the interpreter's end
    waits for it.

    Raises:
        AudioDeviceError: that end has begun, and has closed the stream or is about to.
    """
    with _starts:
        if _ending.is_set():
            raise AudioDeviceError("the program is about to end; start sound devices before")
        _starting.add(stream)
    try:
        yield
    finally:
        with _starts:
            _starting.discard(stream)
            _starts.notify_all()


def _watch_streams(sd: ModuleType, *, look_for_older: bool) -> None:
    """Have every stream entered in the list from now on: PortAudio does not tell which there are."""
    base = sd._StreamBase
    made = base.__init__
    if hasattr(made, "entered_by_avatarkit_rtc"):
        return

    @functools.wraps(made)
    def entered(self: Any, *args: Any, **kwargs: Any) -> None:
        with _streams_lock:
            _streams.add(self)
        try:
            made(self, *args, **kwargs)
        except BaseException:
            # Its pointer is set before PortAudio is called, so it never says that it is closed.
            with _streams_lock:
                _streams.discard(self)
            raise

    entered.entered_by_avatarkit_rtc = True  # type: ignore[attr-defined]
    base.__init__ = entered
    atexit.register(_before_the_end, sd)
    if look_for_older:
        # Once only: some 15 ms for each 100,000 objects. By type(): isinstance() runs code of proxies.
        older = [each for each in gc.get_objects() if issubclass(type(each), base)]
        with _streams_lock:
            _streams.update(older)


def _before_the_end(sd: Any) -> None:
    """When the interpreter ends, PortAudio closes all streams: that would hang with the sound server, and
    crash in one that another thread is closing, opening or starting. So all are closed here, on threads that
    may be left alone; then the operating system takes back what there is."""
    from avatarkit_rtc.audio.release import release_stream, unfinished

    until = time.monotonic() + _EXIT_S
    with _starts:
        _ending.set()
        begun = set(_starting)
    for stream in open_streams():
        if stream not in begun:
            release_stream(stream)
    with _starts:
        _starts.wait_for(lambda: not _starting, max(0.0, until - time.monotonic()))
        hung = set(_starting)
    for stream in begun - hung:
        release_stream(stream)
    for release in unfinished():
        release.wait(max(0.0, until - time.monotonic()))
    # It is kept: nobody shall begin anything from now on.
    free = PORTAUDIO_LOCK.acquire(timeout=max(0.0, until - time.monotonic()))
    if hung or not free or unfinished():
        sd._initialized = 0
        sd._last_callback = None  # of sounddevice.play(), whose stream would be closed nevertheless
