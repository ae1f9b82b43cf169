"""A program of its own that prints one line of JSON: what sound devices there are now, or whether one works.

PortAudio makes its list of devices once, when it starts, and starting it anew ends every stream of the
process. A process of its own has a PortAudio of its own. Run by its path, so that it imports nothing of the
package::

    python -P scan_child.py list
    python -P scan_child.py probe output INDEX SAMPLE_RATE
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import Any

STEADY_S = 0.2
"""Callbacks so long after the start come from a device that works: sound servers call back at once to fill
their buffer, whether their device plays or not."""
PROBE_S = 3.0
"""Sound servers take up to 2 s until they call back."""
_PACTL_S = 2.0


def list_all(sd: Any) -> dict[str, Any]:
    """PortAudio's lists as they are, and the sound server's default devices where ``pactl`` tells them."""
    defaults: dict[str, int | None] = {}
    for kind in ("input", "output"):
        try:
            defaults[kind] = int(sd.query_devices(kind=kind)["index"])
        except (sd.PortAudioError, ValueError):
            defaults[kind] = None
    devices = [dict(device) for device in sd.query_devices()]
    return {
        "apis": [api["name"] for api in sd.query_hostapis()],
        "devices": devices,
        "defaults": defaults,
        "server": {"output": server_default("sink"), "input": server_default("source")},
    }


def server_default(what: str) -> str | None:
    """What PulseAudio or PipeWire takes for its default ``sink`` or ``source``; None where ``pactl`` does not
    tell."""
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["pactl", f"get-default-{what}"], capture_output=True, text=True, timeout=_PACTL_S, check=True
        )
        return done.stdout.strip() or None
    return None


def probe(sd: Any, kind: str, index: int, rate: int) -> dict[str, Any]:
    """Whether device ``index`` opens and calls back. Plays silence, or records and throws away."""
    device = sd.query_devices(index)
    make = sd.RawOutputStream if kind == "output" else sd.RawInputStream
    last = 0.0

    def callback(data: Any, *_: Any) -> None:
        nonlocal last
        if kind == "output":
            data[:] = bytes(len(data))
        last = time.monotonic()

    most = int(device[f"max_{kind}_channels"])
    for samplerate, channels in dict.fromkeys(
        (r, c) for c in (1, 2) if c <= most for r in (rate, round(device["default_samplerate"]))
    ):
        try:
            stream = make(
                device=index, samplerate=samplerate, channels=channels, dtype="int16", callback=callback
            )
        except (sd.PortAudioError, ValueError):
            continue
        with contextlib.suppress(sd.PortAudioError), stream:
            start = time.monotonic()
            while time.monotonic() - start < PROBE_S:
                time.sleep(0.02)
                if last - start > STEADY_S:
                    return {"works": True, "name": device["name"]}
        break
    return {"works": False, "name": device["name"]}


def main() -> None:
    """The program."""
    if hasattr(os, "nice"):
        os.nice(10)  # the sound that plays meanwhile comes first
    import sounddevice as sd

    if sys.argv[1] == "list":
        result = list_all(sd)
    else:
        result = probe(sd, sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
