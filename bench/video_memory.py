"""Memory of a player whose view is slower than a video avatar's stream: ``python -m bench.video_memory``.

The view holds the event loop up for 60 ms at each picture of 25 a second, and a loop that reads pictures
takes 0.2 s for each. The avatar runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from typing import Final

import psutil

from avatarkit_rtc import AvatarPlayer, LiveKitProvider, Picture, Pose
from avatarkit_rtc.cli.options import access
from avatarkit_rtc.player_video import VideoStats
from bench.processes import Place, place
from bench.report import Figure, Report, arguments, machine, publish
from bench.video_sync import avatar_program
from renderers import HeadlessSink, Tee

GOAL_MB: Final = 8.0
SLOW_S: Final = 0.06
READING_S: Final = 0.2
_SAMPLE_S: Final = 1.0


class SlowView:
    """Takes longer for a picture than the stream from one to the next."""

    def show(self, pose: Pose) -> None:
        """Poses do not matter here."""

    def show_picture(self, picture: Picture) -> None:
        """Hold everything up."""
        del picture
        time.sleep(SLOW_S)


async def watch(where: Place, seconds: float) -> tuple[list[float], VideoStats | None, int]:
    """Play for ``seconds``; memory in MB each second, the figures, and pictures the slow reader missed."""
    config = access(where.url, None, where.key, where.secret, where.room).viewer()
    process = psutil.Process(os.getpid())
    used: list[float] = []
    sink = HeadlessSink(picture_format="i420")
    async with AvatarPlayer(LiveKitProvider(), Tee(SlowView(), sink), play_audio=False) as player:

        async def read() -> None:
            async for _ in sink.pictures():
                await asyncio.sleep(READING_S)

        reading = asyncio.create_task(read())
        await player.connect(config)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(_SAMPLE_S)
            used.append(process.memory_info().rss / 2**20)
        stats = player.stats().video
        reading.cancel()
    return used, stats, sink.dropped


def measure(where: Place, seconds: float, size: tuple[int, int] = (640, 480)) -> Report:
    """Run it for ``seconds``.

    Raises:
        RuntimeError: no pictures came, or the view was not too slow.
    """
    with avatar_program(where, size, 25.0, "vp8") as avatar:
        used, stats, missed = asyncio.run(watch(where, seconds))
        output = avatar.output
    if stats is None or not stats.shown:
        raise RuntimeError(f"no pictures came; the avatar said:\n{output}")
    # Medians, as what the allocator holds goes up and down; the first quarter is start-up.
    quarter = max(1, len(used) // 4)
    early, late = statistics.median(used[quarter : 2 * quarter]), statistics.median(used[-quarter:])
    return Report(
        "video_memory",
        [
            Figure("growth, second quarter to last", late - early, "MB", GOAL_MB),
            Figure("memory at the end", late, "MB"),
            Figure("pictures shown", stats.shown, ""),
            Figure("pictures dropped or skipped", stats.dropped + stats.skipped, ""),
            Figure("pictures the slow reader missed", missed, ""),
        ],
        {"seconds": seconds, "size": list(size)},
        [f"{size[0]} x {size[1]} at 25 a second; the view takes {1000 * SLOW_S:g} ms for each picture"],
    )


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--size", default="640x480")
    options = parser.parse_args()
    seconds = 30.0 if options.quick else 60 * options.minutes
    width, height = (int(side) for side in options.size.split("x"))
    on = machine()
    with place() as where:
        found = measure(where, seconds, (width, height))
    return publish(found, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
