"""``avatarkit-rtc devices``: the sound devices of this machine."""

from __future__ import annotations

import typer

from avatarkit_rtc.audio.devices import list_devices


def devices() -> None:
    """List the sound devices: what --audio-device can name."""
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
    typer.echo("< default input, > default output")
