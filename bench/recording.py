"""Lip sync and completeness of a recording, read back by other programs: ``python -m bench.recording``.

A stand-in avatar opens its mouth at the moment of a beep, through a real LiveKit server. A headless bot
records it with a face that flashes while the mouth is open and shows the number of its frame. Afterwards
ffprobe and ffmpeg read the file: when each flash and each beep begins, and which frame each picture is of.
With a second run behind 5 % loss and jitter where that is possible (Linux, root, `ip`).
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.testing.beeps import beeps
from avatarkit_rtc.testing.impairment import ImpairedServer, Impairment, unavailable
from avatarkit_rtc.testing.server_build import ensure_server
from bench.processes import AVATARKIT, Place, Program, place
from bench.recording_marks import NUMBER_SCALE, Seen, beeps_heard, pictures
from bench.report import Figure, Report, arguments, machine, publish

MEAN_MS: Final = 20.0
P95_MS: Final = 40.0
DRIFT_MS: Final = 5.0
LOSSY_MS: Final = 20.0
MATCH_S: Final = 0.3
"""A flash further from a beep than this belongs to another."""

LOSSY: Final = Impairment(loss=0.05, delay_s=0.020, jitter_s=0.020)
ROUND_S: Final = 8.0
PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Frames:
    """What became of the frames of all rounds."""

    rounds: int
    pictures: int
    """Pictures of rounds."""
    missing: int
    """Frames between the first and the last of a round that have no picture."""
    twice: int
    """Frames with more than one."""
    off_ms: tuple[float, ...]
    """By how much each picture's time is off frame number x 40 ms after its round's beginning."""


def offsets_ms(seen: Sequence[Seen], heard: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each beep with a flash: its time in seconds, and by how many ms the flash is later; shape (n,
    2)."""
    flashes = np.array([b.t for a, b in pairwise(seen) if b.flash and not a.flash])
    if not len(flashes) or not len(heard):
        return np.zeros((0, 2))
    nearest = flashes[np.abs(flashes[:, None] - heard[None, :]).argmin(axis=0)] - heard
    near = np.abs(nearest) < MATCH_S
    return np.stack([heard[near], 1000 * nearest[near]], axis=1)


def drift_ms(offsets: npt.NDArray[np.float64]) -> float:
    """Change of the offset from the first beep to the last, by a straight line through all."""
    if len(offsets) < 3:
        return 0.0
    slope = np.polyfit(offsets[:, 0], offsets[:, 1], 1)[0]
    return float(slope * (offsets[-1, 0] - offsets[0, 0]))


def frames_of(seen: Sequence[Seen]) -> Frames:
    """The frames that have a picture."""
    rounds = [
        list(group) for number, group in groupby(seen, key=lambda each: each.round) if number is not None
    ]
    missing = twice = count = 0
    off: list[float] = []
    for each in rounds:
        numbers = Counter(picture.number for picture in each if picture.number is not None)
        count += len(each)
        missing += max(numbers) - min(numbers) + 1 - len(numbers)
        twice += sum(n > 1 for n in numbers.values())
        begins = [p.t - p.number * FRAME_INTERVAL_S for p in each if p.number is not None]
        off += list(1000 * (np.array(begins) - np.median(begins)))
    return Frames(len(rounds), count, missing, twice, tuple(off))


@contextlib.contextmanager
def avatar(where: Place, folder: Path) -> Iterator[Program]:
    """The stand-in avatar with beeps and numbered frames, round after round."""
    spoken = beeps(ROUND_S, every_s=1.0, silence_s=0.2, seed=1)
    keyframes = [
        {"jawPose": frame.jaw_pose.tolist(), "translation": [number / NUMBER_SCALE, 0.0, 0.0]}
        for number, frame in enumerate(spoken.frames)
    ]
    clip, pcm = folder / "beeps.json", folder / "beeps.wav"
    clip.write_text(json.dumps({"keyframes": keyframes}))
    with wave.open(str(pcm), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(spoken.sample_rate)
        file.writeframes(spoken.pcm.tobytes())
    options = ["--room", where.room, "--clip", str(clip), "--pcm", str(pcm), "--pause", str(PAUSE_S)]
    with Program(*AVATARKIT, "publish", *options, environment=where.environment) as program:
        program.wait_for("publishing")
        yield program


def clean_run(out: Path, seconds: float) -> None:
    """Record ``seconds`` into ``out``.

    Raises:
        RuntimeError: one of the programs failed.
    """
    with place() as where, avatar(where, out.parent):
        bot = ["-m", "bench.recording_program", str(out), where.room, str(seconds)]
        with Program(*bot, environment=where.environment) as program:
            program.wait(seconds + 60)


def lossy_run(out: Path, seconds: float) -> None:
    """The same behind a network with 5 % loss and jitter.

    Raises:
        ServerError, MissingDependencyError: there can be no such network on this machine.
        RuntimeError: one of the programs failed.
    """
    with ImpairedServer(seed=1, binary=ensure_server(lambda line: print(line, file=sys.stderr))) as network:
        where = Place(network.server.url, network.server.api_key, network.server.api_secret)
        environment = {**where.environment, **network.environment}
        bot = ["-m", "bench.recording_program", str(out), where.room, str(seconds)]
        with Program(*bot, environment=environment, within=network.namespace.command([])) as program:
            program.wait_for("connected", 60.0)
            # Not before: how to join over such a network is another question.
            network.change(up=LOSSY, down=LOSSY)
            with avatar(where, out.parent):
                program.wait(seconds + 60)


def figures(out: Path, about: str, *, judged: bool) -> tuple[list[Figure], float]:
    """What a file shows, and the mean offset in ms.

    Raises:
        RuntimeError: it cannot be read, or holds no beep.
    """
    seen = pictures(out)
    offsets = offsets_ms(seen, beeps_heard(out))
    if not len(offsets):
        raise RuntimeError(f"no beep of {out} has a flash")
    frames = frames_of(seen)
    late = offsets[:, 1]
    mean = float(late.mean())
    off = np.abs(frames.off_ms)

    def goal(value: float) -> float | None:
        return value if judged else None

    return [
        Figure(f"{about}: beeps with their flash", len(late), ""),
        Figure(f"{about}: picture after sound, mean", mean, "ms"),
        Figure(f"{about}: the same, as an amount", abs(mean), "ms", goal(MEAN_MS)),
        Figure(f"{about}: 95 % of amounts", float(np.percentile(np.abs(late), 95)), "ms", goal(P95_MS)),
        Figure(f"{about}: drift over the file, as an amount", abs(drift_ms(offsets)), "ms", goal(DRIFT_MS)),
        Figure(f"{about}: pictures of rounds", frames.pictures, f"in {frames.rounds} rounds"),
        Figure(f"{about}: frames without a picture", frames.missing, "", goal(0)),
        Figure(f"{about}: frames with two", frames.twice, "", goal(0)),
        Figure(f"{about}: picture off its media time, 95 %", float(np.percentile(off, 95)), "ms"),
        Figure(f"{about}: picture off its media time, most", float(off.max()), "ms"),
    ], mean


def measure(seconds: float, *, suffix: str = ".mp4", lossy: bool = True, keep: Path | None = None) -> Report:
    """Record for ``seconds``, clean and lossy, and read both files."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found, means = [], []
        for about, run in (("clean", clean_run), ("5 % loss, jitter", lossy_run)):
            if run is lossy_run and not lossy:
                continue
            out = folder / f"{run.__name__}{suffix}"
            print(f"recording, {about}: {seconds:g} s …", file=sys.stderr)
            run(out, seconds)
            more, mean = figures(out, about, judged=run is clean_run)
            found += more
            means.append(mean)
        if len(means) == 2:
            apart = abs(means[1] - means[0])
            found.append(Figure("means, lossy and clean, apart", apart, "ms", LOSSY_MS))
    return Report("recording", found, {"seconds": seconds, "suffix": suffix})


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="length of each recording")
    parser.add_argument("--suffix", default=".mp4", help="kind of file: .mp4, .mkv or .webm")
    parser.add_argument("--keep", type=Path, help="keep the files in this folder")
    options = parser.parse_args()
    seconds = 25.0 if options.quick else options.seconds
    reason = unavailable()
    if reason is not None:
        print(f"no lossy run: {reason}", file=sys.stderr)
    on = machine()
    report = measure(seconds, suffix=options.suffix, lossy=reason is None, keep=options.keep)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
