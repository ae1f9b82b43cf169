"""Sound cards that exist only in this process: what PortAudio does, without a sound system.

For what no sound server can be made to do at will: devices that are busy, know one rate only, change places.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio import lookout, restart, streams

PERIOD_S = 0.01


class PortAudioError(Exception):
    """As sounddevice's: words and a number."""


@dataclass
class Card:
    """One device. Plugging and pulling takes effect as with PortAudio: the list is made anew by a restart."""

    name: str
    rates: tuple[int, ...] = (48000,)
    channels: int = 2
    busy: bool = False
    plugged: bool = True
    works: bool = True
    inputs: int = 0
    answers: threading.Event = field(default_factory=threading.Event)
    """Set unless a test takes it back: then calls about this card come back once it is set again."""

    def __post_init__(self) -> None:
        self.answers.set()

    def described(self, index: int) -> dict[str, Any]:
        """As PortAudio does."""
        return {
            "index": index,
            "name": self.name,
            "hostapi": 0,
            "max_input_channels": self.inputs,
            "max_output_channels": self.channels,
            "default_samplerate": float(self.rates[0]),
        }


class ScanChild:
    """In place of the process of its own that looks at the devices: it sees the cards as they are now."""

    def __init__(self, _now: float, *arguments: str) -> None:
        sound = FakeSound.now
        there = [card for card in sound.cards if card.plugged]
        sound.looks.append(arguments)
        self._sound = sound
        if arguments[0] == "list":
            self._result: dict[str, Any] = {
                "apis": ["Fake"],
                "devices": [card.described(index) for index, card in enumerate(there)],
                "defaults": {"input": None, "output": 0 if there else None},
                "server": {"input": None, "output": sound.server_default},
            }
        else:
            card = there[int(arguments[2])]
            self._result = {"works": card.works and not card.busy, "name": card.name}

    def result(self, _now: float) -> dict[str, Any] | None:
        return self._result if all(card.answers.is_set() for card in self._sound.cards) else None

    def close(self) -> None:
        """Nothing runs."""


class Stream:
    """An output stream; a thread calls back each 10 ms."""

    closed = True
    kind = "Output"

    def __init__(
        self,
        *,
        device: int,
        samplerate: int,
        channels: int,
        blocksize: int,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
        **_: Any,
    ) -> None:
        sound = FakeSound.now
        self.closed = False  # also if it fails, as in sounddevice, whose pointer is there before
        self.card = sound.listed[device]
        self.card.answers.wait()
        if self.card.busy or not self.card.plugged:
            raise PortAudioError(f"Error opening {self.kind}Stream: Device unavailable", -9985)
        if samplerate not in self.card.rates:
            raise PortAudioError(f"Error opening {self.kind}Stream: Invalid sample rate", -9997)
        if channels > (self.card.inputs if self.kind == "Input" else self.card.channels):
            raise PortAudioError(f"Error opening {self.kind}Stream: Invalid number of channels", -9998)
        self.samplerate, self.channels, self.latency = samplerate, channels, 0.02
        self._size, self._callback, self._finished = blocksize, callback, finished_callback
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.played: list[np.ndarray[Any, np.dtype[np.int16]]] = []
        sound.streams.append(self)

    @property
    def active(self) -> bool:
        return self._thread.is_alive() and not self._stop.is_set()

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        when = SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0)
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())) and self.card.plugged:
            due += PERIOD_S
            self.card.answers.wait()
            when.currentTime = time.monotonic()
            when.outputBufferDacTime = when.currentTime + self.latency
            when.inputBufferAdcTime = when.currentTime - PERIOD_S
            block = self._block()
            self._callback(block, self._size, when, None)
            self.played.append(block)
        self._finished()

    def _block(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        return np.full((self._size, self.channels), 99, np.int16)

    def abort(self, ignore_errors: bool = True) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def close(self, ignore_errors: bool = True) -> None:
        self.abort()
        self.closed = True


class InputStream(Stream):
    """It hears a tone of 441 Hz."""

    kind = "Input"

    def _block(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        at = len(self.played) * self._size + np.arange(self._size)
        tone = 9000 * np.sin(2 * np.pi * 441 * at / self.samplerate)
        return np.rint(tone).astype(np.int16)[:, np.newaxis].repeat(self.channels, axis=1)


@dataclass
class FakeSound:
    """The cards there are; the first one that is plugged in is the default."""

    cards: list[Card]
    listed: list[Card] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    restarts: int = 0
    looks: list[tuple[str, ...]] = field(default_factory=list)
    server_default: str | None = None

    now: Any = None  # the one in use

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeSound:
        """Put it in sounddevice's place until the test ends."""
        module: Any = ModuleType("sounddevice")
        module.PortAudioError, module.OutputStream, module._StreamBase = PortAudioError, Stream, Stream
        module.InputStream = InputStream
        module.query_hostapis = lambda: [{"name": "Fake"}]
        module.query_devices = self._query
        module._terminate = lambda: None
        module._initialize = self._restart
        monkeypatch.setitem(sys.modules, "sounddevice", module)
        monkeypatch.setattr(FakeSound, "now", self)
        monkeypatch.setattr(lookout, "ScanChild", ScanChild)
        monkeypatch.setattr(streams, "_refreshed_at", float("-inf"))
        monkeypatch.setattr(restart.RESTART, "_next", float("-inf"))
        self._restart()
        return self

    def _restart(self) -> None:
        assert all(stream.closed for stream in self.streams), "a restart would have ended an open stream"
        self.listed = [card for card in self.cards if card.plugged]
        self.restarts += 1

    def _query(self, kind: str | None = None) -> Any:
        devices = [card.described(index) for index, card in enumerate(self.listed)]
        if kind is None:
            return devices
        able = [each for each in devices if each[f"max_{kind}_channels"]]
        if not able:
            raise PortAudioError("no such device")
        return able[0]

    def open_streams(self) -> list[Stream]:
        """The streams that are open."""
        return [stream for stream in self.streams if not stream.closed]
