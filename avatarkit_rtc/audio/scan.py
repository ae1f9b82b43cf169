"""What sound devices there are now, seen by a child process, while this one plays on.

PortAudio's list in this process stays as it was when PortAudio started (see
:func:`~avatarkit_rtc.audio.streams.refresh_devices`). Nothing here blocks: a child is started, and asked at
later looks whether it has finished.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from avatarkit_rtc.audio.devices import AudioDevice, Kind, make_devices

_PROGRAM: Final = Path(__file__).with_name("scan_child.py")
_LONGEST_S: Final = 15.0
"""A child that takes longer hangs, in a sound system that does."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a child saw."""

    devices: list[AudioDevice]
    """All devices, in PortAudio's order."""
    server: dict[Kind, str | None]
    """Default devices of PulseAudio or PipeWire, by their names there; None where ``pactl`` does not tell."""


def can_scan() -> bool:
    """Whether there can be children: not in programs that are frozen into one file, whose interpreter is
    themselves."""
    return bool(sys.executable) and not getattr(sys, "frozen", False) and _PROGRAM.is_file()


class ScanChild:
    """One run of ``scan_child.py``."""

    def __init__(self, now: float, *arguments: str) -> None:
        """Start it.

        Raises:
            OSError: it cannot be started.
        """
        self._until = now + _LONGEST_S
        # A pipe could run full, and nobody reads it meanwhile.
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the result
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,  # ALSA's library talks a lot
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except BaseException:
            self._output.close()
            raise

    def result(self, now: float) -> dict[str, Any] | None:
        """What it has printed, empty where it failed; None while it runs. To be asked until there is one."""
        code = self._process.poll()
        if code is None:
            if now < self._until:
                return None
            self.close()
            return {}
        with self._output as output:
            output.seek(0)
            text = output.read()
        try:
            found = json.loads(text) if code == 0 else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """End it. Never raises; more than once is fine."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()


def read_scan(found: dict[str, Any]) -> Scan | None:
    """The result of ``scan_child.py list``; None where it failed."""
    if "devices" not in found:
        return None
    defaults = found["defaults"]
    devices = make_devices(found["devices"], found["apis"], defaults["input"], defaults["output"])
    return Scan(devices, {"input": found["server"]["input"], "output": found["server"]["output"]})
