"""Picture and sound of a video avatar at a view: ``python -m bench.video_sync``.

A stand-in flashes at the very moment of each beep, through a real LiveKit server, in a process of its own. A
player without a sound card notes when its view is given the first picture of each flash and the first sample
of each beep, by the clock and by their presentation times. Beside it, in the same room, what LiveKit's SDK
alone hands out. With ``--played`` the sound is played into a null sink of PulseAudio, and the beeps are heard
at its monitor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from livekit import rtc

from avatarkit_rtc import AvatarPlayer, LiveKitProvider, Picture, Pose, ReceivedAudio
from avatarkit_rtc.cli.options import access, join_token
from avatarkit_rtc.player_video import VideoStats
from avatarkit_rtc.testing.video_avatar import DARK, VideoAvatar, is_flash
from bench.processes import Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish

GOAL_95_MS: Final = 40.0
MATCH_S: Final = 0.4
"""A flash that is further from a beep than this belongs to another."""
LEFT_OUT_S: Final = 3.0
"""At the beginning, while the delays are being learnt."""

_LOUD: Final = 2000
_QUIET_S: Final = 0.3


class Onsets:
    """When things begin: what is on now, and was not on for a while."""

    def __init__(self, quiet_s: float = 0.0) -> None:
        self.moments: list[float] = []
        self._quiet_s = quiet_s
        self._last = float("-inf")
        self._on = False

    def note(self, at: float, on: bool) -> None:
        """It is on, or not, at ``at``."""
        if on and not self._on and at - self._last > self._quiet_s:
            self.moments.append(at)
        self._on = on
        if on:
            self._last = at


class BeepOnsets(Onsets):
    """The first sample of each beep."""

    def __init__(self) -> None:
        super().__init__(_QUIET_S)

    def block(self, samples: npt.NDArray[np.int16], rate: int, at: float) -> None:
        """A block whose first sample belongs to ``at``."""
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _LOUD)
        if len(loud):
            self.note(at + int(loud[0]) / rate, True)
            self._last = at + int(loud[-1]) / rate
        self._on = False


class Audience:
    """A view that notes flashes and beeps."""

    def __init__(self) -> None:
        self.flashes, self.flash_times = Onsets(), Onsets()
        """By the clock, and by presentation time."""
        self.beeps, self.beep_times = BeepOnsets(), BeepOnsets()

    def show(self, pose: Pose) -> None:
        """Poses do not matter here."""

    def show_picture(self, picture: Picture) -> None:
        """Look at a picture."""
        assert picture.presentation_time is not None
        flash = is_flash(picture)
        self.flashes.note(time.monotonic(), flash)
        self.flash_times.note(picture.presentation_time, flash)

    def sound(self, block: ReceivedAudio) -> None:
        """Hear a block."""
        self.beeps.block(block.samples[:, 0], block.sample_rate, block.t)
        self.beep_times.block(block.samples[:, 0], block.sample_rate, block.presentation_time)


class Bare:
    """A program with LiveKit's SDK alone."""

    def __init__(self) -> None:
        self.flashes, self.beeps = Onsets(), BeepOnsets()
        self._room = rtc.Room()
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, where: Place) -> None:
        """Watch and listen from now on."""

        def subscribed(track: rtc.Track, *_: object) -> None:
            read = self._watch if track.kind == rtc.TrackKind.KIND_VIDEO else self._listen
            self._tasks.append(asyncio.create_task(read(track)))

        self._room.on("track_subscribed", subscribed)
        await self._room.connect(where.url, join_token(where.key, where.secret, where.room, "bare"))

    async def leave(self) -> None:
        """Take it down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._room.disconnect()

    async def _watch(self, track: rtc.Track) -> None:
        async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420, capacity=1):
            frame = event.frame
            luma = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height : 997]
            self.flashes.note(time.monotonic(), float(luma.mean()) > 3 * DARK)

    async def _listen(self, track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track, sample_rate=48000, num_channels=1, capacity=100):
            samples = np.frombuffer(event.frame.data, np.int16)
            self.beeps.block(samples, 48000, time.monotonic())


def offsets_ms(flashes: Sequence[float], beeps: Sequence[float], since: float = 0.0) -> list[float]:
    """Flash minus beep, for each flash from ``since`` on that has a beep."""
    found = []
    for flash in flashes:
        beep = min(beeps, key=lambda at: abs(at - flash), default=float("-inf"))
        if flash >= since and abs(flash - beep) < MATCH_S:
            found.append(1000 * (flash - beep))
    return found


def unmatched(moments: Sequence[float], others: Sequence[float], since: float, until: float) -> int:
    """How many of ``moments`` from ``since`` to ``until`` have none of ``others`` that belongs to them."""
    return sum(
        since <= at < until and not any(abs(other - at) < MATCH_S for other in others) for at in moments
    )


def share_within(offsets: Sequence[float], limit_ms: float) -> float:
    """Percentage of ``offsets`` that are no larger than ``limit_ms``."""
    return 100 * sum(abs(each) <= limit_ms for each in offsets) / len(offsets)


async def watch(
    where: Place, seconds: float, *, played: bool = False
) -> tuple[Audience, Bare | None, VideoStats | None, float]:
    """Play for ``seconds``; the figures count from the moment that is returned."""
    audience, bare = Audience(), None if played else Bare()
    config = access(where.url, None, where.key, where.secret, where.room).viewer()
    async with AvatarPlayer(LiveKitProvider(), audience, play_audio=played) as player:
        await player.connect(config)
        if bare is not None:
            await bare.join(where)
        deadline = time.monotonic() + 20.0
        while not audience.flashes.moments and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        since = time.monotonic() + LEFT_OUT_S
        await asyncio.sleep(LEFT_OUT_S + seconds)
        stats = player.stats().video
        if bare is not None:
            await bare.leave()
        await player.disconnect()
    return audience, bare, stats, since


async def send(where: Place, size: tuple[int, int], fps: float, codec: str) -> None:
    """Be the avatar, without end."""
    token = access(where.url, None, where.key, where.secret, where.room).avatar_token()
    async with VideoAvatar(where.url, token, size=size, fps=fps, codec=codec) as avatar:
        await avatar.run()


def avatar_program(where: Place, size: tuple[int, int], fps: float, codec: str) -> Program:
    """The avatar in a process of its own."""
    program = (
        "import asyncio, os, sys; from bench.video_sync import send; from bench.processes import Place; "
    )
    program += "names = ('LIVEKIT_URL', 'LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET'); "
    program += "place = Place(*(os.environ[name] for name in names), sys.argv[1]); "
    program += (
        "asyncio.run(send(place, (int(sys.argv[2]), int(sys.argv[3])), float(sys.argv[4]), sys.argv[5]))"
    )
    form = (str(size[0]), str(size[1]), str(fps), codec)
    return Program("-c", program, where.room, *form, environment=where.environment)


def measure(
    where: Place,
    seconds: float,
    *,
    size: tuple[int, int] = (640, 480),
    fps: float = 25.0,
    codec: str = "vp8",
) -> Report:
    """Watch for ``seconds``, without a sound card."""
    with avatar_program(where, size, fps, codec) as avatar:
        audience, bare, stats, since = asyncio.run(watch(where, seconds))
        output = avatar.output
    assert bare is not None
    by_clock = offsets_ms(audience.flashes.moments, audience.beeps.moments, since)
    ago = since - audience.flashes.moments[0] if audience.flashes.moments else 0.0
    first = audience.flash_times.moments[0] if audience.flash_times.moments else 0.0
    by_time = offsets_ms(audience.flash_times.moments, audience.beep_times.moments, first + ago)
    alone = offsets_ms(bare.flashes.moments, bare.beeps.moments, since)
    found = {"at the view": by_clock, "presentation time": by_time, "the SDK alone": alone}
    if min(len(each) for each in found.values()) < 3 or stats is None:
        raise RuntimeError(f"too few flashes: {found}; the avatar said:\n{output}")
    lonely = unmatched(audience.beeps.moments, audience.flashes.moments, since, since + seconds - MATCH_S)
    parameters = {"seconds": seconds, "size": list(size), "fps": fps, "codec": codec}
    return report(found, stats, lonely, parameters)


def measure_played(where: Place, seconds: float) -> Report:
    """Watch for ``seconds``, and listen at the sink that the sound is played into."""
    from bench.lipsync import Ear
    from tests.support.pulse import PulseServer

    with contextlib.ExitStack() as close:
        pulse = close.enter_context(PulseServer("one"))
        os.environ.update(pulse.env(sink="one"))
        ear = Ear(pulse, "one")
        close.callback(ear.close)
        close.enter_context(avatar_program(where, (640, 480), 25.0, "vp8"))
        audience, _, stats, since = asyncio.run(watch(where, seconds, played=True))
        heard = ear.beeps()
    offsets = offsets_ms(audience.flashes.moments, list(heard), since + 2.0)
    if len(offsets) < 3 or stats is None:
        raise RuntimeError(f"too few flashes: {offsets}")
    lonely = unmatched(list(heard), audience.flashes.moments, since + 2.0, since + seconds - MATCH_S)
    return report({"at the loudspeaker": offsets}, stats, lonely, {"seconds": seconds, "played": True})


def report(
    found: dict[str, list[float]], stats: VideoStats, lonely: int, parameters: dict[str, object]
) -> Report:
    """The figures. ``lonely`` beeps had no flash, which the offsets of those that had one do not show."""
    figures = []
    for name, offsets in found.items():
        goal = None if "alone" in name else GOAL_95_MS
        ranked = [abs(each) for each in offsets]
        figures += [
            Figure(f"{name}: median of flash - beep", statistics.median(offsets), "ms"),
            Figure(f"{name}: 95 % of |flash - beep|", float(np.percentile(ranked, 95)), "ms", goal),
        ]
    figures += [
        Figure(f"{next(iter(found))}: beeps without a flash", lonely, "", 0.0),
        Figure("pictures dropped or skipped", stats.dropped + stats.skipped, ""),
        Figure("a picture waits", stats.wait_ms or 0.0, "ms"),
    ]
    first = next(iter(found.values()))
    notes = [f"{len(first)} flashes; {share_within(first, GOAL_95_MS):.0f} % within {GOAL_95_MS:g} ms"]
    return Report("video_sync", figures, parameters, notes)


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--codec", default="vp8")
    parser.add_argument("--played", action="store_true", help="listen at a PulseAudio sink")
    options = parser.parse_args()
    seconds = 20.0 if options.quick else options.seconds
    width, height = (int(side) for side in options.size.split("x"))
    on = machine()
    run: Callable[[Place], Report] = lambda where: (  # noqa: E731
        measure_played(where, seconds)
        if options.played
        else measure(where, seconds, size=(width, height), fps=options.fps, codec=options.codec)
    )
    with place() as where:
        found = run(where)
    return publish(found, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
