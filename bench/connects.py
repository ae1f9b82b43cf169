"""Whether connecting leaves anything behind: threads, tasks and open files over many connects of a player.

A stand-in avatar speaks in the room, so that each connect opens everything there is. The player paces itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import psutil

from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.cli.options import join_token
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from bench.processes import AVATARKIT, Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish

FIRST = 5
"""What is there after so many connects may be there at the end."""
ROOMS_GOAL = 12
SETTLE_S = 30.0
"""Within so long everything of a room must be gone; the SDK takes it down in the background."""
STAY_S = 0.3
_SAMPLE_EVERY_S = 0.05


class Held(NamedTuple):
    """What this process holds at a moment."""

    threads: int
    tasks: int
    files: int

    def within(self, other: Held) -> bool:
        """Whether it is no more than ``other`` in any respect."""
        return all(mine <= theirs for mine, theirs in zip(self, other, strict=True))


def held() -> Held:
    """What this process holds now."""
    process = psutil.Process()
    return Held(process.num_threads(), len(asyncio.all_tasks()), process.num_fds())


@dataclass(slots=True)
class Watch:
    """Looks again and again at what is held."""

    most: Held = field(default_factory=held)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look while the body runs."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self.most = Held(*(max(pair) for pair in zip(self.most, held(), strict=True)))
            await asyncio.sleep(_SAMPLE_EVERY_S)


class Listener:
    """A view that notes whether the avatar is seen and heard."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def show(self, pose: Pose) -> None:
        """Nothing to do."""

    def sound(self, block: AudioBlock) -> None:
        """There is sound."""
        self.heard.set()


async def visit(player: AvatarPlayer, view: Listener, config: ConnectionConfig, stay_s: float) -> None:
    """Connect, wait for the avatar and its voice, stay, disconnect."""
    view.heard.clear()
    await player.connect(config)
    await player.wait_for_avatar(20.0)
    await asyncio.wait_for(view.heard.wait(), 20.0)
    await asyncio.sleep(stay_s)
    await player.disconnect()


async def until(condition: Callable[[], bool], limit_s: float) -> float:
    """Wait for ``condition`` for at most ``limit_s`` seconds; the seconds waited. Looks are counted, not
    seconds: a machine that stood still is looked at again."""
    start, looks = time.monotonic(), 0
    while not condition() and looks < limit_s / _SAMPLE_EVERY_S:
        await asyncio.sleep(_SAMPLE_EVERY_S)
        looks += 1
    return time.monotonic() - start


async def measure(where: Place, *, connects: int, settle_s: float = SETTLE_S) -> Report:
    """Connect ``connects`` times, more than :data:`FIRST`, to a room in which an avatar speaks.

    The first few connects are made one at a time, each after all of the one before is gone: they show what
    one room costs.
    """
    config = ConnectionConfig(
        where.url, token_provider=lambda: join_token(where.key, where.secret, where.room, "viewer")
    )
    view, took = Listener(), []
    async with AvatarPlayer(LiveKitProvider(), view, play_audio=False) as player:

        async def again() -> None:
            start = time.monotonic()
            await visit(player, view, config, STAY_S)
            took.append(time.monotonic() - start)

        await again()
        await asyncio.sleep(settle_s)
        without = held()
        single = Watch()
        for _ in range(FIRST - 1):
            async with single.running():
                await again()
            await until(lambda: held().within(without), settle_s)
        room = Held(*(max(1, most - before) for most, before in zip(single.most, without, strict=True)))
        after_first = held()
        watch = Watch()
        async with watch.running():
            for _ in range(connects - FIRST):
                await again()
        settled = await until(lambda: held().within(after_first), settle_s)
        after_all = held()
    return _report(connects, room, without, after_first, watch.most, after_all, settled, took)


def _report(
    connects: int,
    room: Held,
    without: Held,
    after_first: Held,
    most: Held,
    after_all: Held,
    settled: float,
    took: list[float],
) -> Report:
    figures: list[Figure] = []
    for index, what in enumerate(Held._fields):
        figures += [
            Figure(f"{what}, not connected", without[index], ""),
            Figure(f"{what}, one room on top", room[index], ""),
            Figure(f"{what}, after {FIRST} connects", after_first[index], ""),
            Figure(f"{what}, after {connects} connects", after_all[index], "", after_first[index]),
            Figure(f"{what}, most on the way", most[index], ""),
            Figure(
                f"{what}, most on the way in rooms",
                (most[index] - without[index]) / room[index],
                "rooms",
                ROOMS_GOAL,
            ),
        ]
    figures += [
        Figure("back to the figures of then after", settled, "s", SETTLE_S),
        Figure("a connect and disconnect, pause included, median", statistics.median(took), "s"),
    ]
    return Report("connects", figures, {"connects": connects})


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--connects", type=int, default=100, help=f"connects, more than {FIRST}")
    options = parser.parse_args()
    if options.connects <= FIRST:
        parser.error(f"--connects must be more than {FIRST}")
    connects = 10 if options.quick else options.connects
    on = machine()
    with place() as where:
        avatar = ["publish", "--room", where.room, "--pause", "1"]
        with Program(*AVATARKIT, *avatar, environment=where.environment):
            settle_s = 10.0 if options.quick else SETTLE_S
            report = asyncio.run(measure(where, connects=connects, settle_s=settle_s))
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
