"""Lip sync measured from outside: ``python -m bench.lipsync``.

A stand-in avatar opens its mouth at the moment of a beep. Its voice is played into a null sink of
PulseAudio, whose monitor tells when each beep was audible; the view tells when the mouth opened. Beside it,
in the same room, a program that plays the sound as it comes and draws each frame on arrival, as the SDK's
examples would.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.testing import LocalServer
from avatarkit_rtc.testing.beeps import beeps
from avatarkit_rtc.testing.performer import Utterance
from avatarkit_rtc.testing.server_build import ensure_server
from bench.processes import AVATARKIT, Place
from tests.support.pulse import RATE, PulseServer

MATCH_S: Final = 0.45
"""A mouth that opens further from a beep than this belongs to another."""

_CHUNK: Final = 240
_LOUD: Final = 2000
_QUIET_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Case:
    """One condition."""

    name: str
    goal_p95_ms: float
    silence_s: tuple[float, ...] = (0.04,)
    """Silence at the start of each 8 s; at least a frame, as the way to an open mouth begins earlier."""
    audio_delay_ms: int = 40
    hold_every_s: float = 0.0
    """The server is stopped for 150 ms that often."""


CASES: Final = (
    Case("clean", 20.0),
    Case("rounds that start with 0-300 ms of silence", 20.0, silence_s=(0.04, 0.12, 0.2, 0.32)),
    Case("150 ms holds", 45.0, hold_every_s=7.0),
    Case("a sender that queues 200 ms of sound", 20.0, audio_delay_ms=240),
)


class Ear:
    """Records a sink's monitor and tells when each beep was audible, in monotonic seconds."""

    def __init__(self, pulse: PulseServer, sink: str) -> None:
        command = ["parec", "--raw", f"--device={sink}.monitor", f"--rate={RATE}", "--channels=1"]
        command += ["--format=s16le", "--latency-msec=5"]
        self._child = subprocess.Popen(command, env=pulse.env(), stdout=subprocess.PIPE, bufsize=0)
        self._chunks: list[bytes] = []
        self._marks: list[tuple[int, float]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        total = 0
        while data := self._child.stdout.read(2 * _CHUNK):
            total += len(data)
            self._chunks.append(data)
            self._marks.append((total // 2, time.monotonic()))

    def beeps(self) -> npt.NDArray[np.float64]:
        """Moments at which beeps began; ends the recording."""
        self._child.terminate()
        self._thread.join(5)
        self._child.wait(5)
        raw = b"".join(self._chunks)
        samples = np.abs(np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.int32))
        counts, times = (np.array(each, float) for each in zip(*self._marks, strict=True))
        # A chunk comes late or in time, never early: the lower envelope over 20 s is the recorder's clock.
        starts = times - counts / RATE
        loud = np.flatnonzero(samples > _LOUD)
        if not len(loud):
            return np.zeros(0)
        first = loud[np.concatenate([[True], np.diff(loud) > _QUIET_S * RATE])]
        begins = [starts[np.abs(counts - at) < 10 * RATE].min() for at in first]
        return np.array(begins) + first / RATE


def offsets_ms(opened: list[float], heard: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mouth minus beep, for each beep that has a mouth."""
    mouths = np.array(opened)
    if not len(mouths):
        return np.zeros(0)
    nearest = np.array([mouths[np.argmin(np.abs(mouths - at))] - at for at in heard])
    return 1000 * nearest[np.abs(nearest) < MATCH_S]


@contextlib.contextmanager
def _publisher(place: Place, case: Case, folder: Path) -> Iterator[None]:
    """The stand-in avatar with its beeps, in a process of its own."""
    sound = [beeps(8.0, every_s=1.0, silence_s=silence, seed=n) for n, silence in enumerate(case.silence_s)]
    whole = _joined(sound)
    clip, pcm = folder / "beeps.json", folder / "beeps.wav"
    keyframes = [
        {"jawPose": frame.jaw_pose.tolist(), "rotation": frame.rotation.tolist()} for frame in whole.frames
    ]
    clip.write_text(json.dumps({"keyframes": keyframes}))
    with wave.open(str(pcm), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(whole.sample_rate)
        file.writeframes(whole.pcm.tobytes())
    options = ["--room", place.room, "--clip", str(clip), "--pcm", str(pcm), "--pause", "1.0"]
    options += ["--audio-delay", str(case.audio_delay_ms)]
    child = subprocess.Popen(
        [sys.executable, *AVATARKIT, "publish", *options],
        env=_environment(place),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        child.terminate()
        child.wait(10)


def _joined(parts: list[Utterance]) -> Utterance:
    frames = tuple(frame for part in parts for frame in part.frames)
    return Utterance(frames, np.concatenate([part.pcm for part in parts]), parts[0].sample_rate)


def _environment(place: Place, extra: dict[str, str] | None = None) -> dict[str, str]:
    import os

    return {**os.environ, **(extra or {}), **place.environment}


def measure(case: Case, seconds: float, server: LocalServer, pulse: PulseServer) -> dict[str, object]:
    """Play ``case`` both ways at once; the figures of each."""
    place = Place(server.url, server.api_key, server.api_secret)
    figures: dict[str, object] = {"case": case.name, "goal_p95_ms": case.goal_p95_ms}
    with tempfile.TemporaryDirectory() as folder, _publisher(place, case, Path(folder)):
        players = {}
        for way, sink in (("following", "one"), ("on-arrival", "two")):
            players[way] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "bench.lipsync_player", way, place.room),
                    *(str(seconds), str(case.audio_delay_ms)),
                ],
                env=_environment(place, pulse.env(sink=sink)),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        ears = {way: Ear(pulse, sink) for way, sink in (("following", "one"), ("on-arrival", "two"))}
        _hold(server, case, players["following"])
        for way, player in players.items():
            out, _ = player.communicate(timeout=seconds + 60)
            seen = json.loads(out)
            offsets = offsets_ms(seen["opened"], ears[way].beeps())[3:]
            figures[way] = {
                "beeps": len(offsets),
                "median_ms": float(np.median(offsets)) if len(offsets) else None,
                "p95_abs_ms": float(np.percentile(np.abs(offsets), 95)) if len(offsets) else None,
                "underruns": seen["underruns"],
                "av_offset_ms": seen["av_offset_ms"],
                "target_delay_ms": seen["target_delay_ms"],
            }
    return figures


def _hold(server: LocalServer, case: Case, player: subprocess.Popen[str]) -> None:
    while player.poll() is None:
        if not case.hold_every_s:
            time.sleep(0.2)
            continue
        time.sleep(case.hold_every_s)
        server.pause()
        time.sleep(0.15)
        server.resume()


def main() -> int:
    """Run all cases, print a table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.lipsync", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of each case")
    parser.add_argument("--quick", action="store_true", help="20 s of the first case")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    cases, seconds = (CASES[:1], 20.0) if arguments.quick else (CASES, arguments.seconds)
    results = []
    with LocalServer(ensure_server(print)) as server, PulseServer("one", "two") as pulse:
        for case in cases:
            found = measure(case, seconds, server, pulse)
            results.append(found)
            print(f"{case.name}: 95 % of |mouth - beep| at most {case.goal_p95_ms:.0f} ms wanted")
            for way in ("following", "on-arrival"):
                print(f"  {way}: {found[way]}", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    held = [
        isinstance(found["following"], dict)
        and (found["following"]["p95_abs_ms"] or 1e9) <= found["goal_p95_ms"]  # type: ignore[operator]
        for found in results
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
