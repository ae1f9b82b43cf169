"""Sound devices: what there is, and finding one by index or name.

Everything here talks to PortAudio, which may take seconds to start up and is not safe to call from two
threads at once: call from a worker thread (:mod:`~avatarkit_rtc.audio.threads`); one lock covers all calls of
this package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType
from typing import Any, Literal, TypeAlias

from avatarkit_rtc.audio.portaudio import load_sounddevice, portaudio_lock
from avatarkit_rtc.errors import AudioDeviceError, ConfigurationError

Kind = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """One device as PortAudio lists it. The list is made when PortAudio starts and stays as it is."""

    index: int
    """PortAudio's number; changes when devices come and go, so keep the name instead."""
    name: str
    host_api: str
    """The sound system it belongs to: ALSA, Core Audio, Windows WASAPI, …"""
    max_input_channels: int
    """0 for a device that cannot record."""
    max_output_channels: int
    """0 for a device that cannot play."""
    default_samplerate: float
    """Samples per second the device prefers."""
    is_default_input: bool
    is_default_output: bool

    def __str__(self) -> str:
        return f"{self.index}: {self.name} ({self.host_api})"

    @property
    def full_name(self) -> str:
        """``name, host API``: unique as a rule, and what :func:`find_device` takes."""
        return f"{self.name}, {self.host_api}"

    def channels(self, kind: Kind) -> int:
        """Most channels to record or to play."""
        return self.max_input_channels if kind == "input" else self.max_output_channels

    def is_default(self, kind: Kind) -> bool:
        """It is the default to record or to play."""
        return self.is_default_input if kind == "input" else self.is_default_output


DeviceSpec: TypeAlias = int | str | AudioDevice | None
"""A device as :func:`find_device` takes it."""


def checked_device(spec: DeviceSpec) -> DeviceSpec:
    """``spec``, which is to be a device.

    Raises:
        ConfigurationError: it is of another type.
    """
    if spec is None or (isinstance(spec, int | str | AudioDevice) and not isinstance(spec, bool)):
        return spec
    raise ConfigurationError(
        f"a sound device is an index, a name, an AudioDevice or None for the default one, not {spec!r}"
    )


def same_device(one: DeviceSpec, other: DeviceSpec) -> bool:
    """Whether both mean the same, as far as that can be told without a list of the devices: defaults come and
    go, while full name and index tell which device it is."""
    if isinstance(one, AudioDevice) and isinstance(other, AudioDevice):
        return (one.full_name, one.index) == (other.full_name, other.index)
    return _full_name(one) == _full_name(other)


def _full_name(spec: DeviceSpec) -> int | str | None:
    return spec.full_name if isinstance(spec, AudioDevice) else spec


def list_devices() -> list[AudioDevice]:
    """All devices, in PortAudio's order. Blocks while PortAudio starts: call it from a worker thread.

    Raises:
        MissingDependencyError: sounddevice or the PortAudio library is not installed.
        AudioDeviceError: the devices cannot be listed.
    """
    with portaudio_lock():
        sd = load_sounddevice()
        try:
            apis = [api["name"] for api in sd.query_hostapis()]
            default_input, default_output = _default_index(sd, "input"), _default_index(sd, "output")
            return make_devices(list(sd.query_devices()), apis, default_input, default_output)
        except sd.PortAudioError as error:
            raise AudioDeviceError(f"the sound devices cannot be listed: {_reason(error)}") from error


def make_devices(
    listed: Sequence[Mapping[str, Any]],
    apis: Sequence[str],
    default_input: int | None,
    default_output: int | None,
) -> list[AudioDevice]:
    """Devices from PortAudio's dictionaries, the names of its host APIs and the indexes of the defaults."""
    return [
        AudioDevice(
            index=index,
            name=str(device["name"]),
            host_api=str(apis[device["hostapi"]]),
            max_input_channels=int(device["max_input_channels"]),
            max_output_channels=int(device["max_output_channels"]),
            default_samplerate=float(device["default_samplerate"]),
            is_default_input=index == default_input,
            is_default_output=index == default_output,
        )
        for index, device in enumerate(listed)
    ]


def find_device(spec: DeviceSpec, kind: Kind) -> AudioDevice:
    """The device that ``spec`` means.

    Args:
        spec: None for the default device; an :class:`AudioDevice` of any list, found by its full name, and
            by its index among several that have the same; an index; the exact name; ``name, host API``; or a
            part of the name that fits one device only, upper and lower case alike. Of several that fit, the
            one of the default device's host API counts (Windows lists each device once per host API).
        kind: what it is wanted for; devices that cannot do that are left out.

    Raises:
        AudioDeviceError: none fits, or several do; the message lists what there is.
        ConfigurationError: ``spec`` is of another type.
        MissingDependencyError: sounddevice or the PortAudio library is not installed.
    """
    return choose(list_devices(), spec, kind)


def choose(devices: list[AudioDevice], spec: DeviceSpec, kind: Kind) -> AudioDevice:
    """:func:`find_device` among ``devices``."""
    spec = checked_device(spec)
    able = [d for d in devices if d.channels(kind) > 0]
    there = f"there are: {'; '.join(map(str, able))}" if able else "there is none"
    if not able:
        need = "connect a microphone" if kind == "input" else "connect a speaker"
        raise AudioDeviceError(f"no sound {kind} device: {need}, or start the sound server")
    default = next((d for d in able if d.is_default(kind)), None)
    if spec is None:
        if default is None:
            raise AudioDeviceError(f"no default sound {kind} device; choose one by index or name: {there}")
        return default
    if isinstance(spec, AudioDevice):
        named = [d for d in able if d.full_name == spec.full_name]
        fits = [d for d in named if d.index == spec.index] or named
        spec = spec.full_name
    elif isinstance(spec, int):
        fits = [d for d in able if d.index == spec]
    else:
        wanted = spec.strip().casefold()
        fits = [d for d in able if wanted in (d.name.casefold(), d.full_name.casefold())]
        if not fits and wanted.isdecimal():
            fits = [d for d in able if d.index == int(wanted)]
        if not fits and wanted:
            fits = [d for d in able if wanted in d.name.casefold()]
    if len(fits) > 1 and default is not None:
        fits = [d for d in fits if d.host_api == default.host_api] or fits
    if not fits:
        raise AudioDeviceError(f"no sound {kind} device {spec!r}{_did_you_mean(spec, able)}; {there}")
    if len(fits) > 1:
        raise AudioDeviceError(
            f"several sound {kind} devices fit {spec!r}; choose by index or full name: "
            f"{'; '.join(map(str, fits))}"
        )
    return fits[0]


def _did_you_mean(spec: int | str, able: list[AudioDevice]) -> str:
    if isinstance(spec, int):
        return ""
    # A part of a name is near, too: names end in what nobody types, as in "USB Audio Device: - (hw:1,0)".
    wanted = spec.strip().casefold()
    near = [
        d.name
        for d in able
        if get_close_matches(wanted, [d.name.casefold(), *re.findall(r"\w+", d.name.casefold())], 1, 0.7)
    ]
    return f"; did you mean {' or '.join(map(repr, dict.fromkeys(near[:3])))}?" if near else ""


def _default_index(sd: ModuleType, kind: Kind) -> int | None:
    try:
        return int(sd.query_devices(kind=kind)["index"])
    except (sd.PortAudioError, ValueError):
        return None  # there is no default, or a default of sounddevice's own that does not exist


def _reason(error: Exception) -> str:
    """PortAudio's words, without its error numbers."""
    return str(error.args[0] if error.args else error)
