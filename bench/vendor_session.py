"""A session of SpatialReal both ways, measured from outside: ``python -m bench.vendor_session``.

The vendor's real package speaks with the stand-in of its service: with an avatar in a room of a real LiveKit
server, and without LiveKit. Of a clip (``--clip``, ``--pcm``, or ``AVATARKIT_CLIP``,
``AVATARKIT_CLIP_PCM``, else one made by code): whether each frame was shown, with its values, and each round
ended. Of beeps: the mouth against the sound at a PulseAudio sink. Of interruptions: how long mouth and sound
go on. The case with jitter needs Linux, root and the program `ip`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.testing.impairment import CLEAN, ImpairedServer, Impairment
from avatarkit_rtc.testing.server_build import ensure_server
from bench.lipsync import GOAL_MEDIAN_MS, LEFT_OUT, Ear, offsets_ms
from bench.processes import Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish
from bench.vendor_player import SETTLED_S
from bench.vendor_service import BEEPS_S, What, utterance
from tests.support.pulse import PulseServer

WAYS: Final = ("room", "direct")
GOAL_P95_MS: Final = 20.0
GOAL_JITTER_P95_MS: Final = 45.0
GOAL_INTERRUPT_MS: Final = 300.0
_START_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is measured."""

    clips: int = 10
    """Rounds of the clip."""
    beeps_s: float = 120.0
    cuts: int = 20
    """Interruptions."""
    jitter: bool = True


def measure(amounts: Amounts) -> Report:
    """Everything, both ways at the same time.

    Raises:
        AvatarKitError: there can be no such network on this machine.
        RuntimeError: one of the programs failed.
    """
    figures: list[Figure] = []
    notes: list[str] = []
    with PulseServer(*WAYS) as pulse, place() as where:
        for way, (seen, _) in _play("clip", amounts.clips, pulse, where).items():
            figures += _clip_figures(way, seen)
        for way, (seen, ear) in _play("beeps", amounts.beeps_s, pulse, where).items():
            figures += _sync_figures(way, seen, ear, GOAL_P95_MS, GOAL_MEDIAN_MS)
            notes.append(f"{way}: {len(seen['opened'])} beeps seen, underruns {seen['underruns']}")
        for way, (seen, ear) in _play("sound", amounts.cuts, pulse, where).items():
            figures += _cut_figures(way, seen, ear)
    if amounts.jitter:
        with PulseServer("room") as pulse:
            seen, ear = _play_with_jitter(amounts.beeps_s, pulse)
            figures += _sync_figures("room, 0-40 ms of jitter", seen, ear, GOAL_JITTER_P95_MS, None)
    settings = {"clips": amounts.clips, "beeps_s": amounts.beeps_s, "cuts": amounts.cuts}
    return Report("vendor_session", figures, settings, notes)


def _play(
    what: What, amount: float, pulse: PulseServer, where: Place
) -> dict[str, tuple[dict[str, Any], Ear]]:
    """Let a player of each way speak; what each has seen, and what was heard."""
    print(f"{what} …", file=sys.stderr)
    with contextlib.ExitStack() as ends:
        service = _service(what, ends)
        players, ears = {}, {}
        for way in WAYS:
            environment = {**pulse.env(sink=way), **where.environment, **service}
            room = f"{where.room}-{what}"
            players[way] = ends.enter_context(
                Program("-m", "bench.vendor_player", way, what, room, str(amount), environment=environment)
            )
            ears[way] = Ear(pulse, way)
            ends.callback(ears[way].close)
        return {way: (_found(players[way], what, amount), ears[way]) for way in WAYS}


def _play_with_jitter(seconds: float, pulse: PulseServer) -> tuple[dict[str, Any], Ear]:
    """Session and service on a good network, the player behind a bad one."""
    print("beeps with jitter …", file=sys.stderr)
    with contextlib.ExitStack() as ends:
        binary = ensure_server(lambda line: print(line, file=sys.stderr))
        network = ends.enter_context(ImpairedServer(binary=binary))
        outside = Place(network.server.url, network.server.api_key, network.server.api_secret)
        service = _service("beeps", ends)
        options = ("beeps", outside.room)
        talker = ends.enter_context(
            Program(
                *("-m", "bench.vendor_player", "talk", *options, str(seconds + BEEPS_S)),
                environment={**outside.environment, **service},
            )
        )
        talker.wait_for("connected", _START_S)
        player = ends.enter_context(
            Program(
                *("-m", "bench.vendor_player", "watch", *options, str(seconds)),
                environment={**pulse.env(sink="room"), **network.environment},
                within=list(network.namespace.command([])),
            )
        )
        ear = Ear(pulse, "room")
        ends.callback(ear.close)
        player.wait_for("connected", _START_S)
        network.change(down=Impairment(jitter_s=0.020), up=CLEAN)
        return _found(player, "beeps", seconds), ear


def _service(what: What, ends: contextlib.ExitStack) -> dict[str, str]:
    service = ends.enter_context(Program("-m", "bench.vendor_service", what, environment={}))
    service.wait_for("}", _START_S)
    addresses: dict[str, str] = json.loads(service.output.partition("serves ")[2].splitlines()[0])
    return addresses


def _found(player: Program, what: What, amount: float) -> dict[str, Any]:
    each_s = {"clip": 10.0 + len(utterance("clip").frames) / 25, "sound": 10.0, "beeps": 1.0}[what]
    player.wait(_START_S + amount * each_s + BEEPS_S)
    found: dict[str, Any] = json.loads(player.output.splitlines()[-1])
    return found


def _clip_figures(way: str, seen: dict[str, Any]) -> list[Figure]:
    frames, turns = len(utterance("clip").frames), seen["turns"]
    missing = frames_missing(seen["shown"], frames, turns)
    ended = sum(reason in ("transition-end", "end-flag") for reason in seen["ended"])
    return [
        Figure(f"{way}: rounds of the clip that were played", len(seen["shown"]), "", turns, at_least=True),
        Figure(f"{way}: rounds that ended", ended, "", turns, at_least=True),
        Figure(f"{way}: frames of {turns * frames} that were not shown", missing, "", 0),
        Figure(f"{way}: largest error of a frame's values", seen["largest_error"], "", 0.0),
    ]


def frames_missing(shown: Sequence[Sequence[int]], frames: int, turns: int) -> int:
    """How many frames of ``turns`` times a clip were not shown.

    Args:
        shown: numbers of the frames of each round. A turn that was held up may have two, of which the second
            goes on where the first has ended.
        frames: length of the clip.
        turns: how often it was said.
    """
    times = Counter(number for numbers in shown for number in numbers)
    return sum(max(0, turns - times[number]) for number in range(frames))


def _sync_figures(
    way: str, seen: dict[str, Any], ear: Ear, goal_p95_ms: float, goal_median_ms: float | None
) -> list[Figure]:
    offsets = offsets_ms(seen["opened"], ear.beeps())[LEFT_OUT:]
    if not len(offsets):
        raise RuntimeError(f"{way}: no beep was both heard and seen")
    return [
        Figure(f"{way}: |median| of mouth - beep", abs(float(np.median(offsets))), "ms", goal_median_ms),
        Figure(f"{way}: |mouth - beep|, 95 %", float(np.percentile(np.abs(offsets), 95)), "ms", goal_p95_ms),
    ]


def _cut_figures(way: str, seen: dict[str, Any], ear: Ear) -> list[Figure]:
    cuts = np.array(seen["cuts"])
    figures = []
    for name, moments in (("mouth still", np.array(seen["moved"])), ("silence", ear.ends())):
        after = after_cuts_ms(cuts, moments)
        figures += [
            Figure(f"{way}: from interrupt() to {name}, median", float(np.median(after)), "ms"),
            Figure(f"{way}: from interrupt() to {name}, longest", max(after), "ms", GOAL_INTERRUPT_MS),
        ]
    return figures


def after_cuts_ms(
    cuts: Sequence[float] | npt.NDArray[np.float64], moments: npt.NDArray[np.float64]
) -> list[float]:
    """For each of ``cuts`` the last of ``moments`` before the next turn, in milliseconds after the cut; 0
    where there is none."""
    return [1000 * max([*(moments[(moments > at) & (moments < at + SETTLED_S)] - at), 0.0]) for at in cuts]


def quick() -> Report:
    """The short form: clean, half a minute."""
    return measure(Amounts(clips=1, beeps_s=10.0, cuts=2, jitter=False))


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    usual = Amounts()
    parser.add_argument("--clip", help="JSON file of FLAME keyframes instead of AVATARKIT_CLIP")
    parser.add_argument("--pcm", help="its sound, instead of AVATARKIT_CLIP_PCM")
    parser.add_argument("--clips", type=int, default=usual.clips, help="rounds of the clip")
    parser.add_argument("--seconds", type=float, default=usual.beeps_s, help="of beeps")
    parser.add_argument("--cuts", type=int, default=usual.cuts, help="interruptions")
    parser.add_argument("--no-jitter", action="store_true", help="leave out the case with a bad network")
    options = parser.parse_args()
    for name, value in (("AVATARKIT_CLIP", options.clip), ("AVATARKIT_CLIP_PCM", options.pcm)):
        if value is not None:
            os.environ[name] = value
    on = machine()
    try:
        if options.quick:
            report = quick()
        else:
            report = measure(Amounts(options.clips, options.seconds, options.cuts, not options.no_jitter))
    except AvatarKitError as error:
        print(error, file=sys.stderr)
        return 2
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
