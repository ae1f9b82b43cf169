"""A sound device that is opened again when it has gone, on a thread of its own.

It looks for the device by the name that it had, because indexes change; when that has not been there for some
seconds, the default device will do.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from avatarkit_rtc.audio.devices import Kind
from avatarkit_rtc.audio.streams import OpenedStream, close_stream, refresh_devices
from avatarkit_rtc.audio.watchdog import Action, Beat, Watchdog
from avatarkit_rtc.errors import AudioDeviceError, AvatarKitError
from avatarkit_rtc.events import AudioDeviceChange

_log = logging.getLogger("avatarkit_rtc.audio")

_LOOK_S: Final = 0.1
_DEFAULT_AFTER_S: Final = 3.0
"""A device that was asked for by name has so long to come back until the default one takes its place."""
_SAY_AFTER_S: Final = 5.0
"""Away for so long: say once why it cannot be opened."""

OnEvent = Callable[[AudioDeviceChange, str], None]
"""Gets what happened to the device and one line for people. On the keeper's thread."""


class DeviceUser(Protocol):
    """Who plays or records on the device that is kept."""

    def open_device(self, spec: int | str | None) -> OpenedStream:
        """Open and start a stream on ``spec``.

        Raises:
            AudioDeviceError: it cannot be opened.
            MissingDependencyError: the sound library is not installed.
        """

    def beat(self) -> Beat:
        """Of the stream that was opened last."""

    def device_lost(self) -> None:
        """The stream is about to be closed: use it no more."""


class DeviceKeeper:
    """Opens a device, and again whenever it has gone. Methods may be called from any thread."""

    def __init__(
        self, kind: Kind, spec: int | str | None, user: DeviceUser, on_event: OnEvent | None = None
    ) -> None:
        """``spec`` is an index, a name or a part of one, or None for the default device."""
        self._kind = kind
        self._spec = spec
        self._user = user
        self._on_event = on_event
        self._lock = threading.Lock()  # for all that opens and closes; never taken in a callback
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened: OpenedStream | None = None
        self._closed = False
        self._watchdog = Watchdog(0.0)
        self._name = ""  # with the host API: unique
        self._said = False
        self.reopened = 0

    @property
    def opened(self) -> OpenedStream | None:
        """The open stream; None before :meth:`start`, after :meth:`close` and while the device is away."""
        return self._opened

    def start(self) -> None:
        """Open the device and watch it from now on. Blocks while it opens. A second time nothing happens.

        Raises:
            AudioDeviceError: the device is missing or busy, or this was closed.
            MissingDependencyError: the sound library is not installed.
        """
        with self._lock:
            if self._closed:
                raise AudioDeviceError(f"this sound {self._kind} has been closed; make a new one")
            if self._thread is not None:
                return
            opened = self._user.open_device(self._spec)
            self._name = _full_name(opened)
            self._watchdog = Watchdog(time.monotonic())
            self._opened = opened
            # PortAudio ends when the interpreter does, and must not find this thread inside it then.
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._keep, name=f"sound {self._kind}", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look at the stream at once, because it has ended. For PortAudio's thread: does not block."""
        self._wake.set()

    def close(self) -> None:
        """Close the stream and end the thread. Never raises; more than once is fine. Blocks."""
        self._closed = True
        with self._lock:
            self._release()
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(10.0)
        atexit.unregister(self.close)

    def _keep(self) -> None:
        while not self._closed:
            self._wake.wait(_LOOK_S)
            self._wake.clear()
            with self._lock:
                if self._closed:
                    return
                try:
                    events = self._look()
                except Exception:  # whatever sound cards come up with: the next look is another chance
                    _log.exception("watching the sound %s failed", self._kind)
                    events = []
            for change, message in events:  # without the lock: a handler may call close()
                self._tell(change, message)

    def _look(self) -> list[tuple[AudioDeviceChange, str]]:
        now, opened = time.monotonic(), self._opened
        beat = None
        if opened is not None:
            beat = self._user.beat()
            beat = Beat(beat.last, beat.ended or not _is_active(opened))
        was_away = self._watchdog.away_since
        action = self._watchdog.look(now, beat)
        if action is Action.RELEASE:
            self._release()
            self._wake.set()  # the first attempt is due at once
            if was_away is None:
                self._said = False
                return [(AudioDeviceChange.LOST, f"the sound {self._kind} device {self._name} is gone")]
        elif action is Action.OPEN:
            return self._open_again(now)
        elif action is Action.WELCOME and was_away is not None and opened is not None:
            self.reopened += 1
            return [self._welcome(opened)]
        return []

    def _open_again(self, now: float) -> list[tuple[AudioDeviceChange, str]]:
        away = now - (self._watchdog.away_since or now)
        specs: list[str | None] = [self._name] if self._spec is not None else [None]
        if self._spec is not None and away > _DEFAULT_AFTER_S:
            specs.append(None)
        problem: AvatarKitError | None = None
        try:
            refresh_devices()
            for spec in specs:
                try:
                    self._opened = self._user.open_device(spec)
                except AvatarKitError as error:
                    problem = error
                else:
                    self._watchdog.opened(time.monotonic())
                    return []
        except AvatarKitError as error:
            problem = error
        self._watchdog.refused(time.monotonic())
        if away > _SAY_AFTER_S and not self._said:
            self._said = True
            return [(AudioDeviceChange.UNAVAILABLE, f"no sound {self._kind} for {away:.0f} s: {problem}")]
        return []

    def _welcome(self, opened: OpenedStream) -> tuple[AudioDeviceChange, str]:
        before, name = self._name, _full_name(opened)
        if name == before:
            return AudioDeviceChange.BACK, f"the sound {self._kind} device {name} is back"
        if self._spec is None:
            self._name = name
            message = f"the default sound {self._kind} device is {name} now, and was {before}"
            return AudioDeviceChange.DEFAULT_CHANGED, message
        # The name that was asked for stays the one to look for should this one go, too.
        message = f"the sound {self._kind} device {before} did not come back; {name} is used in its place"
        return AudioDeviceChange.MOVED, message

    def _release(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            self._user.device_lost()
            close_stream(opened.stream)

    def _tell(self, change: AudioDeviceChange, message: str) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(change, message)
        except Exception:
            _log.exception("a handler of sound device events failed")


def _full_name(opened: OpenedStream) -> str:
    return f"{opened.device.name}, {opened.device.host_api}"


def _is_active(opened: OpenedStream) -> bool:
    with contextlib.suppress(Exception):  # sounddevice's own error class, when the stream is broken
        return bool(opened.stream.active)
    return False
