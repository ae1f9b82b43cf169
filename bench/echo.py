"""How much of the avatar's voice comes back to it, with and without the echo canceller.

The real chain: an avatar speaks through a LiveKit server, the player plays it into a PulseAudio sink, which
passes it on, 6 dB quieter, to the null sink that is the room; the microphone hears the room, and the avatar
records what the player publishes. First the avatar speaks alone, then a user in the room alone, then both at
once, with the voices of espeak-ng. Two settings at a time run in players of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.level import FLOOR_DBFS
from avatarkit_rtc.cli.options import join_token
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.livekit import LiveKitProvider
from bench.espeak import say
from bench.far_end import IDENTITY, FarEnd
from bench.processes import Place, Program, busy, place
from bench.report import Figure, Report, arguments, machine, publish
from tests.support.pulse import PulseServer

_OTHERS_OFF: Final = {"noise_suppression": False, "auto_gain_control": False, "high_pass_filter": False}
SETTINGS: Final[dict[str, dict[str, bool]]] = {
    "default": {},
    "default without canceller": {"echo_cancellation": False},
    "canceller alone": _OTHERS_OFF,
    "nothing": {"echo_cancellation": False, **_OTHERS_OFF},
    "half-duplex alone": {"half_duplex": True, "echo_cancellation": False, **_OTHERS_OFF},
}
_VOICES: Final = ("en-us", "en-gb+f3")
"""The avatar's and the user's."""
_ECHO_GAIN: Final = "-6dB"
_LEARNING_S: Final = 2.0
_MARGIN_S: Final = 0.6
"""Way through speaker, room, microphone and network: the ends of a part count with neither neighbour."""

Samples = npt.NDArray[np.int16]


def dbfs(samples: Samples) -> float:
    """Loudness of ``samples``, shape (n,), relative to full scale."""
    if not len(samples):
        return FLOOR_DBFS
    power = float(np.mean(np.square(samples.astype(np.float64))))
    return max(FLOOR_DBFS, 10 * np.log10(max(power, 1e-9) / 32768.0**2))


def likeness(heard: Samples, voice: Samples) -> float:
    """How much of the loudness curve of ``heard`` is that of ``voice``, 0 … 1, whatever the delay: the
    highest correlation of their levels in blocks of 10 ms. Both shape (n,)."""
    first, second = _levels(heard), _levels(voice)
    if not first.any() or not second.any():
        return 0.0
    correlation = np.correlate(first, second, mode="full")
    return max(0.0, float(correlation.max() / (np.linalg.norm(first) * np.linalg.norm(second))))


def _levels(samples: Samples) -> npt.NDArray[np.float64]:
    blocks = samples[: len(samples) // 480 * 480].reshape(-1, 480).astype(np.float64)
    levels = np.sqrt(np.mean(np.square(blocks), axis=1))
    return levels - levels.mean() if len(levels) else levels


async def _inside(setting: str, room: str, where: Place, sink: str, part_s: float) -> dict[str, float]:
    """One player, in a process whose sound goes to the sinks; the figures of ``setting``."""
    far, near = (say(voice, part_s) for voice in _VOICES)
    player = AvatarPlayer(LiveKitProvider(), **SETTINGS[setting])
    token = join_token(where.key, where.secret, room, IDENTITY)
    async with FarEnd().joined(where.url, token) as avatar, player:
        await player.connect(url=where.url, token=join_token(where.key, where.secret, room, "user"))
        await player.start_publishing()
        await avatar.wait_until_heard()
        await asyncio.sleep(1.0)

        async def part(far_speaks: bool, near_speaks: bool, skip_s: float = 0.0) -> Samples:
            start = time.monotonic()
            if far_speaks:
                avatar.speech = far.copy()
            speaking = _speak_into(sink, near) if near_speaks else None
            await asyncio.sleep(part_s + _MARGIN_S)
            if speaking is not None:
                speaking.kill()
                speaking.wait()
            return avatar.heard(start + skip_s, start + part_s)

        echo = await part(True, False, _LEARNING_S)
        alone = await part(False, True)
        both = await part(True, True)
        stats = player.stats().audio
        assert stats.microphone is not None
        assert stats.speaker is not None
    return {
        "echo_dbfs": dbfs(echo),
        "near_dbfs": dbfs(alone),
        "near_likeness": likeness(alone, near),
        "both_likeness": likeness(both, near),
        "both_dbfs": dbfs(both),
        "losses": stats.microphone.losses,
        "underruns": stats.speaker.underruns,
    }


def _speak_into(sink: str, samples: Samples) -> subprocess.Popen[bytes]:
    form = ("--raw", "--rate=48000", "--channels=1", "--format=s16le", "--latency-msec=20")
    with tempfile.TemporaryFile() as file:
        file.write(samples.astype("<i2").tobytes())
        file.seek(0)
        return subprocess.Popen(["pacat", *form, f"--device={sink}"], stdin=file)


def measure(where: Place, *, settings: Sequence[str], part_s: float, loaded: bool = False) -> Report:
    """Run ``settings``, two at a time, ``part_s`` seconds for each of the three parts; if ``loaded``, beside
    a process on each core that does nothing but work."""
    found: dict[str, dict[str, float]] = {}
    with busy() if loaded else contextlib.nullcontext():
        for first in range(0, len(settings), 2):
            found |= _run(where, settings[first : first + 2], part_s, first)
    return _report(found, part_s, loaded=loaded)


def _run(where: Place, settings: Sequence[str], part_s: float, run: int) -> dict[str, dict[str, float]]:
    numbers = range(len(settings))
    found: dict[str, dict[str, float]] = {}
    with (
        PulseServer(*(f"room{number}" for number in numbers)) as pulse,
        tempfile.TemporaryDirectory() as folder,
    ):
        results = [Path(folder) / str(number) for number in numbers]
        for number in numbers:
            # Not module-loopback, whose delay wanders by 20 ms and more: air does not.
            pulse.pactl(
                "load-module", "module-remap-sink", f"sink_name=speaker{number}", f"master=room{number}"
            )
        for index in _ways_through_the_room(pulse):
            pulse.pactl("set-sink-input-volume", index, _ECHO_GAIN)
        programs = [
            Program(
                *("-m", "bench.echo", "--inside", setting, "--room", f"{where.room}-{run + number}"),
                *("--sink", f"room{number}", "--part", str(part_s), "--json", str(results[number])),
                environment={
                    **pulse.env(sink=f"speaker{number}", source=f"room{number}.monitor"),
                    **where.environment,
                },
            )
            for number, setting in enumerate(settings)
        ]
        try:
            for setting, program, result in zip(settings, programs, results, strict=True):
                program.wait(3 * (part_s + _MARGIN_S) + 60)
                found[setting] = json.loads(result.read_text())
        finally:
            for program in programs:
                program.__exit__(None, None, None)
    return found


def _ways_through_the_room(pulse: PulseServer) -> list[str]:
    listed = pulse.pactl("list", "short", "sink-inputs").splitlines()
    return [line.split("\t")[0] for line in listed if "remap-sink" in line]


def _report(found: Mapping[str, Mapping[str, float]], part_s: float, *, loaded: bool) -> Report:
    figures: list[Figure] = []
    for setting, values in found.items():
        figures += [
            Figure(f"{setting}: echo", values["echo_dbfs"], "dBFS"),
            Figure(f"{setting}: user alone", values["near_dbfs"], "dBFS"),
            Figure(f"{setting}: user alone, likeness", values["near_likeness"], ""),
            Figure(f"{setting}: both at once, likeness to the user", values["both_likeness"], ""),
        ]
    figures += [
        Figure("times a microphone was lost", sum(v["losses"] for v in found.values()), "", 0),
        Figure("underruns of the speakers", sum(v["underruns"] for v in found.values()), ""),
    ]
    for on, off in (("default", "default without canceller"), ("canceller alone", "nothing")):
        if on in found and off in found:
            less = found[on]["echo_dbfs"] - found[off]["echo_dbfs"]
            kept = found[off]["near_dbfs"] - found[on]["near_dbfs"]
            figures += [
                Figure(f"{on}: echo against {off}", less, "dB", goal=-30.0),
                Figure(f"{on}: user alone, quieter than {off}", kept, "dB", goal=6.0),
            ]
    return Report("echo", figures, {"part_s": part_s, "echo_gain": _ECHO_GAIN, "loaded": loaded})


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    for name in ("--inside", "--room", "--sink"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--loaded", action="store_true", help="beside a process that works on each core")
    parser.add_argument("--part", type=float, default=20.0, help="seconds of each of the three parts")
    options = parser.parse_args()
    if options.inside:
        with place() as where:
            found: dict[str, Any] = asyncio.run(
                _inside(options.inside, options.room, where, options.sink, options.part)
            )
        options.json.write_text(json.dumps(found))
        return 0
    on = machine()
    with place() as where:
        settings = tuple(SETTINGS)[:2] if options.quick else tuple(SETTINGS)
        part_s = 5.0 if options.quick else options.part
        report = measure(where, settings=settings, part_s=part_s, loaded=options.loaded)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
