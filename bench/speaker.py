"""The speaker on real sound servers and on a virtual clock: gaps, flushing, devices that come and go, drift.

Starts PulseAudio daemons of its own, whose null sinks are the sound cards; what is heard is what their
monitors record.
"""

from __future__ import annotations

import contextlib
import gc
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio import AudioBlock
from avatarkit_rtc.audio.intake import Intake
from avatarkit_rtc.audio.output import Gain
from avatarkit_rtc.audio.playback import Playback
from bench.json_program import JsonProgram
from bench.report import Figure, Report, arguments, machine, publish
from bench.speaker_program import LEVEL, RATE
from tests.support.pulse import PulseServer

SINK: Final = "card"
BASE: Final = "base"
"""A null sink. The card is a sink on top of it, because a null sink by itself is deaf for the first 2 s,
which no real card is."""
TARGET_S: Final = 0.060
_QUIET: Final = LEVEL * 32767 * 0.02
_GAP_S: Final = 0.002


def gaps(samples: npt.NDArray[np.int16]) -> list[float]:
    """Lengths in seconds of the breaks in a recording of the tone, from where it begins to where it ends."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _QUIET)
    between = np.diff(loud) / RATE
    return [float(length) for length in between[between > _GAP_S]]


def _wait_until_loud(recording: Any, timeout: float = 15.0) -> float:
    """Monotonic seconds at which the recording's last 20 ms were loud for the first time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        tail = recording.samples[-960:]
        if len(tail) and np.abs(tail.astype(np.int32)).max() > _QUIET:
            return time.monotonic()
        time.sleep(0.01)
    raise AssertionError("nothing was heard")


def plug_in(pulse: PulseServer) -> None:
    """Make the card appear."""
    pulse.pactl("load-module", "module-remap-sink", f"sink_name={SINK}", f"master={BASE}")


@contextlib.contextmanager
def playing() -> Iterator[tuple[PulseServer, JsonProgram]]:
    """A sound server of its own and a program that plays to it; the tone is heard."""
    with contextlib.ExitStack() as close:
        pulse = close.enter_context(PulseServer(BASE))
        plug_in(pulse)
        program = close.enter_context(
            JsonProgram("bench.speaker_program", "pulse", environment=pulse.env(sink=SINK))
        )
        program.wait_for("ready")
        with pulse.recording(SINK) as recording:
            _wait_until_loud(recording)
        yield pulse, program


def steady(seconds: float) -> list[Figure]:
    """Play on, alone and beside a thread that hogs the interpreter."""
    with playing() as (pulse, program):
        time.sleep(min(seconds, 10.0))
        before = program.ask("stats", "stats")["stats"]
        with pulse.recording(SINK) as alone:
            time.sleep(seconds)
        after = program.ask("stats", "stats")
        program.tell("hog")
        time.sleep(0.5)
        with pulse.recording(SINK) as beside:
            time.sleep(seconds)
        program.tell("rest")
        hogged = program.ask("stats", "stats")["stats"]
    stats = after["stats"]
    depth = stats["average_depth_ms"] or 0.0
    return [
        Figure("gaps heard", len(gaps(alone.samples)), "", 0),
        Figure("underruns", stats["underruns"] - before["underruns"], "", 0),
        Figure("average depth off its target", abs(depth - stats["target_ms"]), "ms", 10),
        Figure("callback, processor time, 99 %", after["cpu_p99_ms"], "ms", 0.2),
        Figure("callback, with waiting for the interpreter, 99 %", after["wall_p99_ms"], "ms"),
        Figure("gaps heard beside 20 ms hogs at 50 %", len(gaps(beside.samples)), "", 0),
        Figure("longest of them", max(gaps(beside.samples), default=0.0) * 1000, "ms"),
        Figure("underruns beside hogs", hogged["underruns"] - stats["underruns"], ""),
    ]


def long_run(minutes: float) -> list[Figure]:
    """Play for so long on a real sound server, and look at the ring each second."""
    with playing() as (pulse, program):
        time.sleep(10.0)
        before = program.ask("stats", "stats")["stats"]
        off, silences = [], []
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            with pulse.recording(SINK) as recording:
                stop = min(end, time.monotonic() + 60.0)
                while time.monotonic() < stop:
                    time.sleep(1.0)
                    stats = program.ask("stats", "stats")["stats"]
                    if stats["average_depth_ms"] is not None:  # None right after an underrun
                        off.append(abs(stats["average_depth_ms"] - stats["target_ms"]))
            silences += gaps(recording.samples)
    return [
        Figure(f"{minutes:g} min of playing: gaps heard", len(silences), "", 0),
        Figure("underruns", stats["underruns"] - before["underruns"], "", 0),
        Figure("sound dropped", stats["dropped_ms"] - before["dropped_ms"], "ms", 0),
        Figure("average depth off its target, longest", max(off), "ms", 10),
        Figure("correction of the rate at the end", abs(stats["correction_ppm"]), "ppm"),
    ]


def flushing(times: int) -> list[Figure]:
    """Interrupt it, and see how long it is still heard."""
    heard, own, depths = [], [], []
    with playing() as (pulse, program):
        for _ in range(times):
            with pulse.recording(SINK) as recording:
                time.sleep(0.5)
                start = time.monotonic()
                answer = program.ask("flush", "flushed")
                time.sleep(0.5)
                end, samples = time.monotonic(), recording.samples
            # The recording's end is now, less what it is late itself, which counts against us.
            last = np.flatnonzero(np.abs(samples.astype(np.int32)) > _QUIET)[-1]
            heard.append(end - (len(samples) - last) / RATE - start)
            own.append(answer["took"])
            depths.append(answer["depth_ms"])
            program.tell("speak")
            time.sleep(0.5)
    return [
        Figure("flush() to an empty ring, longest", max(own) * 1000, "ms", 50),
        Figure("what the ring held then", max(depths), "ms", 0),
        Figure("flush() to silence at the sink, median", statistics.median(heard) * 1000, "ms"),
        Figure("flush() to silence at the sink, longest", max(heard) * 1000, "ms", 150),
    ]


@dataclass(frozen=True, slots=True)
class Return:
    """One time that the device went and came back."""

    back_s: float
    """From the device's return to sound."""
    changes: list[str]
    alive: bool


def take_away(pulse: PulseServer, away_s: float, *, crash: bool) -> None:
    """Unload the base sink, or kill the daemon, and bring it back."""
    if crash:
        pulse.kill()
        time.sleep(away_s)
        pulse.revive()
    else:
        pulse.unload(pulse.module_of(BASE))  # and the card with it: else the daemon moves the stream there
        time.sleep(away_s)
        pulse.load_sink(BASE)
        pulse.keep_busy(BASE)


def unplug(pulse: PulseServer, program: JsonProgram, away_s: float, *, crash: bool) -> Return:
    """Take the sink away, or kill the daemon; bring it back; wait for sound."""
    seen = len(program.events)
    take_away(pulse, away_s, crash=crash)
    with pulse.recording(BASE):
        pass  # it hears from now on
    plug_in(pulse)
    start = time.monotonic()
    with pulse.recording(SINK) as recording:
        heard = _wait_until_loud(recording)
    deadline = time.monotonic() + 5.0
    while program.changes(seen)[-1:] != ["back"] and time.monotonic() < deadline:
        time.sleep(0.02)
    return Return(heard - start, program.changes(seen), program.exit_code is None)


def hot_plug(times: int) -> list[Figure]:
    """The sink is unloaded and the daemon killed, in turn."""
    away = random.Random(7)
    with playing() as (pulse, program):
        returns = []
        for time_ in range(times):
            returns.append(unplug(pulse, program, away.uniform(0.3, 3.0), crash=bool(time_ % 2)))
            time.sleep(1.0)
    code = program.exit_code
    told = sum(each.changes not in (["lost", "back"], ["lost", "unavailable", "back"]) for each in returns)
    return [
        Figure(f"{times} returns of the device: until sound, median", _median(returns), "s"),
        Figure("longest", max(each.back_s for each in returns), "s", 2.0),
        Figure("returns without the events lost and back", told, "", 0),
        Figure(
            "returns that the process did not live to see", sum(not each.alive for each in returns), "", 0
        ),
        Figure("exit code of the process", abs(code or 0), "", 0),
    ]


def _median(returns: list[Return]) -> float:
    return statistics.median(each.back_s for each in returns)


@dataclass(slots=True)
class Simulated:
    """The real ring, resampler and controller between an event loop and a card on a virtual clock."""

    ppm: float
    underruns: int = 0
    worst_s: float = 0.0
    """Largest distance of the average depth from its target."""
    held_samples: float = 0.0
    """What the resamplers hold back, by their position in the ring."""
    watch_memory: bool = False
    grown_bytes: int = 0

    def run(self, seconds: float, *, settle_s: float = 10.0) -> Self:
        """Play for so long: blocks of 20 ms, each up to 5 ms late."""
        late = random.Random(11)
        playback = Playback(RATE, 1, target_s=TARGET_S, max_s=0.2)
        intake = Intake(playback, Gain())
        out = np.empty((480, 1), np.int16)
        when = SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0)
        voice = (5000 * np.sin(np.arange(960) * 2 * np.pi / 96)).astype(np.int16)[:, np.newaxis]
        step, written, taken_at = 0.01 / (1 + self.ppm * 1e-6), 0, 0.0
        while (now := written * 0.02 + late.random() * 0.005) < seconds:
            if self.watch_memory and now > seconds / 2 and not tracemalloc.is_tracing():
                gc.collect()
                tracemalloc.start()
            while taken_at < now:
                playback.callback(out, 480, when, None)
                taken_at += step
            position = intake.write(AudioBlock(voice, RATE, now), now)
            written += 1
            if now > settle_s and intake.drift.average_s is not None:
                self.worst_s = max(self.worst_s, abs(intake.drift.average_s - TARGET_S))
            self.held_samples = position + len(voice) - playback.ring.write_position
        if tracemalloc.is_tracing():
            gc.collect()
            self.grown_bytes = tracemalloc.get_traced_memory()[
                0
            ]  # what came after the half and is still there
            tracemalloc.stop()
        self.underruns = intake.totals().underruns
        return self


def virtual_clock(minutes: float) -> list[Figure]:
    """Cards whose clocks are off."""
    figures = []
    for ppm in (100, -100, 1000, -1000):
        run = Simulated(ppm).run(minutes * 60)
        figures += [
            Figure(f"{minutes:g} min at {ppm:+d} ppm: underruns", run.underruns, "", 0),
            Figure("average depth off its target, longest after 10 s", run.worst_s * 1000, "ms", 10),
        ]
    return figures


def growth(minutes: float) -> Figure:
    """Memory that one ring, resampler and controller hold in the end and did not after half the time."""
    run = Simulated(100, watch_memory=True).run(minutes * 60)
    return Figure(f"memory grown over {minutes:g} min of blocks", run.grown_bytes / 1024, "KiB", 64)


def measure(*, quick: bool) -> Report:
    """All of it."""
    figures = [
        *steady(4.0 if quick else 60.0),
        *flushing(2 if quick else 20),
        *hot_plug(2 if quick else 20),
        *virtual_clock(1.0 if quick else 30.0),
        growth(1.0 if quick else 60.0),
    ]
    return Report("speaker", figures, {"quick": quick})


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, help="only play so long, without a break, and listen")
    options = parser.parse_args()
    on = machine()
    if options.minutes is not None:
        report = Report("speaker", long_run(options.minutes), {"minutes": options.minutes})
    else:
        report = measure(quick=options.quick)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
