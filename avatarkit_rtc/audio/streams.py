"""Opening and closing PortAudio streams, with the errors of this package."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec, Kind, _reason, find_device
from avatarkit_rtc.audio.portaudio import load_sounddevice, open_streams, portaudio_lock, starting
from avatarkit_rtc.errors import AudioDeviceError

_INVALID_SAMPLE_RATE = -9997
_INVALID_CHANNEL_COUNT = -9998

_refreshed_at = float("-inf")
_KEPT: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """A stream that is open and not yet started."""

    stream: Any
    device: AudioDevice
    sample_rate: int
    """Samples per second: what was asked for, or what the device prefers where it cannot do that."""
    channels: int
    """What was asked for, or 2 where the device cannot do that."""


def open_stream(
    kind: Kind,
    spec: DeviceSpec,
    *,
    sample_rate: int,
    channels: int,
    latency: str | float,
    callback: Callable[..., None],
    finished: Callable[[], None],
) -> OpenedStream:
    """Open an int16 stream in blocks of 10 ms. May block for seconds: call it from a worker thread.

    Raises:
        AudioDeviceError: the device does not exist, is busy, or cannot do 16-bit sound, or the sound system
            does not answer.
        MissingDependencyError: sounddevice or the PortAudio library is not installed.
    """
    with portaudio_lock():
        sd = load_sounddevice()
        device = find_device(spec, kind)
        make = sd.InputStream if kind == "input" else sd.OutputStream
        most = device.channels(kind)
        preferred = round(device.default_samplerate)
        error: Exception | None = None
        # Raw hardware devices often know one rate only, or stereo only.
        attempts = [(r, c) for c in (channels, 2) if c <= most for r in (sample_rate, preferred) if r > 0]
        for rate, count in dict.fromkeys(attempts):
            try:
                stream = make(
                    device=device.index,
                    samplerate=rate,
                    channels=count,
                    dtype="int16",
                    blocksize=rate // 100,
                    latency=latency,
                    callback=callback,
                    finished_callback=finished,
                )
            except (sd.PortAudioError, ValueError) as failure:
                error = failure
                if _code(failure) not in (_INVALID_SAMPLE_RATE, _INVALID_CHANNEL_COUNT):
                    break
            else:
                return OpenedStream(stream, device, rate, count)
        raise _cannot_open(device, kind, error) from error


def start_stream(opened: OpenedStream, kind: Kind) -> None:
    """Let the callbacks begin.

    Raises:
        AudioDeviceError: the device refuses, or the interpreter ends; whoever opened the stream closes it.
    """
    import sounddevice as sd  # who has opened a stream has it; load_sounddevice() would wait for the lock

    try:
        with starting(opened.stream):
            opened.stream.start()  # touches nothing but the stream, so it needs no lock
    except sd.PortAudioError as error:
        raise _cannot_open(opened.device, kind, error) from error


def refresh_devices(at_most_every_s: float = 0.0) -> bool:
    """Make PortAudio look for devices anew: it does so only when it starts, and its list stays as it was.

    That would end every open stream, so nothing happens while there is one in this process, of this package
    or of anybody else. May block for seconds: call it from a worker thread.

    Args:
        at_most_every_s: a look that is no older than this will do, whoever took it: each costs some 20 ms of
            processor time, and a process may have a hundred players.

    Returns:
        Whether it looked, or somebody has.

    Raises:
        AudioDeviceError: PortAudio cannot start any more, or does not answer.
        MissingDependencyError: sounddevice or the PortAudio library is not installed.
    """
    with portaudio_lock():
        sd = load_sounddevice()
        global _refreshed_at  # noqa: PLW0603 - PortAudio has one list for the process
        if time.monotonic() - _refreshed_at < at_most_every_s:
            return True
        if open_streams():
            return False
        with suppress(sd.PortAudioError):  # it did not start last time either
            sd._terminate()
        try:
            sd._initialize()
        except sd.PortAudioError as error:
            raise AudioDeviceError(f"no sound: PortAudio cannot start ({_reason(error)})") from error
        _refreshed_at = time.monotonic()
        return True


def keep(stream: Any) -> None:
    """Whoever has opened ``stream`` closes it when :mod:`avatarkit_rtc.audio.restart` says so."""
    _KEPT.add(stream)


def foreign_stream_open() -> bool:
    """Whether a stream is open that nobody gives way with: a caller's own."""
    load_sounddevice()
    return any(stream not in _KEPT for stream in open_streams())


def _code(error: Exception) -> int | None:
    return error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else None


def _cannot_open(device: AudioDevice, kind: Kind, error: Exception | None) -> AudioDeviceError:
    why = "it has too few channels" if error is None else _reason(error)
    return AudioDeviceError(
        f"the sound {kind} device {device.name!r} ({device.host_api}) cannot be opened: {why}; "
        "close the program that uses it, or choose another device"
    )
