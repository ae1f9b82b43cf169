"""``avatarkit-rtc devices``: the sound devices of this machine."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from avatarkit_rtc.audio.devices import list_devices
from avatarkit_rtc.audio.lookout import SERVED
from avatarkit_rtc.audio.scan_child import server_default
from avatarkit_rtc.cli.running import run
from avatarkit_rtc.cli.sound_test import try_sound
from avatarkit_rtc.errors import ConfigurationError


def devices(
    test: Annotated[
        bool, typer.Option("--test", help="Play a tone and show the level at the microphone.")
    ] = False,
    output: Annotated[
        str | None, typer.Option("--output", help="Output device of the test, by name.")
    ] = None,
    microphone: Annotated[
        str | None, typer.Option("--input", help="Input device of the test, by name.")
    ] = None,
    duration: Annotated[float, typer.Option("--duration", min=3.0, help="Seconds of the test.")] = 30.0,
) -> None:
    """List the sound devices: what --audio-device and --microphone-device can name. With --test, try them."""
    if test:
        if run(lambda stop: try_sound(stop, output, microphone, duration)) is False:
            raise typer.Exit(1)
        return
    if output is not None or microphone is not None:
        raise ConfigurationError("--output and --input choose the devices of --test; add that")
    found = list_devices()
    if not found:
        typer.echo("no sound devices; players run silent here, and say so")
        return
    for device in found:
        marks = ("<" if device.is_default_input else " ") + (">" if device.is_default_output else " ")
        typer.echo(
            f"{device.index:3} {marks} {device.name} ({device.host_api}), {device.max_input_channels} in, "
            f"{device.max_output_channels} out, {device.default_samplerate:.0f} Hz"
        )
    typer.echo("< default input, > default output; choose one by its name, or a part of it")
    if any(device.name in SERVED for device in found):
        # Else nobody knows which card "default" is.
        for what, verb, variable in (
            ("sink", "plays to", "PULSE_SINK"),
            ("source", "records", "PULSE_SOURCE"),
        ):
            name = os.environ.get(variable) or server_default(what)
            if name is not None:
                typer.echo(f"the sound server {verb} {name} (`pactl set-default-{what} NAME` changes it)")
