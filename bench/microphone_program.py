"""What ``bench.hot_plug`` measures: a program that listens to its microphone and says what happens to it.

What happens goes out as lines of JSON; it ends when its input does. Moments are monotonic seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any, Final

import numpy as np

from avatarkit_rtc.audio import LiveMicrophone

_LOUD: Final = 1000


def say(**what: Any) -> None:
    """Print one line."""
    print(json.dumps({**what, "t": time.monotonic()}), flush=True)


async def listen(microphone: LiveMicrophone) -> None:
    """Say when it gets loud and when it gets silent."""
    loud: bool | None = None
    async for block in microphone:
        now = bool(np.abs(block.samples.astype(np.int32)).max() > _LOUD)
        if now != loud:
            loud = now
            say(event="loud" if loud else "silent")


async def main() -> None:
    """Until the input ends."""
    microphone = LiveMicrophone(
        on_lost=lambda reason: say(event="lost", message=reason),
        on_back=lambda name: say(event="back", message=name),
    )
    await microphone.start()
    listening = asyncio.create_task(listen(microphone))
    await asyncio.to_thread(sys.stdin.read)
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
    await microphone.aclose()


if __name__ == "__main__":
    asyncio.run(main())
