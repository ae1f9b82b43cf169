"""A sound server for the tests of this folder, and a world without one."""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pulse import PulseServer
from tests.support.system import missing


@pytest.fixture(scope="session")
def portaudio() -> None:
    """PortAudio, as children of the tests will find it."""
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")


@pytest.fixture(scope="session")
def pulse(portaudio: None) -> Iterator[PulseServer]:
    """A daemon with the null sinks ``speaker`` and ``voice``; the latter's monitor is a microphone."""
    with PulseServer("speaker", "voice") as server:
        yield server


@pytest.fixture
def no_sound_env(portaudio: None, tmp_path: Path) -> dict[str, str]:
    """Environment of a child that has PortAudio and finds no device; skips where there is a real sound
    card."""
    if Path("/proc/asound/pcm").exists() and Path("/proc/asound/pcm").read_text().strip():
        pytest.skip("this machine has a sound card, which cannot be hidden")
    if sys.platform != "linux":
        pytest.skip("a sound server can be hidden on Linux only")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PULSE_", "ALSA_"))}
    return env | {
        "PULSE_SERVER": f"unix:{tmp_path / 'nobody'}",
        "XDG_RUNTIME_DIR": str(tmp_path),
        "HOME": str(tmp_path),
    }
