"""The stand-in of SpatialReal's service in a process of its own, without end; prints its addresses as JSON.

The argument says what its avatar does: the motion of the ``clip``, of ``beeps``, or made of the ``sound``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Final, Literal

import numpy as np

from avatarkit_rtc.testing import Utterance, load_clip, perform
from avatarkit_rtc.testing.beeps import beeps
from avatarkit_rtc.testing.spatialreal_service import SpatialRealService

RATE: Final = 24000
BEEPS_S: Final = 8.0

What = Literal["clip", "beeps", "sound"]


def utterance(what: What) -> Utterance:
    """What is said. The clip is that of AVATARKIT_CLIP and AVATARKIT_CLIP_PCM, else one made by code;
    ``sound`` is never silent and always moving, so that its end is plain to see and hear."""
    if what == "beeps":
        return beeps(BEEPS_S, silence_s=0.04, seed=1, sample_rate=RATE)
    if what == "sound":
        t = np.arange(20 * RATE) / RATE
        loudness = 0.3 * (0.6 + 0.4 * np.sin(2 * np.pi * 2.0 * t))
        pcm = np.rint(32767 * loudness * np.sin(2 * np.pi * 300.0 * t)).astype(np.int16)
        return Utterance((), pcm, RATE)
    if "AVATARKIT_CLIP" in os.environ:
        return load_clip(os.environ["AVATARKIT_CLIP"], os.environ.get("AVATARKIT_CLIP_PCM"), RATE)
    return perform(7, 3.68, RATE)


async def main(what: What) -> None:
    """Serve until killed."""
    performer = utterance(what) if what != "sound" else None
    async with SpatialRealService(performer=performer) as service:
        addresses = {
            "SPATIALREAL_API_KEY": service.api_key,
            "SPATIALREAL_APP_ID": service.app_id,
            "SPATIALREAL_AVATAR_ID": service.avatar_id,
            "SPATIALREAL_CONSOLE_ENDPOINT": service.console_url,
            "SPATIALREAL_INGRESS_ENDPOINT": service.ingress_url,
        }
        print("serves", json.dumps(addresses), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))  # type: ignore[arg-type]
