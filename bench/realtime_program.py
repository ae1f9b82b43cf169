"""The program that ``bench.realtime`` watches: a conversation whose mouth is written down.

``python -m bench.realtime_program URL FILE`` talks with the server at URL (key in REALTIME_API_KEY) through
the default sound device until Ctrl-C, and writes a line for each pose to FILE: monotonic seconds and how far
the mouth is open, 0 to 1. At the end it prints what its speaker was like.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Final

from avatarkit_rtc.face import FaceDriver
from avatarkit_rtc.integrations.realtime import RealtimeAvatar, RealtimeSessionConfig, WebSocketRealtimeClient
from avatarkit_rtc.integrations.realtime.performed_output import PerformedOutput
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers import HeadlessSink
from renderers.headless import Shot

POSES_HZ: Final = 60.0
"""Poses a second, as in a window."""

_JAW = ARKIT_INDEX["jawOpen"]


async def main(url: str, path: Path) -> None:
    """Talk until SIGINT."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    with path.open("w", encoding="utf-8", buffering=1) as file:

        def shown(shot: Shot) -> None:
            opening = 0.0 if shot.face is None else float(shot.face.coefficients[_JAW])
            file.write(f"{time.monotonic():.6f} {opening:.4f}\n")

        view = HeadlessSink(shown, driver=FaceDriver())
        client = WebSocketRealtimeClient(url)
        async with RealtimeAvatar(client, view, render_rate_hz=POSES_HZ, log_level="error") as avatar:
            await avatar.start(RealtimeSessionConfig(), microphone=False)
            print("ready", flush=True)
            depths: list[float] = []
            while not stop.is_set():
                speaker = avatar.player.stats().audio.speaker
                if speaker is not None and speaker.average_depth_ms is not None:
                    depths.append(speaker.average_depth_ms)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.1)
            assert speaker is not None
            assert isinstance(avatar.output, PerformedOutput)
            said = {"depth_ms": sum(depths) / max(1, len(depths)), "device_ms": speaker.device_latency_ms}
            said |= {
                "underruns": speaker.underruns,
                "held_up_ms": 1000 * avatar.output.provider.performer.held_up_s,
            }
            print("speaker " + json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
