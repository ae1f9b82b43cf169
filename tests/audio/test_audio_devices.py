"""Listing devices, finding one, and what is said where there is none."""

from __future__ import annotations

import os
from typing import Any

import pytest

from avatarkit_rtc.audio import LiveMicrophone, Microphone, Speaker
from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec, choose, same_device
from avatarkit_rtc.errors import AudioDeviceError, ConfigurationError
from avatarkit_rtc.options import AvatarPlayerOptions
from tests.support.pulse import PulseServer, run_python

HIDE_PORTAUDIO = """
import ctypes.util
find = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if "portaudio" in name else find(name)
"""
"""Put before a script: from here on PortAudio is not to be found, as on a machine without libportaudio2."""


def device(
    index: int, name: str, api: str = "WASAPI", *, inputs: int = 0, outputs: int = 2, default: bool = False
) -> AudioDevice:
    return AudioDevice(
        index, name, api, inputs, outputs, 48000.0, default and inputs > 0, default and outputs > 0
    )


DEVICES = [
    device(0, "Speakers (Realtek)", "MME"),
    device(1, "Microphone (USB)", "MME", inputs=1, outputs=0),
    device(2, "Speakers (Realtek)", default=True),
    device(3, "Headphones"),
    device(4, "Headphones Pro"),
    device(5, "Microphone (USB)", inputs=1, outputs=0, default=True),
    device(6, "2", outputs=8),
]


@pytest.mark.parametrize(
    ("spec", "index"),
    [
        (None, 2),
        (3, 3),
        ("3", 3),
        ("2", 6),
        ("Headphones", 3),
        ("headphones pro", 4),
        ("  PRO ", 4),
        ("realtek", 2),
        ("Speakers (Realtek), MME", 0),
        (DEVICES[0], 0),
        (device(77, "Headphones"), 3),  # of an older list
    ],
)
def test_an_output_is_found_by(spec: DeviceSpec, index: int) -> None:
    assert choose(DEVICES, spec, "output").index == index


@pytest.mark.parametrize("spec", [True, 3.5, b"pulse", ["pulse"]])
def test_what_is_no_device_is_refused_where_it_is_given(spec: Any) -> None:
    """And not on the thread that opens it: True is not the device of index 1."""
    for refuse in (
        lambda: choose(DEVICES, spec, "output"),
        lambda: Speaker(spec),
        lambda: Microphone(spec),
        lambda: LiveMicrophone(spec),
        lambda: AvatarPlayerOptions(audio_device=spec),
    ):
        with pytest.raises(ConfigurationError, match="an index, a name, an AudioDevice or None"):
            refuse()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (DEVICES[5], device(5, "Microphone (USB)", inputs=1, outputs=0), True),  # the default no more
        (DEVICES[5], DEVICES[1], False),
        (DEVICES[3], device(9, "Headphones"), False),  # two alike
        (DEVICES[3], "Headphones, WASAPI", True),
        ("Headphones, WASAPI", DEVICES[3], True),
        (DEVICES[3], 3, False),  # an index may be another device by now
        (DEVICES[3], None, False),
        (3, 3, True),
        (None, None, True),
    ],
)
def test_what_is_the_same_device(one: DeviceSpec, other: DeviceSpec, same: bool) -> None:
    assert same_device(one, other) is same


def test_an_input_is_found_by_default_and_name() -> None:
    assert choose(DEVICES, None, "input").index == 5
    assert choose(DEVICES, "usb", "input").index == 5


@pytest.mark.parametrize("spec", ["trumpet", 99, 1, "", "microphone"])
def test_what_is_not_there_is_an_error_that_lists_what_is(spec: int | str) -> None:
    with pytest.raises(AudioDeviceError) as caught:
        choose(DEVICES, spec, "output")
    assert "3: Headphones (WASAPI)" in str(caught.value)
    assert "Microphone (USB)" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "near"),
    [("Headphnes", "'Headphones' or 'Headphones Pro'"), ("realtec", "'Speakers (Realtek)'")],
)
def test_a_name_that_is_nearly_right_is_answered_by_the_right_one(spec: str, near: str) -> None:
    with pytest.raises(AudioDeviceError) as caught:
        choose(DEVICES, spec, "output")
    assert f"; did you mean {near}?; there are: " in str(caught.value)


def test_several_that_fit_are_an_error_that_lists_them() -> None:
    with pytest.raises(AudioDeviceError, match=r"several .* 3: Headphones \(WASAPI\); 4: Headphones Pro"):
        choose(DEVICES, "head", "output")


@pytest.mark.parametrize("default", [False, True])
def test_of_two_alike_the_object_that_was_given_is_meant(default: bool) -> None:
    twins = [device(index, "Jabra", inputs=1, default=default and index == 2) for index in (2, 3)]
    assert [choose(twins, each, kind) for each in twins for kind in ("input", "output")] == [
        each for each in twins for _ in range(2)
    ]
    with pytest.raises(AudioDeviceError, match=r"several .* fit 'Jabra, WASAPI'"):
        choose(twins, device(7, "Jabra"), "output")
    with pytest.raises(AudioDeviceError, match="no sound output device 'Jabr, WASAPI'; there are: "):
        choose(twins, device(2, "Jabr"), "output")


def test_no_default_is_an_error_that_lists_what_is() -> None:
    with pytest.raises(AudioDeviceError, match=r"no default .* 3: Headphones"):
        choose([DEVICES[3]], None, "output")


def test_no_device_at_all() -> None:
    with pytest.raises(AudioDeviceError, match="no sound input device: connect a microphone"):
        choose([DEVICES[3]], None, "input")


def test_devices_of_the_sound_server_are_listed(pulse: PulseServer) -> None:
    out = pulse.run(
        """
from avatarkit_rtc.audio import find_device, list_devices
devices = list_devices()
pulse = next(d for d in devices if d.name == "pulse")
assert pulse.max_input_channels > 0 and pulse.max_output_channels > 0 and pulse.default_samplerate > 0
assert sum(d.is_default_output for d in devices) == 1 and sum(d.is_default_input for d in devices) == 1
assert find_device("pulse", "input") == find_device("PULSE", "output") == pulse
assert find_device(pulse.index, "input") == pulse
print(pulse.host_api)
"""
    )
    assert out.strip() == "ALSA"


def test_without_portaudio_the_error_says_what_to_install() -> None:
    out = run_python(
        HIDE_PORTAUDIO
        + """
from avatarkit_rtc.audio import Microphone, Speaker, find_device, list_devices
from avatarkit_rtc.errors import MissingDependencyError
for call in (list_devices, lambda: find_device(None, "output"), Speaker().start, Microphone().start):
    try:
        call()
    except MissingDependencyError as error:
        assert isinstance(error.__cause__, OSError)
        print(error)
"""
    )
    lines = out.splitlines()
    assert len(lines) == 4
    assert len(set(lines)) == 1
    assert "PortAudio library is missing" in lines[0]
    assert "install" in lines[0]


def test_without_the_python_package_the_error_says_so() -> None:
    out = run_python(
        """
import sys
sys.modules["sounddevice"] = None
from avatarkit_rtc.audio import list_devices
from avatarkit_rtc.errors import MissingDependencyError
try:
    list_devices()
except MissingDependencyError as error:
    print(error)
"""
    )
    assert "pip install sounddevice" in out


def test_importing_the_package_needs_no_sound_library() -> None:
    run_python(
        """
import sys
sys.modules["sounddevice"] = None
import avatarkit_rtc.audio
assert not {"av", "cv2"} & set(sys.modules)
"""
    )


def test_without_devices_the_error_says_so(no_sound_env: dict[str, str]) -> None:
    out = run_python(
        """
from avatarkit_rtc.audio import Microphone, Speaker, list_devices
from avatarkit_rtc.errors import AudioDeviceError
assert list_devices() == []
for start in (Speaker().start, Microphone().start):
    try:
        start()
    except AudioDeviceError as error:
        print(error)
""",
        no_sound_env,
    )
    assert out.splitlines() == [
        "no sound output device: connect a speaker, or start the sound server",
        "no sound input device: connect a microphone, or start the sound server",
    ]


def test_env_of_a_child_hides_the_machine_s_own_server(pulse: PulseServer) -> None:
    assert pulse.env()["PULSE_SERVER"].startswith("unix:")
    assert pulse.env(sink="speaker")["PULSE_SINK"] == "speaker"
    assert os.environ.get("PULSE_SERVER") != pulse.env()["PULSE_SERVER"]
