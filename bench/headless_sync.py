"""Lip sync of a headless bot: ``python -m bench.headless_sync``.

A stand-in avatar opens its mouth at the moment of a beep, through a real LiveKit server. A player without a
sound card notes the presentation times that it gives to the first sample of each beep and to the pose with
the open mouth: they should be the same. Beside it, what a bot gets that goes by the moments of arrival.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from avatarkit_rtc import AvatarPlayer, LiveKitProvider, ReceivedAudio
from avatarkit_rtc.cli.options import access
from avatarkit_rtc.testing.beeps import OPEN_JAW, beeps
from avatarkit_rtc.testing.room import RoomTransport
from avatarkit_rtc.testing.stand_in import StandInAvatar, StandInOptions
from bench.processes import Place, Program, place
from bench.report import Figure, Report, arguments, machine, publish
from renderers import HeadlessSink, Shot

GOAL_MEDIAN_MS: Final = 10.0
GOAL_95_MS: Final = 20.0
MATCH_S: Final = 0.3
"""A mouth that opens further from a beep than this belongs to another."""

SILENCES_S: Final = (0.04, 0.12, 0.2, 0.32)
"""At the start of the rounds, in turn; at least a frame, as the way to an open mouth begins earlier."""

_ROUND_S: Final = 8.0
_LOUD: Final = 2000
_QUIET_S: Final = 0.2


class Onsets:
    """When mouths opened and beeps began, in presentation time."""

    def __init__(self) -> None:
        self.mouths: list[float] = []
        self.beeps: list[float] = []
        self.shown: list[float] = []
        """The same by the moments at which they were handed over, in monotonic seconds."""
        self.arrived: list[float] = []
        self.media_mouths: list[tuple[int | None, float]] = []
        self.media_beeps: list[tuple[int | None, float]] = []
        self.backward = 0
        """Times that presentation time went back, or left the samples' pace."""
        self.gaps_s = 0.0
        """Sound that was missing."""
        self.stall_ms = 0.0
        """Longest time a pose was shown after its deadline: by how much the machine stood still."""
        self._open = False
        self._last_loud = -1.0
        self._last_pose = 0.0
        self._end: float | None = None

    def shot(self, shot: Shot) -> None:
        """A pose was shown."""
        pose = shot.pose
        assert pose.presentation_time is not None
        self.backward += pose.presentation_time < self._last_pose
        self._last_pose = pose.presentation_time
        is_open = float(pose.frame.jaw_pose[0]) > OPEN_JAW / 2
        if is_open and not self._open and pose.media_time is not None:
            self.mouths.append(pose.presentation_time)
            self.shown.append(pose.t)
            self.media_mouths.append((pose.round, pose.media_time))
        self._open = is_open

    def block(self, block: ReceivedAudio) -> None:
        """Sound was received."""
        if self._end is not None:
            gap = block.presentation_time - self._end
            self.backward += gap < -1e-6
            self.gaps_s += max(0.0, gap)
        self._end = block.presentation_time + block.duration
        loud = np.flatnonzero(np.abs(block.samples[:, 0].astype(np.int32)) > _LOUD)
        if not len(loud):
            return
        into = int(loud[0]) / block.sample_rate
        if block.presentation_time + into - self._last_loud > _QUIET_S:
            self.beeps.append(block.presentation_time + into)
            self.arrived.append(block.t + into)
            if block.media_time is not None:
                self.media_beeps.append((block.round, block.media_time + into))
        self._last_loud = block.presentation_time + int(loud[-1]) / block.sample_rate


def offsets_ms(mouths: Sequence[float], heard: Sequence[float]) -> list[float]:
    """Mouth minus beep, for each beep that has a mouth."""
    pairs = ((min(mouths, key=lambda mouth: abs(mouth - at)), at) for at in heard if mouths)
    return [1000 * (mouth - at) for mouth, at in pairs if abs(mouth - at) < MATCH_S]


def media_offsets_ms(
    mouths: Sequence[tuple[int | None, float]], heard: Sequence[tuple[int | None, float]]
) -> list[float]:
    """The same by the media times within each round."""
    found: list[float] = []
    for number in {number for number, _ in heard}:
        found += offsets_ms([t for n, t in mouths if n == number], [t for n, t in heard if n == number])
    return found


async def watch(where: Place, seconds: float) -> Onsets:
    """Join without a sound card and note the onsets of ``seconds``."""
    onsets = Onsets()
    config = access(where.url, None, where.key, where.secret, where.room).viewer()
    async with AvatarPlayer(LiveKitProvider(), HeadlessSink(onsets.shot), play_audio=False) as player:

        async def listen() -> None:
            async for block in player.audio():
                onsets.block(block)

        listening = asyncio.create_task(listen())
        await player.connect(config)
        await asyncio.sleep(seconds)
        onsets.stall_ms = player.stats().worst_lateness_ms
        await player.disconnect()
        await listening
    return onsets


async def send(where: Place) -> None:
    """Be the avatar, without end."""
    sound = [beeps(_ROUND_S, silence_s=silence, seed=n) for n, silence in enumerate(SILENCES_S)]
    token = access(where.url, None, where.key, where.secret, where.room).avatar_token()
    async with RoomTransport(where.url, token, sample_rate=sound[0].sample_rate) as transport:
        await StandInAvatar(transport, sound, StandInOptions(pause_s=1.0)).run()


def measure(where: Place, seconds: float) -> Report:
    """Watch for ``seconds``, with the avatar in a process of its own."""
    program = (
        "import asyncio, os, sys; from bench.headless_sync import send; from bench.processes import Place; "
    )
    program += "names = ('LIVEKIT_URL', 'LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET'); "
    program += "asyncio.run(send(Place(*(os.environ[name] for name in names), sys.argv[1])))"
    with Program("-c", program, where.room, environment=where.environment) as avatar:
        onsets = asyncio.run(watch(where, seconds))
        if not onsets.beeps:
            raise RuntimeError(f"no beep was heard; the avatar said:\n{avatar.output}")
    return report(onsets, seconds)


def report(onsets: Onsets, seconds: float) -> Report:
    """The figures of ``onsets``.

    Raises:
        RuntimeError: fewer than three beeps were seen and heard.
    """
    figures = []
    by_media = media_offsets_ms(onsets.media_mouths, onsets.media_beeps)
    for name, found in (
        ("presentation time", offsets_ms(onsets.mouths, onsets.beeps)),
        ("media time", by_media),
    ):
        if len(found) < 3:
            raise RuntimeError(f"only {len(found)} of {len(onsets.beeps)} beeps have a mouth, by {name}")
        ranked = [abs(each) for each in found]
        figures += [
            Figure(f"{name}: |median| of mouth - beep", abs(statistics.median(found)), "ms", GOAL_MEDIAN_MS),
            Figure(f"{name}: 95 % of |mouth - beep|", float(np.percentile(ranked, 95)), "ms", GOAL_95_MS),
            Figure(f"{name}: longest", max(ranked), "ms"),
        ]
    on_arrival = offsets_ms(onsets.shown, onsets.arrived) or [math.nan]
    figures += [
        Figure("by the moments of arrival: |median|", abs(statistics.median(on_arrival)), "ms"),
        Figure("times that went back", onsets.backward, "", 0.0),
        Figure("longest stall of this machine seen here", onsets.stall_ms, "ms"),
        Figure("sound missing", 1000 * onsets.gaps_s, "ms"),
    ]
    median = statistics.median(offsets_ms(onsets.mouths, onsets.beeps))
    notes = [f"{len(onsets.beeps)} beeps; the mouth's median is {median:+.1f} ms"]
    return Report("headless_sync", figures, {"seconds": seconds}, notes)


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    on = machine()
    with place() as where:
        found = measure(where, 20.0 if options.quick else options.seconds)
    return publish(found, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
