"""Speaker and microphone taken away and given back, many times: how soon there is sound again.

Starts PulseAudio daemons of its own. The device is unloaded and the daemon killed, in turn.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from typing import Final

from bench import speaker
from bench.json_program import JsonProgram
from bench.report import Figure, Report, arguments, machine, publish
from tests.support.pulse import PulseServer, tone

_SOURCE: Final = "mic"
"""On top of the monitor of a null sink, which by itself is deaf for the first 2 s."""
_TONE: Final = tone(440.0, 60.0)


def unplug(pulse: PulseServer, listener: JsonProgram, away_s: float, *, crash: bool) -> speaker.Return:
    """Take the source away, or kill the daemon; bring it back; wait for sound."""
    seen = len(listener.events)
    speaker.take_away(pulse, away_s, crash=crash)
    listener.event("lost", seen)
    with pulse.playing(speaker.BASE, _TONE):
        with pulse.recording(speaker.BASE):
            pass  # it hears from now on
        plug_in(pulse)
        start = time.monotonic()
        heard = listener.event("loud", seen)
        listener.event("back", seen)
    changes = [name for name in listener.changes(seen) if name in ("lost", "back")]
    back_s = float("inf") if heard is None else heard["t"] - start
    return speaker.Return(back_s, changes, listener.exit_code is None)


def plug_in(pulse: PulseServer) -> None:
    """Make the microphone appear."""
    master = f"master={speaker.BASE}.monitor"
    pulse.pactl("load-module", "module-remap-source", f"source_name={_SOURCE}", master)


def microphone(times: int) -> list[Figure]:
    """The source is unloaded and the daemon killed, in turn."""
    away = random.Random(7)
    with PulseServer(speaker.BASE) as pulse:
        plug_in(pulse)
        with JsonProgram("bench.microphone_program", environment=pulse.env(source=_SOURCE)) as listener:
            with pulse.playing(speaker.BASE, _TONE):
                if listener.event("loud", 0) is None:
                    raise AssertionError("nothing was heard")
            returns = []
            for time_ in range(times):
                returns.append(unplug(pulse, listener, away.uniform(0.3, 3.0), crash=bool(time_ % 2)))
                time.sleep(1.0)
        code = listener.exit_code
    wrong = sum(each.changes != ["lost", "back"] for each in returns)
    return [
        Figure(
            f"{times} returns of the microphone: until sound, median",
            statistics.median(each.back_s for each in returns),
            "s",
        ),
        Figure("microphone, longest", max(each.back_s for each in returns), "s", 2.0),
        Figure("returns without exactly the events lost and back", wrong, "", 0),
        Figure("returns that its process did not live to see", sum(not r.alive for r in returns), "", 0),
        Figure("exit code of its process", abs(code or 0), "", 0),
    ]


def measure(*, times: int) -> Report:
    """Both."""
    return Report("hot_plug", [*speaker.hot_plug(times), *microphone(times)], {"times": times})


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--times", type=int, default=20, help="how often each (default: 20)")
    options = parser.parse_args()
    on = machine()
    return publish(measure(times=2 if options.quick else options.times), on, options.json)


if __name__ == "__main__":
    sys.exit(main())
