"""Speaker and microphone taken away and given back, many times: how soon there is sound again.

Starts PulseAudio daemons of its own. The device is unloaded and the daemon killed, in turn.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench import speaker
from bench.report import Figure, Report, arguments, machine, publish
from tests.support.pulse import PulseServer, tone

_SOURCE: Final = "mic"
"""On top of the monitor of a null sink, which by itself is deaf for the first 2 s."""
_TONE: Final = tone(440.0, 60.0)
_TIMEOUT_S: Final = 15.0
_ROOT: Final = Path(__file__).resolve().parent.parent


class Listener:
    """``bench.microphone_program`` in a process of its own."""

    def __init__(self, pulse: PulseServer) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.microphone_program"],
            cwd=_ROOT,
            env=pulse.env(source=_SOURCE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what ALSA says about daemons that are not there
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append(json.loads(line))

    def wait_for(self, event: str, seen: int) -> float | None:
        """The moment of the first ``event`` after ``seen`` of them all; None where it does not come."""
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            for each in self.events[seen:]:
                if each["event"] == event:
                    return float(each["t"])
            time.sleep(0.01)
        return None


def unplug(pulse: PulseServer, listener: Listener, away_s: float, *, crash: bool) -> speaker.Return:
    """Take the source away, or kill the daemon; bring it back; wait for sound."""
    seen = len(listener.events)
    speaker.take_away(pulse, away_s, crash=crash)
    listener.wait_for("lost", seen)
    with pulse.playing(speaker.BASE, _TONE):
        with pulse.recording(speaker.BASE):
            pass  # it hears from now on
        plug_in(pulse)
        start = time.monotonic()
        heard = listener.wait_for("loud", seen)
        listener.wait_for("back", seen)
    changes = [each["event"] for each in listener.events[seen:] if each["event"] in ("lost", "back")]
    back_s = float("inf") if heard is None else heard - start
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
        with Listener(pulse) as listener:
            with pulse.playing(speaker.BASE, _TONE):
                if listener.wait_for("loud", 0) is None:
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
