"""One bot of ``bench.recorders``: records the avatar of a room and prints its counters twice a second.

``python -m bench.recorder_bot OUT ROOM FACE SIZE LEVEL``; runs until it is interrupted.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

from avatarkit_rtc import AvatarPlayer, LiveKitProvider
from avatarkit_rtc.cli.options import access
from avatarkit_rtc.cli.record import MAX_DELAY_MS
from renderers import Recorder


async def main(out: str, room: str, face: str, size: int, level: int) -> None:
    """Record until SIGINT."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    config = access(
        os.environ["LIVEKIT_URL"], None, os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"], room
    ).viewer()
    recorder = Recorder(out, face=face, size=(size, size), level=level, sidecar=True)
    options = {"play_audio": False, "max_buffer_delay_ms": MAX_DELAY_MS, "log_level": "none"}
    async with AvatarPlayer(LiveKitProvider(), recorder, **options) as player:
        await player.connect(config)
        await player.wait_for_avatar(30)
        print("recording", flush=True)
        while not stop.is_set():
            stats = recorder.stats()
            counters = {
                "t": time.monotonic(),
                "cpu": time.process_time(),
                "loop": time.thread_time(),
                "draw": stats.draw_s,
                "encode": stats.encode_s,
                "sound": stats.sound_s + stats.sidecar_s,
                "pictures": stats.pictures,
                "level": stats.level,
                "rate": stats.picture_rate,
                "behind": stats.behind_s,
                "dropped": recorder.dropped,
                "blocks": player.stats().audio.blocks_received,
            }
            print(json.dumps(counters), flush=True)
            try:
                await asyncio.wait_for(stop.wait(), 0.5)
            except TimeoutError:
                continue
    await recorder.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
