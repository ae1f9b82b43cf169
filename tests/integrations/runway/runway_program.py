"""A program with a Runway session, to be killed at a stage of its life: run by the tests as a child process.

    python -m tests.integrations.runway.runway_program BASE_URL STAGE

It prints the stage once it is there. The key comes in RUNWAYML_API_SECRET.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading

from livekit import rtc

from avatarkit_rtc.integrations.runway import RunwayClient, RunwaySession


async def main(base_url: str, stage: str) -> None:
    if stage == "own handler":
        # As avatarkit-rtc's commands and LiveKit's agents do it.
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    elif stage == "nohup":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.stdout.write("starting\n")
    async with RunwaySession(base_url=base_url, preset_id="influencer") as session:
        room = rtc.Room()
        try:
            if stage == "in the room":
                way = await session.join(interval_s=0.05)
                await room.connect(way.url, way.token)
                session.use_room(room)
            elif stage == "bad room":
                session.use_room(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
            sys.stdout.write(f"stage: {stage}\n")
            if stage == "own handler":
                await stop.wait()
            elif stage != "leaving":
                await asyncio.sleep(60)
        finally:
            sys.stdout.write("unwinding\n")
    await room.disconnect()
    sys.stdout.write("left\n")


async def several(base_url: str, stage: str) -> None:
    """Three sessions in tasks of their own, the first of which is over when the others are there."""

    async def use(seconds: float) -> None:
        async with RunwaySession(base_url=base_url, preset_id="influencer"):
            await asyncio.sleep(seconds)

    others = [asyncio.create_task(use(60)) for _ in range(2)]
    await use(0)
    sys.stdout.write(f"stage: {stage}\n")
    await asyncio.gather(*others)


def closed_loop(base_url: str, stage: str) -> None:
    """The event loop is closed, and the main thread ends, while the session is being created."""

    def tell() -> None:
        threading.main_thread().join()
        sys.stdout.write(f"stage: {stage}\n")

    threading.Thread(target=tell).start()
    loop = asyncio.new_event_loop()
    creating = loop.create_task(RunwayClient(base_url=base_url).create_session(preset_id="influencer"))
    loop.run_until_complete(asyncio.wait([creating], timeout=0.05))
    loop.close()
    creating._log_destroy_pending = False  # type: ignore[attr-defined]


if __name__ == "__main__":
    _, base_url, stage = sys.argv
    if stage == "main thread ended":
        closed_loop(base_url, stage)
    else:
        asyncio.run((several if stage == "several" else main)(base_url, stage))
