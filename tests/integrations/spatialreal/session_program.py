"""A program with a session, to be killed at a stage of its life: run by the tests as a child process.

    python -m tests.integrations.spatialreal.session_program STAGE

It prints the stage once it is there. Everything else comes in the environment.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import numpy as np

from avatarkit_rtc.integrations.spatialreal import SpatialRealSession


async def main(stage: str) -> None:
    logging.basicConfig(level=logging.DEBUG)
    asyncio.get_running_loop().call_later(0.0, sys.stdout.write, "starting\n")
    async with SpatialRealSession() as session:
        try:
            if stage == "speaking":
                noise = np.random.default_rng(1).integers(-9000, 9000, 24000 * 60, np.int16)
                session.on("speech-started", lambda: sys.stdout.write(f"stage: {stage}\n"))
                await session.say(noise, sample_rate=24000)
            else:
                sys.stdout.write(f"stage: {stage}\n")
                if stage == "raising":
                    raise ZeroDivisionError(repr(session))
                await asyncio.sleep(60)
        finally:
            sys.stdout.write("unwinding\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
