"""The stand-in avatar of ``bench.lipsync``, in a process of its own: rounds of beeps at which its mouth opens
, into the room that the environment and the command line name, without end."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from avatarkit_rtc.cli.options import access
from avatarkit_rtc.testing.beeps import beeps
from avatarkit_rtc.testing.room import RoomTransport
from avatarkit_rtc.testing.schedule import StandInOptions
from avatarkit_rtc.testing.stand_in import StandInAvatar

ROUND_S = 8.0


async def main(room: str, silences_s: list[float], pauses_s: list[float], audio_delay_ms: int) -> None:
    """Speak until killed."""
    sound = [
        beeps(ROUND_S, every_s=1.0, silence_s=silence, seed=number)
        for number, silence in enumerate(silences_s)
    ]
    way = access(
        os.environ["LIVEKIT_URL"], None, os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"], room
    )
    options = StandInOptions(pause_s=pauses_s, audio_delay_ms=audio_delay_ms)
    async with RoomTransport(way.url, way.avatar_token, sample_rate=sound[0].sample_rate) as transport:
        await StandInAvatar(transport, sound, options).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *json.loads(sys.argv[2])))
