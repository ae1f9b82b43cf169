"""What ``bench.cpu`` compares with: the same packets and the same sound, received by LiveKit's SDK alone.

It takes from the room what the player takes, and nothing else: the avatar's data packets and its voice. It
prints what it received when it is interrupted.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal

from livekit import rtc


async def main() -> None:
    """Receive until interrupted."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    room = rtc.Room()
    packets = samples = 0
    reading: list[asyncio.Task[None]] = []

    async def read(track: rtc.Track) -> None:
        nonlocal samples
        async for event in rtc.AudioStream(track):
            samples += event.frame.samples_per_channel

    @room.on("data_received")
    def on_data(_: rtc.DataPacket) -> None:
        nonlocal packets
        packets += 1

    @room.on("track_published")
    def on_published(publication: rtc.RemoteTrackPublication, *_: object) -> None:
        if publication.kind == rtc.TrackKind.KIND_AUDIO:
            publication.set_subscribed(True)

    @room.on("track_subscribed")
    def on_subscribed(track: rtc.Track, *_: object) -> None:
        reading.append(asyncio.create_task(read(track)))

    # With auto_subscribe the room would also send the avatar's pseudo-video.
    await room.connect(
        os.environ["LIVEKIT_URL"], os.environ["LIVEKIT_TOKEN"], rtc.RoomOptions(auto_subscribe=False)
    )
    for participant in room.remote_participants.values():
        for publication in participant.track_publications.values():
            on_published(publication)
    print("connected", flush=True)
    await stop.wait()
    print(json.dumps({"packets": packets, "audio_s": samples / 48000}), flush=True)
    for task in reading:
        task.cancel()
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
