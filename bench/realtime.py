"""A conversation with a realtime model, from outside: ``python -m bench.realtime``.

The model is the stand-in server, in this process. The conversation runs in a process of its own and plays
into a null sink of PulseAudio, whose monitor tells what is heard; the view tells how far the mouth is open.
Measured are the time from the model's first sound to sound at the sink and to a moving mouth, and the time
from the server's word that the user begins to speak to silence and to a still mouth. The server's own part
(its detector, the way through the network) is in neither.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.testing.realtime import RATE, Reply, StandInRealtimeServer
from bench.latency import percentile
from bench.lipsync import Ear
from bench.processes import Program
from bench.realtime_program import POSES_HZ
from bench.report import Figure, Report, arguments, machine, publish
from tests.support.pulse import PulseServer

GOAL_MS: Final = 150.0
"""From the server's word to silence and to a still mouth."""

SINK: Final = "card"
PITCH_HZ: Final = 130.0
SPOKEN_S: Final = 1.2
"""The user speaks so long after the model began."""
PAUSE_S: Final = 1.0
MOVING: Final = 0.05
"""A mouth is still that is open by less than this."""
STILL_S: Final = 0.2
GRID_MS: Final = 5.0
"""Sound goes out each 10 ms, so it waits half of that on average."""
HALF_A_POSE_MS: Final = 500 / POSES_HZ
"""A pose is shown so much after its moment on average."""
LEFT_OUT: Final = 1
"""Turns at the beginning: a null sink wakes up in the first."""

_FIRST, _STARTED = "response.output_audio.delta", "input_audio_buffer.speech_started"


def vowel(seconds: float) -> bytes:
    """An a of even loudness, from the first sample to the last: 16-bit mono PCM at the stand-in's rate."""
    t = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros(len(t))
    for number in range(1, 40):
        frequency = number * PITCH_HZ
        gain = sum(math.exp(-0.5 * ((frequency - centre) / 120.0) ** 2) for centre in (760.0, 1320.0, 2550.0))
        sound += (gain + 0.02) * np.sin(2 * math.pi * frequency * t)
    return np.round(sound / np.abs(sound).max() * 20000).astype("<i2").tobytes()


def after(moments: Sequence[float], causes: Sequence[float], most_s: float = 1.0) -> list[float]:
    """Milliseconds from each of ``causes`` to the first of ``moments`` behind it; those without are left
    out."""
    found = []
    for cause in causes:
        behind = [each - cause for each in moments if 0 <= each - cause < most_s]
        if behind:
            found.append(1000 * min(behind))
    return found


def mouth_moments(lines: Sequence[str]) -> tuple[list[float], list[float]]:
    """When the mouth began to move, and when it came to rest for at least 0.2 s, by the lines of
    ``bench.realtime_program``."""
    poses = [tuple(map(float, line.split())) for line in lines if len(line.split()) == 2]
    moving = np.array([t for t, opening in poses if opening >= MOVING])
    still = np.array([t for t, opening in poses if opening < MOVING])
    if not len(moving):
        return [], []
    pauses = np.flatnonzero(np.diff(moving) > STILL_S)
    begins = moving[np.concatenate([[0], pauses + 1])]
    lasts = moving[np.concatenate([pauses, [len(moving) - 1]])]
    rests = [still[still > last] for last in lasts]
    return [float(each) for each in begins], [float(each[0]) for each in rests if len(each)]


async def converse(server: StandInRealtimeServer, turns: int) -> tuple[list[float], list[float]]:
    """Let the model speak and the user interrupt it; returns when the first sound of each turn was sent, and
    when the word that the user speaks was."""
    first: list[float] = []
    started: list[float] = []
    waiting = False

    def sent(kind: str) -> None:
        nonlocal waiting
        if kind == _FIRST and waiting:
            waiting = False
            first.append(time.monotonic())
        elif kind == _STARTED:
            started.append(time.monotonic())

    server.on_sent = sent
    await asyncio.sleep(2 * PAUSE_S)
    for number in range(turns):
        waiting = True
        server.speak()
        await asyncio.sleep(SPOKEN_S + 0.013 * (number % 7))  # not always at the same place of a frame
        await server.speech_started()
        await asyncio.sleep(PAUSE_S)
    return first, started


async def run(pulse: PulseServer, turns: int) -> Report:
    """Measure ``turns`` turns, after some that are left out.

    Raises:
        RuntimeError: the program failed.
    """
    reply = Reply("a", speech=vowel(3.0))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        poses = Path(folder) / "poses"
        async with StandInRealtimeServer(reply=reply) as server:
            environment = {**pulse.env(sink=SINK), "REALTIME_API_KEY": server.key}
            program = ["-m", "bench.realtime_program", server.url, str(poses)]
            with Program(*program, environment=environment) as talking:
                await asyncio.to_thread(talking.wait_for, "ready")
                ear = Ear(pulse, SINK)
                try:
                    first, started = await converse(server, turns + LEFT_OUT)
                finally:
                    ear.close()
                talking.stop()
                await asyncio.to_thread(talking.wait_for, "speaker ")
                said = talking.output.partition("speaker ")[2].splitlines()[0]
        return report(
            ear.beeps(),
            ear.ends(),
            poses.read_text(encoding="utf-8").splitlines(),
            first[LEFT_OUT:],
            started[LEFT_OUT:],
            json.loads(said),
        )


def report(
    begins: npt.NDArray[np.float64],
    ends: npt.NDArray[np.float64],
    poses: Sequence[str],
    first: Sequence[float],
    started: Sequence[float],
    speaker: dict[str, Any],
) -> Report:
    """The figures of what was noted."""
    opened, shut = mouth_moments(poses)
    measured = {
        "first sound of the model to sound": after([float(each) for each in begins], first),
        "first sound of the model to moving mouth": after(opened, first),
        "user speaks to silence": after([float(each) for each in ends], started),
        "user speaks to still mouth": after(shut, started),
    }
    figures: list[Figure] = []
    for name, values in measured.items():
        goal = GOAL_MS if name.startswith("user") else None
        figures += [
            Figure(f"{name}, median", statistics.median(values), "ms", goal),
            Figure(f"{name}, 95 %", percentile(values, 0.95), "ms", goal),
        ]
    depth, device = float(speaker["depth_ms"]), float(speaker["device_ms"])
    known = GRID_MS + depth + device
    rest = statistics.median(measured["first sound of the model to sound"]) - known
    known_mouth = known + HALF_A_POSE_MS  # the mouth keeps in step with the sound
    rest_mouth = statistics.median(measured["first sound of the model to moving mouth"]) - known_mouth
    figures += [
        Figure("known parts to sound: grid", GRID_MS, "ms"),
        Figure("known parts to sound: our ring, on average", depth, "ms"),
        Figure("known parts to sound, and to silence: the sound card, as it says", device, "ms"),
        Figure("known parts to sound, sum", known, "ms"),
        Figure("the rest: socket, resampler, sound server, its monitor and the recorder", rest, "ms"),
        Figure("known parts to moving mouth: those to sound, and half a pose", known_mouth, "ms"),
        Figure("the rest: socket, and, before its first frame, the mouth's way from rest", rest_mouth, "ms"),
        Figure("underruns", float(speaker["underruns"]), ""),
        Figure("turns without a measurement", float(4 * len(first) - sum(map(len, measured.values()))), ""),
    ]
    held = float(speaker["held_up_ms"])
    return Report("realtime", figures, {"turns": len(first)}, [f"the program was held up for {held:.0f} ms"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measurement; returns the exit code."""
    options = arguments(__doc__).parse_args(argv)
    where = machine()
    with PulseServer(SINK) as pulse:
        found = asyncio.run(run(pulse, 3 if options.quick else 40))
    return publish(found, where, options.json)


if __name__ == "__main__":
    sys.exit(main())
