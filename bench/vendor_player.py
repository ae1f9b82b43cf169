"""Speaks through a session of SpatialReal and plays what comes of it; prints, as JSON, what was seen.

``room`` does so with an avatar in a LiveKit room, ``direct`` without LiveKit; ``talk`` only speaks into a
room, ``watch`` only plays one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
from typing import Any, Final

import numpy as np

from avatarkit_rtc import AvatarPlayer, LiveKitProvider, MotionFrame, Pose, PoseKind
from avatarkit_rtc.cli.options import access
from avatarkit_rtc.integrations.spatialreal import SpatialRealSession
from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider
from avatarkit_rtc.testing.beeps import OPEN_JAW
from bench.vendor_service import RATE, What, utterance

MOVING_RAD: Final = 0.002
"""A jaw that turns further from pose to pose moves."""
SETTLED_S: Final = 1.0
"""After an interruption, until the next turn."""
_FRAMES: Final = (PoseKind.RECEIVED, PoseKind.RECOVERED)


class Seen:
    """A view that notes which frames were shown, with which values, when the mouth opened and moved."""

    def __init__(self, frames: tuple[MotionFrame, ...]) -> None:
        self.shown: dict[int, set[int]] = {}
        """Numbers of the frames, by round."""
        self.largest_error = 0.0
        self.opened: list[float] = []
        self.moved: list[float] = []
        self._frames = frames
        self._jaw = 0.0

    def show(self, pose: Pose) -> None:
        """Note it."""
        now = asyncio.get_running_loop().time()
        jaw = float(pose.frame.jaw_pose[0])
        if jaw > OPEN_JAW / 2 >= self._jaw:
            self.opened.append(now)
        if abs(jaw - self._jaw) > MOVING_RAD:
            self.moved.append(now)
        self._jaw = jaw
        if pose.kind in _FRAMES and pose.round is not None and pose.position is not None:
            number = round(pose.position)
            self.shown.setdefault(pose.round, set()).add(number)
            if number < len(self._frames):
                off = np.abs(pose.frame.values - self._frames[number].values).max()
                self.largest_error = max(self.largest_error, float(off))


class Speaker:
    """Says it, again and again."""

    def __init__(self, what: What, voice: Any, player: AvatarPlayer | None) -> None:
        self.turns = 0
        self.cuts: list[float] = []
        """Moments of interruptions."""
        self._what, self._voice, self._player = what, voice, player
        self._pcm = utterance(what).pcm

    async def speak(self, amount: float) -> None:
        """``amount``: turns of the clip, interruptions of the sound, or seconds of beeps."""
        loop = asyncio.get_running_loop()
        end = loop.time() + amount
        chance = random.Random(1)
        while loop.time() < end if self._what == "beeps" else self.turns < amount:
            if self._what == "sound":
                saying = asyncio.create_task(self._voice.say(self._pcm, sample_rate=RATE))
                await asyncio.sleep(2.5 + chance.random())
                self.cuts.append(loop.time())
                await self._voice.interrupt()
                await asyncio.wait([saying])
                await asyncio.sleep(SETTLED_S)
            else:
                playback = await self._voice.say(self._pcm, sample_rate=RATE)
                await playback.wait()
                if self._what == "clip":
                    await asyncio.sleep(SETTLED_S)
            self.turns += 1


async def main(way: str, what: What, room: str, amount: float) -> None:
    """Do it, and print what was seen."""
    seen = Seen(utterance(what).frames)
    ended: list[str] = []
    speaker = player = None
    async with contextlib.AsyncExitStack() as ends:
        session = None
        if way in ("room", "talk"):
            session = await ends.enter_async_context(SpatialRealSession(room_name=room, sample_rate=RATE))
        provider = SpatialRealProvider(sample_rate=RATE) if way == "direct" else LiveKitProvider()
        if way != "talk":
            player = await ends.enter_async_context(AvatarPlayer(provider, seen))
            player.on("round-ended", lambda each: ended.append(str(each.reason)))
            if session is not None:
                session.on("interrupted", player.flush)
            await player.connect(None if way == "direct" else _viewer(room))
        if player is not None and way != "direct":
            await player.wait_for_avatar(30.0)
        print("connected", flush=True)
        if way == "watch":
            await asyncio.sleep(amount)
        else:
            await asyncio.sleep(1.0)
            speaker = Speaker(what, session if session is not None else provider, player)
            await speaker.speak(amount)
            await asyncio.sleep(0.5)
        stats = player.stats() if player is not None else None
        audio = stats.audio.speaker if stats is not None else None
        found = {
            "turns": speaker.turns if speaker is not None else 0,
            "cuts": speaker.cuts if speaker is not None else [],
            "shown": [sorted(numbers) for numbers in seen.shown.values()],
            "largest_error": seen.largest_error,
            "ended": ended,
            "opened": seen.opened,
            "moved": seen.moved,
            "skipped": stats.playout.counters.skipped if stats is not None else 0,
            "underruns": audio.underruns if audio is not None else 0,
        }
    print(json.dumps(found))


def _viewer(room: str) -> Any:
    url, key, secret = (os.environ[name] for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"))
    return access(url, None, key, secret, room).viewer()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))  # type: ignore[arg-type]
