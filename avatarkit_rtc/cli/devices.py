"""``avatarkit-rtc devices``: the sound devices of this machine."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from avatarkit_rtc.audio.devices import list_devices


def devices() -> None:
    """List the sound devices."""
    table = Table("", "name", "host API", "in", "out", "rate", box=None, pad_edge=False)
    found = list_devices()
    for device in found:
        marks = ("<" if device.is_default_input else "") + (">" if device.is_default_output else "")
        table.add_row(
            f"{device.index} {marks}",
            device.name,
            device.host_api,
            str(device.max_input_channels),
            str(device.max_output_channels),
            f"{device.default_samplerate:.0f}",
        )
    out = Console(highlight=False)
    if not found:
        out.print("no sound devices; players run silent here, and say so")
        return
    out.print(table)
    out.print("< default input, > default output")
