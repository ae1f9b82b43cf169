"""Records the avatar of a room with a face that can be read back: what ``bench.recording`` measures.

``python -m bench.recording_program OUT ROOM SECONDS``; prints the recorder's figures as JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys

from avatarkit_rtc import AvatarPlayer, LiveKitProvider
from avatarkit_rtc.cli.options import access
from avatarkit_rtc.cli.record import MAX_DELAY_MS
from bench.recording_marks import MarkFace
from renderers import Recorder


async def main(out: str, room: str, seconds: float) -> None:
    """Record, and print the figures."""
    config = access(
        os.environ["LIVEKIT_URL"], None, os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"], room
    ).viewer()
    recorder = Recorder(out, face=MarkFace(), sidecar=True)
    options = {"play_audio": False, "max_buffer_delay_ms": MAX_DELAY_MS}
    async with AvatarPlayer(LiveKitProvider(), recorder, **options) as player:
        await player.connect(config)
        print("connected", flush=True)
        await asyncio.sleep(seconds)
        figures = player.stats().as_dict()
    await recorder.aclose()
    stats = dataclasses.asdict(recorder.stats()) | {"error": recorder.error}
    print(json.dumps({"recorder": stats, "player": figures}, default=str))
    if not figures["audio"]["blocks_received"]:
        sys.exit("not one block of sound came")  # what was logged above says why


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
