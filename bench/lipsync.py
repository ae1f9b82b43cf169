"""Lip sync measured from outside: ``python -m bench.lipsync``.

A stand-in avatar opens its mouth at the moment of a beep. Its voice is played into a null sink of
PulseAudio, whose monitor tells when each beep was audible; the view tells when the mouth opened. Beside it,
in the same room, a program that plays the sound as it comes and draws each frame on arrival, as the SDK's
examples would; and on the clean network the mouth that a window's face makes of the sound. The cases with a
bad network need Linux, root and the program `ip`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.testing import LocalServer
from avatarkit_rtc.testing.impairment import CLEAN, ImpairedServer, Impairment, Outage
from avatarkit_rtc.testing.server_build import ensure_server
from bench.processes import Place, Program
from bench.report import Figure, Report, arguments, machine, publish
from tests.support.pulse import RATE, PulseServer

MATCH_S: Final = 0.45
"""A mouth that opens further from a beep than this belongs to another."""

SPEAKING: Final = "speaking"
ON_ARRIVAL: Final = "on arrival"
WAYS: Final = {"following": "one", ON_ARRIVAL: "two", SPEAKING: "three"}
"""Ways of playing, and the sink of each."""

ON_ITS_WAY_S: Final = 0.2
"""About so much longer than motion is sound on its way to the ear: where nobody waits for it, the mouth of a
beep is to be looked for so much earlier."""

LEFT_OUT: Final = 3
"""Beeps at the beginning, while nothing is known yet."""

GOAL_MEDIAN_MS: Final = 10.0

QUICK: Final = ("clean", "rounds", "queue")
"""Cases of the short form: those that need no root."""

QUICK_S: Final = 15.0

_CHUNK: Final = 240
_LOUD: Final = 2000
_QUIET_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Case:
    """One condition."""

    name: str
    about: str
    goal_p95_ms: float
    silences_s: tuple[float, ...] = (0.04,)
    """Silence at the start of the rounds, in turn. Without any, the way from idle already opens the mouth:
    that is not looked at, the frames of the round are."""
    pauses_s: tuple[float, ...] = (1.0,)
    """Between the rounds, in turn."""
    audio_delay_ms: int = 40
    face: bool = False
    """Whether the mouth that the face makes of the sound is measured, too."""
    network: Impairment | None = None
    """From the server to both players; None for no relay at all."""


CASES: Final = (
    Case("clean", "no impairment", 20.0, face=True),
    Case(
        "rounds",
        "rounds that start with 0-320 ms of silence, every other one without a pause before it",
        20.0,
        silences_s=(0.0, 0.12, 0.2, 0.32),
        pauses_s=(0.0, 1.0),
    ),
    Case("jitter", "0-40 ms of jitter", 45.0, network=Impairment(jitter_s=0.020)),
    Case("more-jitter", "0-80 ms of jitter, 40 on average", 45.0, network=Impairment(jitter_s=0.040)),
    Case(
        "holds",
        "the network holds everything for 150 ms, every 7 s",
        45.0,
        network=Impairment(outages=[Outage(3.0, 0.15, 7.0, holds=True)]),
    ),
    Case("queue", "a sender that queues 200 ms of sound, audio_delay_ms set to it", 20.0, audio_delay_ms=240),
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

    def close(self) -> None:
        """End the recording. More than once is fine."""
        self._child.terminate()
        self._thread.join(5)
        self._child.wait(5)

    def beeps(self) -> npt.NDArray[np.float64]:
        """Moments at which beeps began; ends the recording."""
        loud = self._loud()
        if not len(loud):
            return np.zeros(0)
        return self._moments(loud[np.concatenate([[True], np.diff(loud) > _QUIET_S * RATE])])

    def ends(self) -> npt.NDArray[np.float64]:
        """Moments at which sound ended, silence of 0.2 s following; ends the recording."""
        loud = self._loud()
        if not len(loud):
            return np.zeros(0)
        return self._moments(loud[np.concatenate([np.diff(loud) > _QUIET_S * RATE, [True]])])

    def _loud(self) -> npt.NDArray[np.int64]:
        """Numbers of the loud samples; ends the recording."""
        self.close()
        raw = b"".join(self._chunks)
        samples = np.abs(np.frombuffer(raw[: len(raw) // 2 * 2], "<i2").astype(np.int32))
        return np.flatnonzero(samples > _LOUD)

    def _moments(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """When samples were recorded, in monotonic seconds."""
        counts, times = (np.array(each, float) for each in zip(*self._marks, strict=True))
        # A chunk comes late or in time, never early: the lower envelope over 20 s is the recorder's clock.
        starts = times - counts / RATE
        begins = [starts[np.abs(counts - at) < 10 * RATE].min() for at in numbers]
        return np.array(begins) + numbers / RATE


def offsets_ms(
    opened: list[float], heard: npt.NDArray[np.float64], expected_s: float = 0.0
) -> npt.NDArray[np.float64]:
    """Mouth minus beep, for each beep that has a mouth within 450 ms of where it is ``expected_s``."""
    mouths = np.array(opened)
    if not len(mouths):
        return np.zeros(0)
    nearest = np.array([mouths[np.argmin(np.abs(mouths - at - expected_s))] - at for at in heard])
    return 1000 * nearest[np.abs(nearest - expected_s) < MATCH_S]


def measure(cases: Sequence[Case], seconds: float) -> Report:
    """Play each case both ways at once.

    Raises:
        AvatarKitError: there can be no such network on this machine.
        RuntimeError: one of the programs failed.
    """
    figures: list[Figure] = []
    notes: list[str] = []
    with PulseServer(*WAYS.values()) as pulse:
        for case in cases:
            print(f"{case.name}: {case.about} …", file=sys.stderr)
            found = _play(case, seconds, pulse)
            figures += _figures(case, found)
            notes += [f"{case.name}: {case.about}", *_notes(case, found)]
    return Report("lipsync", figures, {"seconds": seconds}, notes)


def _play(case: Case, seconds: float, pulse: PulseServer) -> dict[str, dict[str, Any]]:
    """What each way showed: the player's own words, ``offsets``, and ``without`` for beeps without a
    mouth."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as ends:
        outside, inside, within, change = _place(case, ends)
        rounds = json.dumps([case.silences_s, case.pauses_s, case.audio_delay_ms])
        avatar = Program("-m", "bench.lipsync_avatar", outside.room, rounds, environment=outside.environment)
        ends.enter_context(avatar)
        players, ears = {}, {}
        for way, sink in WAYS.items():
            if way == SPEAKING and not case.face:
                continue
            options = [outside.room, str(seconds), str(case.audio_delay_ms)]
            players[way] = ends.enter_context(
                Program(
                    *("-m", "bench.lipsync_player", way, *options),
                    environment={**pulse.env(sink=sink), **inside},
                    within=within,
                )
            )
            ears[way] = Ear(pulse, sink)
            ends.callback(ears[way].close)
        for player in players.values():
            player.wait_for("connected", 60.0)
        change()  # not before: how to join over such a network is another question
        for way, player in players.items():
            player.wait(seconds + 60.0)
            seen = json.loads(player.output.splitlines()[-1])
            found[way] = seen
            heard = ears[way].beeps()
            heard = heard[heard < seen["ended"] - MATCH_S][LEFT_OUT:]
            expected_s = -(ON_ITS_WAY_S + case.audio_delay_ms / 1000) if way == ON_ARRIVAL else 0.0
            found[way]["offsets"] = offsets_ms(seen["opened"], heard, expected_s)
            found[way]["without"] = len(heard) - len(found[way]["offsets"])
    return found


def _place(case: Case, ends: contextlib.ExitStack) -> tuple[Place, dict[str, str], list[str], Any]:
    """Where the avatar is, the players' environment and how to get there, and what makes the network bad."""
    binary = ensure_server(lambda line: print(line, file=sys.stderr))
    if case.network is None:
        server = ends.enter_context(LocalServer(binary))
        place = Place(server.url, server.api_key, server.api_secret)
        return place, place.environment, [], lambda: None
    network = ends.enter_context(ImpairedServer(binary=binary))
    place = Place(network.server.url, network.server.api_key, network.server.api_secret)
    impairment = case.network
    return (
        place,
        network.environment,
        list(network.namespace.command([])),
        lambda: network.change(down=impairment, up=CLEAN),
    )


def _figures(case: Case, found: dict[str, dict[str, Any]]) -> list[Figure]:
    figures = []
    for way, seen in found.items():
        goal, offsets = way != ON_ARRIVAL, seen["offsets"]
        if not len(offsets):
            raise RuntimeError(f"{case.name}, {way}: no beep was both heard and seen")
        median, high = float(np.median(offsets)), float(np.percentile(np.abs(offsets), 95))
        clean = goal and case.network is None
        figures += [
            Figure(f"{case.name}, {way}: median", abs(median), "ms", GOAL_MEDIAN_MS if clean else None),
            Figure(f"{case.name}, {way}: 95 %", high, "ms", case.goal_p95_ms if goal else None),
            Figure(f"{case.name}, {way}: beeps without a mouth", seen["without"], "", 0 if goal else None),
            Figure(f"{case.name}, {way}: underruns", seen["underruns"] or 0, ""),
        ]
    return figures


def _notes(case: Case, found: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for way, seen in found.items():
        offsets = seen["offsets"]
        low, median, high = np.percentile(offsets, [5, 50, 95])
        lines.append(
            f"  {way}: {len(offsets)} beeps, mouth minus beep 5 / 50 / 95 % {low:.1f} / {median:.1f} / "
            f"{high:.1f} ms; underruns {seen['underruns']}"
        )
    estimate = found["following"]["audio_delay_estimate_ms"]
    said = "not sure" if estimate is None else f"{estimate:.0f} ms"
    lines.append(f"  sound sent {case.audio_delay_ms} ms after its frame; the automatic estimate: {said}")
    return lines


def quick(names: Sequence[str] = QUICK, seconds: float = QUICK_S) -> Report:
    """The short form."""
    return measure([case for case in CASES if case.name in names], seconds)


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of each case")
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=[case.name for case in CASES],
        default=[case.name for case in CASES],
        metavar="NAME",
        help="some only: " + ", ".join(f"{case.name} ({case.about})" for case in CASES).replace("%", "%%"),
    )
    options = parser.parse_args()
    on = machine()
    try:
        report = (
            quick()
            if options.quick
            else measure([case for case in CASES if case.name in options.cases], options.seconds)
        )
    except AvatarKitError as error:
        print(error, file=sys.stderr)
        return 2
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
