"""A sound device that is opened again when it has gone, on a thread of its own.

It looks for the device by the name that it had, because indexes change; when that has not been there for some
seconds, the default device will do until the one that was asked for is there again.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec, Kind, _full_name, list_devices
from avatarkit_rtc.audio.lookout import Answer, Found, Lookout, ServerMoved
from avatarkit_rtc.audio.release import ABANDON_S, Release, release_stream
from avatarkit_rtc.audio.restart import PATIENCE_S, RESTART
from avatarkit_rtc.audio.streams import OpenedStream, keep, refresh_devices
from avatarkit_rtc.audio.watchdog import Action, Beat, State, Watchdog
from avatarkit_rtc.errors import AudioDeviceError, AvatarKitError
from avatarkit_rtc.events import AudioDeviceChange

_log = logging.getLogger("avatarkit_rtc.audio")

_LOOK_S: Final = 0.1
_DEFAULT_AFTER_S: Final = 3.0
"""A device that was asked for by name has so long to come back until the default one takes its place."""
_SAY_AFTER_S: Final = 5.0
"""Away for so long: say once why it cannot be opened."""
_REFRESH_S: Final = 0.4
_REFRESH_NEVER_THERE_S: Final = 2.0
"""How often the list of devices is made anew at most: for a device that was there, and for one that never
was, as on servers without a sound card."""
_EXIT_S: Final = 0.5
"""Longest that the interpreter's end waits for the thread."""
_REST_S: Final = 30.0
"""A better device that could not be taken is not looked for again for so long."""

Event = tuple[AudioDeviceChange, str]
OnEvent = Callable[[AudioDeviceChange, str], None]
"""Gets what happened to the device and one line for people. On the keeper's thread."""


class DeviceUser(Protocol):
    """Who plays or records on the device that is kept."""

    def open_device(self, spec: DeviceSpec) -> OpenedStream:
        """Open and start a stream on ``spec``.

        Raises:
            AudioDeviceError: it cannot be opened.
            MissingDependencyError: the sound library is not installed.
        """

    def beat(self) -> Beat:
        """Of the stream that was opened last."""

    def device_lost(self) -> None:
        """The stream is about to be closed: use it no more."""

    def quiet(self, now: float) -> bool:
        """Nothing is being heard at ``now``, so that a short break would not be, either. On any thread."""


class DeviceKeeper:
    """Opens a device, and again whenever it has gone. Methods may be called from any thread."""

    def __init__(
        self, kind: Kind, spec: DeviceSpec, user: DeviceUser, on_event: OnEvent | None = None
    ) -> None:
        """``spec`` is a device as :func:`~avatarkit_rtc.audio.devices.find_device` takes it."""
        self._kind = kind
        self._wanted = spec  # the device itself, once it is known: indexes and parts of names change
        self._user = user
        self._on_event = on_event
        self._lock = threading.Lock()  # for all that opens and closes; never taken in a callback
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened: OpenedStream | None = None
        self._releasing: Release | None = None  # of the stream before
        self._answer: Answer | None = None  # waited for, since a stream had to be abandoned
        self._closed = False
        self._watchdog = Watchdog(0.0)
        self._lookout = Lookout(kind)
        self._name: str | None = None  # of the device that worked last
        self._in_place = False  # another device is open in place of the one that was asked for
        self._leaving: float | None = None  # since when a pause is waited for, to change the device in
        self._yielded = False  # closed of our own will, to be opened again
        self._said = False
        self.reopened = 0

    @property
    def opened(self) -> OpenedStream | None:
        """The open stream; None before :meth:`start`, after :meth:`close` and while the device is away."""
        return self._opened

    def start(self, *, keep_trying: bool = False) -> None:
        """Open the device and watch it from now on. Blocks while it opens. A second time nothing happens.

        Args:
            keep_trying: watch for it also where it cannot be opened now; the error is raised all the same.

        Raises:
            AudioDeviceError: the device is missing or busy, or this was closed.
            MissingDependencyError: the sound library is not installed.
        """
        with self._lock:
            if self._closed:
                raise AudioDeviceError(f"this sound {self._kind} has been closed; make a new one")
            if self._thread is not None:
                return
            try:
                opened = self._user.open_device(self._wanted)
            except AudioDeviceError:
                if keep_trying and not self._closed:
                    self._said = True  # by the error
                    self._watchdog = Watchdog.away(time.monotonic())
                    self._run()
                raise
            self._take(opened, in_place=False)
            if self._closed:  # while it opened
                self._release()
                raise AudioDeviceError(f"this sound {self._kind} was closed while it opened")
            self._watchdog = Watchdog(time.monotonic())
            self._name = opened.device.full_name
            self._run()

    def wake(self) -> None:
        """Look at the stream at once, because it has ended. For PortAudio's thread: does not block."""
        self._wake.set()

    def close(self) -> None:
        """Close the stream and end the thread. Never raises; more than once is fine. Blocks, where the sound
        system hangs for :data:`ABANDON_S`; what it keeps is given back when it answers."""
        self._close(ABANDON_S)
        atexit.unregister(self._close_at_exit)

    def _close_at_exit(self) -> None:
        self._close(_EXIT_S)

    def _close(self, longest_s: float) -> None:
        until = time.monotonic() + longest_s
        self._closed = True
        RESTART.leave(self._user.quiet)
        self._wake.set()
        if self._lock.acquire(timeout=longest_s):
            try:
                self._release()
                self._end_looks()
                releasing = self._releasing
            finally:
                self._lock.release()
            if releasing is not None:
                releasing.wait(max(0.0, until - time.monotonic()))
        # Else the thread is opening a device, and gives it back itself.
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        if self._kind == "output":
            RESTART.join(self._user.quiet)
        # PortAudio ends when the interpreter does, and must not find this thread inside it then.
        atexit.register(self._close_at_exit)
        self._thread = threading.Thread(target=self._keep, name=f"sound {self._kind}", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while True:
            self._wake.wait(_LOOK_S)
            self._wake.clear()
            with self._lock:
                try:
                    events = [] if self._closed else self._look()
                except Exception:  # whatever sound cards come up with: the next look is another chance
                    _log.exception("watching the sound %s failed", self._kind)
                    events = []
                if self._closed:  # perhaps while it opened a device
                    self._release()
                    self._end_looks()
                    break
            for change, message in events:  # without the lock: a handler may call close()
                self._tell(change, message)
        # Perhaps it was closed before it had entered itself.
        RESTART.leave(self._user.quiet)
        atexit.unregister(self._close_at_exit)

    def _look(self) -> list[Event]:
        now = time.monotonic()
        if self._releasing is not None:
            # Most devices can be opened by one stream at a time.
            if not self._releasing.over(now):
                return []
            if not self._releasing.finished:
                self._answer = Answer()
            self._releasing = None
        if RESTART.due(now):
            self._give_way()
            RESTART.attempt(now)
            return []
        return self._return(now) if self._yielded else self._watch(now)

    def _watch(self, now: float) -> list[Event]:
        opened = self._opened
        beat = None
        if opened is not None:
            beat = self._user.beat()
            beat = Beat(beat.last, beat.ended or not _is_active(opened))
        was_away = self._watchdog.away_since is not None
        action = self._watchdog.look(now, beat)
        if action is Action.RELEASE:
            self._release()
            if not was_away:
                self._said = False
                self._lookout.rest(now, 0.0)
                return [(AudioDeviceChange.LOST, f"the sound {self._kind} device {self._name} is gone")]
        elif action is Action.OPEN:
            if self._answer is None or self._answer.is_there(now):
                self._answer = None
                return self._open_again(now)
        elif action is Action.WELCOME and opened is not None:
            self.reopened += was_away
            return self._welcome(opened, was_away=was_away)
        elif self._watchdog.state is State.RUNNING and (self._in_place or self._wanted is None):
            return self._look_around(now)
        return []

    def _open_again(self, now: float) -> list[Event]:
        away = now - (self._watchdog.away_since or now)
        problem: AvatarKitError | None = None
        try:
            if not refresh_devices(_REFRESH_S if self._name is not None else _REFRESH_NEVER_THERE_S):
                # Other streams are open, so the list of devices is old: this one may have come since.
                self._look_around(now)
            for spec in self._candidates(away):
                try:
                    opened = self._user.open_device(spec)
                except AvatarKitError as error:
                    problem = problem or error  # what is wrong with the device that was asked for
                else:
                    self._take(opened, in_place=spec != self._wanted)
                    self._watchdog.opened(time.monotonic())
                    return []
        except AvatarKitError as error:
            problem = error
        self._watchdog.refused(time.monotonic())
        if away > _SAY_AFTER_S and not self._said:
            self._said = True
            return [(AudioDeviceChange.UNAVAILABLE, f"no sound {self._kind} for {away:.0f} s: {problem}")]
        return []

    def _candidates(self, away_s: float) -> list[DeviceSpec]:
        if self._wanted is not None and (away_s > _DEFAULT_AFTER_S or self._in_place):
            return [self._wanted, None]
        return [self._wanted]

    def _look_around(self, now: float) -> list[Event]:
        """See whether there is a better device, and if so make way for it."""
        if self._leaving is not None:
            if self._user.quiet(now) or now - self._leaving > PATIENCE_S:
                self._give_way()
            return []
        news = self._lookout.look(now, self._opened.device if self._opened else None, self._wanted)
        if isinstance(news, Found) and not RESTART.ask(now):
            if self._opened is not None and self._is_listed(news.device):
                self._leaving = now
            else:  # only a restart could bring it
                self._lookout.rest(now, _REST_S)
        elif isinstance(news, ServerMoved):
            what = f"the sound server's default {self._kind} is {news.name} now, and was {news.before}"
            return [(AudioDeviceChange.DEFAULT_CHANGED, what)]
        return []

    def _is_listed(self, device: AudioDevice) -> bool:
        with contextlib.suppress(AvatarKitError):
            return any(device.full_name == each.full_name for each in list_devices())
        return False

    def _give_way(self) -> None:
        if self._opened is not None:
            self._release()
            self._yielded = True

    def _return(self, now: float) -> list[Event]:
        """Open the device that was asked for, or else the one that was open, after giving way."""
        self._yielded = False
        self._lookout.rest(now, _REST_S)  # should it not come to anything
        # A sound system that did not close the stream is asked first whether it answers, as for a lost one.
        hangs = self._answer is not None
        before = self._name if self._name != _full_name(self._wanted) else None
        for spec in () if hangs else dict.fromkeys([self._wanted, before, None]):
            try:
                opened = self._user.open_device(spec)
            except AvatarKitError as error:
                _log.debug("the sound %s %r does not open: %s", self._kind, spec, error)
            else:
                self._take(opened, in_place=spec != self._wanted)
                self._watchdog = Watchdog(time.monotonic())
                return []
        self._watchdog = Watchdog.away(now)
        self._said = False
        return [(AudioDeviceChange.LOST, f"the sound {self._kind} device {self._name} is gone")]

    def _take(self, opened: OpenedStream, *, in_place: bool) -> None:
        if self._wanted is not None and not in_place:
            self._wanted = opened.device
        keep(opened.stream)
        self._opened = opened
        self._in_place = in_place

    def _welcome(self, opened: OpenedStream, *, was_away: bool) -> list[Event]:
        before, name = self._name, opened.device.full_name
        self._name = name
        if name == before and not was_away:
            return []
        changed = before not in (None, name)
        if self._in_place and name != before:
            problem = "did not come back" if changed else "is not there"
            wanted = _full_name(self._wanted)
            message = f"the sound {self._kind} device {wanted} {problem}; {name} is used in its place"
            return [(AudioDeviceChange.MOVED, message)]
        if self._wanted is None and changed:
            message = f"the default sound {self._kind} device is {name} now, and was {before}"
            return [(AudioDeviceChange.DEFAULT_CHANGED, message)]
        again = "is back" if before is not None else "is there"
        left = f" and is used in place of {before}" if changed else ""
        return [(AudioDeviceChange.BACK, f"the sound {self._kind} device {name} {again}{left}")]

    def _release(self) -> None:
        opened, self._opened, self._leaving = self._opened, None, None
        if opened is not None:
            self._user.device_lost()
            self._releasing = release_stream(opened.stream, self._wake.set)

    def _end_looks(self) -> None:
        self._lookout.close()
        if self._answer is not None:
            self._answer.close()

    def _tell(self, change: AudioDeviceChange, message: str) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(change, message)
        except Exception:
            _log.exception("a handler of sound device events failed")


def _is_active(opened: OpenedStream) -> bool:
    with contextlib.suppress(Exception):  # sounddevice's own error class, when the stream is broken
        return bool(opened.stream.active)
    return False
