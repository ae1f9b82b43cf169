"""What ``bench.video_cpu`` compares: a program that receives a video avatar's picture and voice.

``player`` does so with the package, ``bare`` with LiveKit's SDK alone, as its examples do. Both look at one
byte of each picture. It prints what it received when it is interrupted.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from livekit import rtc

from avatarkit_rtc import AudioBlock, AvatarPlayer, LiveKitProvider, Picture, Pose


class Counter:
    """A view that counts."""

    def __init__(self) -> None:
        self.pictures = 0
        self.audio_s = 0.0
        self.brightness = 0

    def show(self, pose: Pose) -> None:
        """Poses do not matter here."""

    def show_picture(self, picture: Picture) -> None:
        """Count it."""
        self.pictures += 1
        self.brightness += int(picture.data[0])

    def sound(self, block: AudioBlock) -> None:
        """Count it."""
        self.audio_s += block.duration


async def with_player(stop: asyncio.Event) -> Counter:
    """Receive with the package."""
    counter = Counter()
    async with AvatarPlayer(LiveKitProvider(), counter, play_audio=False) as player:
        await player.connect(url=os.environ["LIVEKIT_URL"], token=os.environ["LIVEKIT_TOKEN"])
        print("connected", flush=True)
        await stop.wait()
    return counter


async def bare(stop: asyncio.Event) -> Counter:
    """Receive with the SDK."""
    counter = Counter()
    room = rtc.Room()
    reading: list[asyncio.Task[None]] = []

    async def listen(track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track):
            counter.audio_s += event.frame.duration

    async def watch(track: rtc.Track) -> None:
        async for event in rtc.VideoStream(track):
            counter.pictures += 1
            counter.brightness += event.frame.data[0]

    @room.on("track_subscribed")
    def on_subscribed(track: rtc.Track, *_: object) -> None:
        read = watch if track.kind == rtc.TrackKind.KIND_VIDEO else listen
        reading.append(asyncio.create_task(read(track)))

    await room.connect(os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"])
    print("connected", flush=True)
    await stop.wait()
    for task in reading:
        task.cancel()
    await room.disconnect()
    return counter


async def main(way: str) -> None:
    """Receive until interrupted."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counter = await (with_player(stop) if way == "player" else bare(stop))
    print(json.dumps({"pictures": counter.pictures, "audio_s": counter.audio_s}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
