"""Looks for a better device while another one plays: the one that was asked for, or a new default.

Each look is a child process (:mod:`~avatarkit_rtc.audio.scan`) and disturbs nothing. A device is found when
it is listed and works: sound servers list names whose device is not there.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec, Kind, choose
from avatarkit_rtc.audio.release import Release, unfinished
from avatarkit_rtc.audio.scan import Scan, ScanChild, can_scan, read_scan
from avatarkit_rtc.errors import AudioDeviceError

WANTED_EVERY_S: Final = 3.0
"""Pause between two looks for a device that was asked for; each takes 0.1 s of processor time elsewhere."""
DEFAULT_EVERY_S: Final = 15.0
"""Pause between two looks at what the default device is."""
SERVED: Final = ("default", "pulse", "pipewire")
"""ALSA's names for whatever the sound server's default device is."""
_RATE: Final = 48000
_ANSWERS_WITHIN_S: Final = 5.0
"""A sound system that takes longer to list its devices hangs."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that works and should be used now."""

    device: AudioDevice


@dataclass(frozen=True, slots=True)
class ServerMoved:
    """The sound server has another default device, and has moved the sound there itself."""

    name: str
    before: str


class Answer:
    """Whether a sound system that hung answers again, asked by a child process: that can be ended, whereas a
    thread that opens a device would be kept, and everybody who opens or lists one with it."""

    def __init__(self) -> None:
        self._child: ScanChild | None = None
        self._until = 0.0
        self._can = can_scan()

    def is_there(self, now: float) -> bool:
        """To be asked until it is, with ``now`` in monotonic seconds. True where there can be no child. Does
        not block but for the start of a child (milliseconds)."""
        if not self._can:
            return True
        if self._child is None:
            with contextlib.suppress(OSError):  # no processes or files left: another look will do
                self._child = ScanChild(now, "list")
                self._until = now + _ANSWERS_WITHIN_S
            return False
        if now > self._until:
            self.close()
            return False
        if self._child.result(now) is None:
            return False
        self._child = None
        return True

    def close(self) -> None:
        """End the child. Never raises; more than once is fine."""
        child, self._child = self._child, None
        if child is not None:
            child.close()


class Hangs:
    """Whether the sound system hangs: a stream had to be abandoned, and it has not answered since."""

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._known: list[Release] = []

    def at(self, now: float) -> bool:
        """To be asked again until it does not, with ``now`` in monotonic seconds. Does not block but for the
        start of a child (milliseconds)."""
        abandoned = _abandoned(now)
        if self._answer is None:
            if all(release in self._known for release in abandoned):
                return False
            self._answer = Answer()
        if not self._answer.is_there(now):
            return True
        self._answer, self._known = None, abandoned  # a single device may hang for ever
        return False

    def overlook(self, now: float) -> None:
        """What has been abandoned by ``now`` (monotonic seconds), by anybody, is no reason to ask."""
        self._known = _abandoned(now)

    def close(self) -> None:
        """Ask no more. Never raises; more than once is fine."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()


def _abandoned(now: float) -> list[Release]:
    return [release for release in unfinished() if release.over(now)]


class Lookout:
    """For one microphone or speaker. Does not block but for the start of a child (milliseconds)."""

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind
        self._child: ScanChild | None = None
        self._probed: AudioDevice | None = None
        self._due = float("-inf")
        self._server: str | None = None
        self._can = can_scan()

    def look(
        self, now: float, playing: AudioDevice | None, wanted: DeviceSpec, or_else: str | None = None
    ) -> Found | ServerMoved | None:
        """Go on looking, at ``now`` (monotonic seconds).

        Args:
            playing: the device in use, None where there is none.
            wanted: what should be in use: None for the default device.
            or_else: name, or part of it, of what will do where ``wanted`` is not listed.

        Returns:
            News, once.
        """
        if self._child is None:
            if self._can and now >= self._due:
                idle = wanted is None and playing is not None
                self._due = now + (DEFAULT_EVERY_S if idle else WANTED_EVERY_S)
                self._start(now, "list")
            return None
        result = self._child.result(now)
        if result is None:
            return None
        self._child = None
        if self._probed is not None:
            probed, self._probed = self._probed, None
            return Found(probed) if result.get("works") and result["name"] == probed.name else None
        scan = read_scan(result)
        if scan is None:
            return None
        better = better_device(scan.devices, self._kind, playing, wanted, or_else)
        if better is not None:
            self._probed = better
            self._start(now, "probe", self._kind, str(better.index), str(_RATE))
            return None
        return self._server_moved(scan, playing)

    def rest(self, now: float, seconds: float) -> None:
        """Do not look for so long."""
        self.close()
        self._due = now + seconds

    def close(self) -> None:
        """End the child. Never raises; more than once is fine."""
        child, self._child, self._probed = self._child, None, None
        if child is not None:
            child.close()

    def _start(self, now: float, *arguments: str) -> None:
        try:
            self._child = ScanChild(now, *arguments)
        except OSError:
            self._probed = None  # no processes or files left: another look will do

    def _server_moved(self, scan: Scan, playing: AudioDevice | None) -> ServerMoved | None:
        before, self._server = self._server, scan.server[self._kind] or self._server
        chosen = os.environ.get("PULSE_SINK" if self._kind == "output" else "PULSE_SOURCE")
        if before is None or self._server is None or before == self._server:
            return None
        served = playing is not None and playing.name in SERVED and not chosen
        return ServerMoved(self._server, before) if served else None


def better_device(
    devices: list[AudioDevice],
    kind: Kind,
    playing: AudioDevice | None,
    wanted: DeviceSpec,
    or_else: str | None = None,
) -> AudioDevice | None:
    """The device among ``devices`` that ought to be used instead of ``playing``, if there is one."""
    able = [device for device in devices if device.channels(kind)]
    # A device that is open here may be hidden from the child, because it is busy; then the child's default is
    # only what is left.
    if wanted is None and playing is not None and all(d.full_name != playing.full_name for d in able):
        return None
    try:
        better = choose(devices, wanted, kind)
    except AudioDeviceError:
        return None if or_else is None else better_device(devices, kind, playing, or_else)
    return None if playing is not None and better.full_name == playing.full_name else better
