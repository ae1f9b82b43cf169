"""From the microphone to the ears of another participant: delay, and whether anything is lost.

A tone burst each second is played into a PulseAudio null sink whose monitor is the microphone. The sound
card's own clock tells when it is in the room; the other participant, in the same process so that there is one
clock, tells when it comes out of LiveKit. Nothing may be lost on the way: blocks that PortAudio reports as
lost, blocks that waited too long, blocks that were recorded and not sent. With ``--hogs`` a thread of the
same process keeps the interpreter to itself for 20 ms, again and again, half of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.cli.options import join_token
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.livekit import LiveKitProvider
from bench.far_end import IDENTITY, RATE, FarEnd
from bench.processes import Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish
from bench.speaker_program import Hog
from tests.support.pulse import PulseServer

_BURST_S: Final = 0.08
_BURST_HZ: Final = 1500.0
_PERIOD_S: Final = 1.0
_LOUD: Final = 2000.0
"""Samples above this belong to a burst, of 32768."""
_LONGEST_S: Final = 0.9
_SETTLING_S: Final = 3.0

_RAISED: Final = np.sin(np.pi * np.arange(round(_BURST_S * RATE)) / (_BURST_S * RATE)) ** 0.5
_BURST: Final = (16000 * _RAISED * np.sin(2 * np.pi * _BURST_HZ * np.arange(len(_RAISED)) / RATE)).astype(
    np.int16
)


class Beeper:
    """Plays bursts on the default output; knows when each is audible."""

    def __init__(self) -> None:
        self.audible: deque[float] = deque(maxlen=10_000)
        """Moments at which bursts begin at the card's output, in monotonic seconds."""
        self._position = 0
        self._offsets: deque[float] = deque(maxlen=300)

    def callback(self, out: npt.NDArray[np.int16], frames: int, when: Any, _status: Any) -> None:
        """PortAudio's thread."""
        now = time.monotonic()
        out.fill(0)
        period = round(_PERIOD_S * RATE)
        start = self._position % period
        head = min(frames, max(0, len(_BURST) - start))
        if head:
            out[:head, 0] = _BURST[start : start + head]
        begins = (period - start) % period
        if begins < frames:
            count = min(frames - begins, len(_BURST))
            out[begins : begins + count, 0] = _BURST[:count]
        if when.currentTime:
            # The card's clock is another than Python's; the smallest delay of a callback is none.
            self._offsets.append(when.currentTime - now)
            dac = when.outputBufferDacTime - max(self._offsets)
            if begins < frames:
                self.audible.append(dac + begins / RATE)
        self._position += frames


def onsets(frames: Sequence[tuple[float, npt.NDArray[np.int16]]]) -> list[float]:
    """When each burst began to arrive: the arrival of its block, plus its place in the block, less the block
    (a block arrives when its last sample has)."""
    found: list[float] = []
    quiet_until = float("-inf")
    for t, samples in frames:
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _LOUD)
        if not len(loud):
            continue
        onset = t + (int(loud[0]) - len(samples)) / RATE
        if onset > quiet_until:
            found.append(onset)
        quiet_until = t + 0.2
    return found


def delays(audible: Sequence[float], heard: Sequence[float]) -> tuple[list[float], int]:
    """Delay of each burst in seconds, and how many were never heard."""
    found: list[float] = []
    missing = 0
    for moment in audible:
        delay = next((t - moment for t in heard if 0 < t - moment < _LONGEST_S), None)
        if delay is None:
            missing += 1
        else:
            found.append(delay)
    return found, missing


async def _inside(where: Place, seconds: float, *, hogs: bool) -> dict[str, Any]:
    """The measurement, in a process whose microphone hears what is played."""
    import sounddevice

    player = AvatarPlayer(LiveKitProvider(), play_audio=False)
    token = join_token(where.key, where.secret, where.room, IDENTITY)
    async with FarEnd().joined(where.url, token, speaks=False) as other, player:
        await player.connect(url=where.url, token=join_token(where.key, where.secret, where.room, "user"))
        await player.start_publishing()
        await other.wait_until_heard()
        beeper = Beeper()
        with sounddevice.OutputStream(
            samplerate=RATE,
            channels=1,
            dtype="int16",
            blocksize=480,
            latency=0.1,
            callback=beeper.callback,
        ):
            await asyncio.sleep(_SETTLING_S)
            hog = Hog() if hogs else None
            before = _counters(player)
            start = time.monotonic()
            other.frames.clear()
            await asyncio.sleep(seconds)
            after = _counters(player)
            end = time.monotonic()
            await asyncio.sleep(_LONGEST_S)
            if hog is not None:
                hog.stop()
        moments = [moment for moment in beeper.audible if start < moment < end]
        found, missing = delays(moments, onsets(other.frames))
    lost = {name: after[name] - before[name] for name in after}
    return {"delays": found, "missing": missing, "seconds": end - start, **lost}


def _counters(player: AvatarPlayer) -> dict[str, int]:
    stats = player.stats().audio
    assert stats.microphone is not None
    return {
        "sent": stats.microphone_blocks_sent or 0,
        "recorded": stats.microphone.blocks_recorded,
        "dropped": stats.microphone.blocks_dropped,
        "overflows": stats.microphone.overflows,
        "losses": stats.microphone.losses,
    }


def measure(where: Place, *, seconds: float, hogs: bool = False) -> Report:
    """Publish a microphone for ``seconds``, beside a thread that hogs the interpreter if ``hogs``."""
    with PulseServer("voice") as pulse, tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result"
        environment = {**pulse.env(sink="voice", source="voice.monitor"), **where.environment}
        arguments = ["--inside", where.room, "--seconds", str(seconds), "--json", str(result)]
        if hogs:
            arguments.append("--hogs")
        with Program("-m", "bench.microphone", *arguments, environment=environment) as program:
            program.wait(seconds + 60)
        found = json.loads(result.read_text())
    rising = sorted(1000 * delay for delay in found["delays"])
    return Report(
        "microphone",
        [
            Figure("delay, median", statistics.median(rising) if rising else float("nan"), "ms"),
            Figure("delay, 95 %", rising[int(0.95 * (len(rising) - 1))] if rising else float("nan"), "ms"),
            Figure("bursts", len(rising), ""),
            Figure("bursts never heard", found["missing"], "", 0),
            Figure("blocks of 10 ms recorded", found["recorded"], ""),
            Figure("the time, in blocks of 10 ms", 100 * found["seconds"], ""),
            Figure("blocks sent", found["sent"], ""),
            Figure("blocks dropped, the reader late", found["dropped"], "", 0),
            Figure("overflows before they came to us", found["overflows"], "", 0),
            Figure("times the microphone was lost", found["losses"], "", 0),
        ],
        {"seconds": seconds, "hogs": hogs},
        ["recorded and sent may differ by what is on its way at the two moments of counting"],
    )


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: ten minutes)")
    parser.add_argument("--hogs", action="store_true", help="beside 20 ms hogs of the interpreter, at 50 %%")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with place() as where:
        if options.inside:
            inside = Place(where.url, where.key, where.secret, options.inside)
            options.json.write_text(
                json.dumps(asyncio.run(_inside(inside, options.seconds, hogs=options.hogs)))
            )
            return 0
        on = machine()
        report = measure(where, seconds=10.0 if options.quick else options.seconds, hogs=options.hogs)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
