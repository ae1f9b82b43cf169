"""What ``bench.speaker`` measures: a program that plays a tone without a break and does as it is told.

Commands come as lines on its input, what happens goes out as lines of JSON. Moments are monotonic seconds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import threading
import time
from typing import Any, Final

import numpy as np

from avatarkit_rtc.audio import AudioBlock, open_speaker
from avatarkit_rtc.audio.playback import Playback
from avatarkit_rtc.events import AudioDeviceChange

RATE: Final = 48000
FREQUENCY: Final = 440.0
LEVEL: Final = 0.3
_BLOCK: Final = 480
_HOG_S: Final = 0.020


def say(**what: Any) -> None:
    """Print one line."""
    print(json.dumps(what), flush=True)


class Hog:
    """A thread that keeps the interpreter to itself for 20 ms, sleeps as long, and so on."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._numbers = range(_numbers_for(_HOG_S))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_HOG_S):
            sum(self._numbers)  # one call into C, which no other thread can interrupt

    def stop(self) -> None:
        """No more."""
        self._stop.set()
        self._thread.join()


def _numbers_for(seconds: float) -> int:
    count = 100_000
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        sum(range(count))
        best = min(best, time.perf_counter() - start)
    return round(count * seconds / best)


class CallbackCost:
    """Processor time of each callback, and how long it took with all the waiting for the interpreter."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []
        real = Playback.callback

        def timed(playback: Playback, *block: Any) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            real(playback, *block)
            self.cpu.append(time.thread_time() - cpu)
            self.wall.append(time.perf_counter() - wall)

        Playback.callback = timed  # type: ignore[method-assign]


class Player:
    """Plays the tone, in blocks of 10 ms."""

    def __init__(self, speaker: Any) -> None:
        self.speaker = speaker
        self.muted = False
        self._phase = 0

    async def run(self) -> None:
        """For ever."""
        due = time.monotonic()
        while True:
            if not self.muted:
                at = 2 * np.pi * FREQUENCY / RATE * (self._phase + np.arange(_BLOCK))
                samples = np.rint(LEVEL * 32767 * np.sin(at)).astype(np.int16)[:, np.newaxis]
                self.speaker.write(AudioBlock(samples, RATE, time.monotonic()))
                self._phase += _BLOCK
            due += _BLOCK / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))


async def main() -> None:
    """Until the input ends."""
    cost = CallbackCost()
    hog: Hog | None = None

    def changed(change: AudioDeviceChange, message: str) -> None:
        say(event=change.value, message=message, t=time.monotonic())

    speaker, problem = await open_speaker(sys.argv[1], on_event=changed)
    if problem is not None:
        raise SystemExit(problem)
    player = Player(speaker)
    playing = asyncio.create_task(player.run())
    say(ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.strip():
            case "stats":
                percent = [np.percentile(each or [0.0], 99) * 1e3 for each in (cost.cpu, cost.wall)]
                say(stats=dataclasses.asdict(speaker.stats()), cpu_p99_ms=percent[0], wall_p99_ms=percent[1])
            case "flush":
                start = time.monotonic()
                player.muted = True
                speaker.flush()
                say(flushed=start, took=time.monotonic() - start, depth_ms=speaker.stats().depth_ms)
            case "speak":
                player.muted = False
            case "hog":
                hog = Hog()
            case "rest":
                if hog is not None:
                    hog.stop()
    playing.cancel()
    await speaker.aclose()


if __name__ == "__main__":
    asyncio.run(main())
