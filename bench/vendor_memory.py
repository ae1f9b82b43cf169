"""Memory of speech without LiveKit, however far ahead the service runs: ``python -m bench.vendor_memory``.

One after another, each for half of the time: a service that answers a speech without end at once, as far as
it has its sound; and one that sends ten minutes of motion for each second of sound, which nobody asked for.
The service runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import psutil

from avatarkit_rtc import AvatarPlayer, MotionFrame
from avatarkit_rtc.integrations.spatialreal import SpatialRealProvider
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SpatialRealService
from bench.processes import Program
from bench.report import Figure, Report, arguments, machine, publish
from renderers import HeadlessSink

GOAL_MB: Final = 8.0
GOAL_SHORT: Final = 10.0
"""Hiccups that are caught up are up to 3 frames; some are on their way at the beginning and at the end."""
GOAL_FRAMES: Final = 800.0
"""30 s of sound are sent ahead: 750 keyframes, and a second for rounding up."""
RATE: Final = 24000
AHEAD_FRAMES: Final = 15000
"""Ten minutes."""
_SAMPLE_S: Final = 1.0
_SETTLED_S: Final = 5.0
_START_S: Final = 60.0

Case = Literal["good", "ten minutes ahead"]
CASES: Final[tuple[Case, ...]] = ("good", "ten minutes ahead")


class Overzealous:
    """Ten minutes of motion at the first sound of a turn."""

    def __init__(self, sample_rate: int) -> None:
        del sample_rate
        self._left = AHEAD_FRAMES

    def hear(self, samples: npt.NDArray[np.int16]) -> list[MotionFrame]:
        """All of it at once."""
        del samples
        made, self._left = self._left, 0
        return [MotionFrame.neutral()] * made

    def finish(self) -> list[MotionFrame]:
        """Nothing is left."""
        return []


async def serve(case: Case) -> None:
    """Be the service, until killed; prints its addresses as JSON."""
    behaviour = Behaviour(inference_s=0.0, keyframes=500, speed=1e6)
    performer = None if case == "good" else Overzealous
    async with SpatialRealService(performer=performer, behaviour=behaviour) as service:
        addresses = {"api_key": service.api_key, "app_id": service.app_id, "avatar_id": service.avatar_id}
        addresses |= {"console_url": service.console_url, "ingress_url": service.ingress_url}
        print("serves", json.dumps(addresses), flush=True)
        await asyncio.Event().wait()


@dataclass(slots=True)
class Found:
    """What was seen in one case."""

    used_mb: list[float]
    """Each second."""
    most_frames: int = 0
    """Keyframes held at a time."""
    shown: int = 0
    dropped: int = 0
    unaccounted: int = 0
    """Keyframes that came and were neither shown nor held nor counted as dropped."""
    held_up_s: float = 0.0
    """What hiccups of this program have cost."""
    spoken_s: float = 0.0
    """From the first sound to the end."""

    @property
    def short(self) -> float:
        """Frames that were not shown of those that there was time for."""
        return max(0.0, 25 * (self.spoken_s - self.held_up_s) - self.shown)


async def speech(seconds: float) -> AsyncIterator[npt.NDArray[np.int16]]:
    """A hum, as fast as it is taken."""
    second = np.rint(8000 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)).astype(np.int16)
    for _ in range(round(seconds)):
        yield second


async def speak(case: Case, where: dict[str, str], seconds: float) -> Found:
    """Speak for ``seconds`` through the service at ``where``.

    Raises:
        AvatarKitError: the avatar could not be made to speak, or no longer.
    """
    process, found = psutil.Process(os.getpid()), Found([])
    provider = SpatialRealProvider(**where, sample_rate=RATE)
    async with AvatarPlayer(provider, HeadlessSink(), play_audio=False) as player:
        await player.connect()

        loop = asyncio.get_running_loop()
        began: asyncio.Future[float] = loop.create_future()

        async def talk() -> None:
            while True:
                length = seconds + 60.0 if case == "good" else 1.0
                playback = await provider.say(speech(length), sample_rate=RATE)
                await playback.wait_started()
                if not began.done():
                    began.set_result(loop.time())
                await playback.wait()

        talking = asyncio.create_task(talk())
        await asyncio.wait([talking, began], timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        end = loop.time() + seconds
        sample_at = loop.time()
        while began.done() and loop.time() < end and not talking.done():
            await asyncio.sleep(0.01)
            found.most_frames = max(found.most_frames, provider.stats().held_frames)
            if loop.time() >= sample_at:
                sample_at += _SAMPLE_S
                found.used_mb.append(process.memory_info().rss / 2**20)
        if talking.done():
            talking.result()  # it ends only by failing
        stats = provider.stats()
        talking.cancel()
        await asyncio.wait([talking])
        counters = stats.counters
        found.spoken_s = loop.time() - began.result() if began.done() else 0.0
        found.shown, found.held_up_s = counters.shown, counters.held_up_s
        found.dropped = counters.surplus + counters.outdated + counters.late + counters.unasked
        found.unaccounted = counters.received - counters.shown - stats.held_frames - found.dropped
    return found


def measure(seconds: float) -> Report:
    """Both cases, ``seconds`` together.

    Raises:
        RuntimeError: nothing was shown.
    """
    figures = []
    for case in CASES:
        program = (
            "import asyncio, sys; from bench.vendor_memory import serve; asyncio.run(serve(sys.argv[1]))"
        )
        with Program("-c", program, case, environment={}) as service:
            service.wait_for("serves", 120.0)
            where = json.loads(service.output.partition("serves ")[2].splitlines()[0])
            found = asyncio.run(speak(case, where, seconds / 2))
            if not found.shown:
                raise RuntimeError(f"{case}: nothing was shown; the service said:\n{service.output}")
        # Medians, as what the allocator holds goes up and down; what is held ahead comes in the beginning.
        used = found.used_mb[round(min(_SETTLED_S, seconds / 8)) :]
        quarter = max(1, len(used) // 4)
        growth = statistics.median(used[-quarter:]) - statistics.median(used[:quarter])
        figures += [
            Figure(f"{case}: growth, first quarter to last", growth, "MB", GOAL_MB),
            Figure(f"{case}: memory at the end", used[-1], "MB"),
            Figure(f"{case}: keyframes held at most", found.most_frames, "", GOAL_FRAMES),
            Figure(f"{case}: keyframes shown", found.shown, ""),
            Figure(f"{case}: keyframes dropped", found.dropped, "", 0.0 if case == "good" else None),
            Figure(f"{case}: keyframes unaccounted for", abs(found.unaccounted), "", 0.0),
            Figure(f"{case}: hiccups of the program", found.held_up_s, "s"),
        ]
        if case == "good":  # the other one speaks with pauses
            figures.append(Figure(f"{case}: keyframes short of the time", found.short, "", GOAL_SHORT))
    return Report("vendor_memory", figures, {"seconds": seconds})


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    on = machine()
    return publish(measure(30.0 if options.quick else 60 * options.minutes), on, options.json)


if __name__ == "__main__":
    sys.exit(main())
