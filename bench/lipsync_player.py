"""Plays the avatar of a room and prints, as JSON, when its mouth opened: the side of ``bench.lipsync`` that
looks.

``following`` plays as the package does; ``speaking`` does so too, but looks at the mouth that a window's face
makes of the sound, 60 times a second; ``on arrival`` plays the sound as it comes and draws each frame when it
comes, as the SDK's examples would.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import Final

from avatarkit_rtc import AudioBlock, AvatarPlayer, FaceDriver, LiveKitProvider, MotionFrame, Pose
from avatarkit_rtc.cli.options import access
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.testing.beeps import OPEN_JAW

_OPENS: Final = ("jawOpen", "mouthLowerDownLeft", "mouthPucker")
_OPENED: Final = 0.15
"""About half of what a beep's mouth comes to."""


class Mouth:
    """A view that notes when the mouth opens."""

    def __init__(self) -> None:
        self.opened: list[float] = []
        self._open = False

    def show(self, pose: Pose) -> None:
        """Note the moment, if it is one. The way from idle to an open mouth belongs to no sound."""
        on_its_way = pose.kind is PoseKind.TRANSITION
        self._note(not on_its_way and float(pose.frame.jaw_pose[0]) > OPEN_JAW / 2)

    def _note(self, is_open: bool) -> None:
        if is_open and not self._open:
            self.opened.append(asyncio.get_running_loop().time())
        self._open = is_open


class SpokenMouth(Mouth):
    """Notes when the mouth opens that the face makes of the sound alone: what the stream says is left out."""

    render_rate_hz = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._driver = FaceDriver()

    def sound(self, block: AudioBlock) -> None:
        """Hear it."""
        self._driver.hear(block)

    def show(self, pose: Pose) -> None:
        """Note the moment, if it is one."""
        face = self._driver.pose(replace(pose, frame=MotionFrame.neutral()))
        lips = sum(float(face.coefficients[ARKIT_INDEX[name]]) for name in _OPENS)
        self._note(lips > _OPENED)


async def main(way: str, room: str, seconds: float, audio_delay_ms: float) -> None:
    """Play, and print what was seen."""
    follow = way != "on arrival"
    mouth = SpokenMouth() if way == "speaking" else Mouth()
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
        ended = loop.time()
    print(
        json.dumps(
            {
                "opened": mouth.opened,
                "ended": ended,
                "audio_delay_estimate_ms": estimate,
                "av_offset_ms": sorted(offsets)[len(offsets) // 2] if offsets else None,
                "underruns": speaker.underruns if speaker else None,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
