"""Plays the avatar of a room and prints, as JSON, when its mouth opened: the side of ``bench.lipsync`` that
looks.

``following`` plays as the package does; ``on-arrival`` plays the sound as it comes and draws each frame when
it comes, as the SDK's examples would.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from avatarkit_rtc import AvatarPlayer, LiveKitProvider, Pose
from avatarkit_rtc.cli.options import access
from avatarkit_rtc.testing.beeps import OPEN_JAW


class Mouth:
    """A view that notes when the mouth opens."""

    def __init__(self) -> None:
        self.opened: list[float] = []
        self._open = False

    def show(self, pose: Pose) -> None:
        """Note the moment, if it is one."""
        is_open = float(pose.frame.jaw_pose[0]) > OPEN_JAW / 2
        if is_open and not self._open:
            self.opened.append(asyncio.get_running_loop().time())
        self._open = is_open


async def main(way: str, room: str, seconds: float, audio_delay_ms: float) -> None:
    """Play, and print what was seen."""
    follow = way == "following"
    mouth = Mouth()
    config = access(
        os.environ["LIVEKIT_URL"], None, os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"], room
    ).viewer()
    player = AvatarPlayer(
        LiveKitProvider(), mouth, lip_sync=follow, enable_jitter_buffer=follow, audio_delay_ms=audio_delay_ms
    )
    offsets: list[float] = []
    estimate = None
    async with player:
        await player.connect(config)
        print("connected", flush=True)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(0.5)
            stats = player.stats()
            estimate = stats.audio_delay_estimate_ms or estimate
            if stats.av_offset_ms is not None:
                offsets.append(stats.av_offset_ms)
        speaker = player.stats().audio.speaker
    print(
        json.dumps(
            {
                "opened": mouth.opened,
                "audio_delay_estimate_ms": estimate,
                "av_offset_ms": sorted(offsets)[len(offsets) // 2] if offsets else None,
                "underruns": speaker.underruns if speaker else None,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
