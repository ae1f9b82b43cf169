"""An avatar worker made of livekit-agents: its AvatarRunner and DataStreamAudioReceiver. Run by the tests, in
the virtual environment of their own that has it.

The picture is white while it speaks, else black. What it hears is written to its output as lines of JSON.
ROOM_URL, TOKEN and SENDER (the identity it listens to) come by the environment.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    DataStreamAudioReceiver,
    VideoGenerator,
)

WIDTH, HEIGHT, FPS, RATE = 320, 240, 25, 24000


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Receiver(DataStreamAudioReceiver):
    """Takes notes of what comes."""

    def __init__(self, room: rtc.Room, sender: str) -> None:
        super().__init__(room, sender_identity=sender, frame_size_ms=40)
        self._sound = b""
        self._form = (0, 0)

    async def __anext__(self) -> rtc.AudioFrame | AudioSegmentEnd:
        item = await super().__anext__()
        if isinstance(item, AudioSegmentEnd):
            digest = hashlib.sha256(self._sound).hexdigest()
            say(segment=len(self._sound) // 2, sha256=digest, rate=self._form[0], channels=self._form[1])
            self._sound = b""
        else:
            self._sound += bytes(item.data)
            self._form = item.sample_rate, item.num_channels
        return item


class Lamp(VideoGenerator):
    """White while there is sound."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[rtc.AudioFrame | AudioSegmentEnd] = asyncio.Queue()

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        await self._queue.put(frame)

    def clear_buffer(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
        say(cleared=True)

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        black, white = self._picture(40), self._picture(235)
        while True:
            try:
                item = await asyncio.wait_for(self._queue.get(), 1 / FPS)
            except TimeoutError:
                yield black
                continue
            if isinstance(item, rtc.AudioFrame):
                yield white
            yield item

    @staticmethod
    def _picture(level: int) -> rtc.VideoFrame:
        data = np.full(WIDTH * HEIGHT * 3 // 2, 128, np.uint8)
        data[: WIDTH * HEIGHT] = level
        return rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, bytearray(data))


async def main() -> None:
    room = rtc.Room()
    await room.connect(os.environ["ROOM_URL"], os.environ["TOKEN"])
    say(here=room.local_participant.identity)
    receiver = Receiver(room, os.environ["SENDER"])
    options = AvatarOptions(WIDTH, HEIGHT, FPS, RATE, 1)
    runner = AvatarRunner(room, audio_recv=receiver, video_gen=Lamp(), options=options)
    await runner.start()
    say(ready=True)
    await runner.wait_for_complete()


asyncio.run(main())
