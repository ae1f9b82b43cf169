"""Stall recovery: the avatar goes silent in the middle of a sentence; rejoin, and say so.

    python stall_recovery.py --url wss://my.livekit.host        # LIVEKIT_TOKEN is set
    python stall_recovery.py --demo --seconds 15                # an avatar that breaks off mid-sentence

``stalled`` comes once, three seconds after the last packet of an open round; the face is idle by then.
Rejoining often helps (the service starts its stream anew), so ``player.reconnect`` is the handler itself. If
nothing comes after it, ``stalled`` fires again. ``AvatarPlayer(..., auto_reconnect=True)`` does the same by
itself, with growing pauses and for lost connections as well; do it by hand where you want to decide.

What to log: the silence and the round of each stall, whether the avatar is in the room at all (one that has
left comes back by no rejoin of yours: look at the service), each state of the connection, and at the end how
many rounds ended how.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys

from avatarkit_rtc import AvatarKitError, AvatarPlayer, LiveKitProvider, LoopbackProvider
from avatarkit_rtc.testing import StandInAvatar, perform

log = logging.getLogger("stall_recovery")


async def break_off_and_come_back(avatar) -> None:
    """What --demo shows: a sentence is cut off, nothing for a while, then the avatar goes on."""
    stand_in = StandInAvatar(avatar, [perform(1, 4.0)])
    running = asyncio.create_task(stand_in.run())
    await asyncio.sleep(2.5)
    await stand_in.stop()
    await running
    await asyncio.sleep(4.5)
    await StandInAvatar(avatar, [perform(2, 3.0)]).run()


async def main(args) -> None:
    provider = LoopbackProvider() if args.demo else LiveKitProvider()
    async with AvatarPlayer(provider) as player:

        @player.on("stalled")
        def stalled(event) -> None:
            avatar = player.stats().avatar or "not in the room"
            log.warning("stalled: %.1f s silent, round %s, avatar %s", event.silence_s, event.round, avatar)

        player.on("stalled", player.reconnect)
        player.on("connection-state-changed", lambda state: log.info("connection: %s", state))
        player.on("disconnected", lambda event: log.warning("disconnected: %s", event.reason))
        player.on("avatar-joined", lambda event: log.info("avatar %s is here", event.identity))
        player.on("avatar-left", lambda event: log.warning("avatar %s has left", event.identity))
        player.on("round-started", lambda event: log.info("round %d begins", event.round))
        player.on("round-ended", lambda event: log.info("round %d ends: %s", event.round, event.reason))
        player.on("error", lambda error: log.error("%s", error))  # a reconnect() that failed ends up here

        await player.connect(url=args.url, token=os.environ.get("LIVEKIT_TOKEN"))
        demo = asyncio.create_task(break_off_and_come_back(provider.avatar)) if args.demo else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(player.wait_closed(), args.seconds)
        if demo is not None:
            demo.cancel()
        ended = {str(reason): count for reason, count in player.stats().playout.rounds_ended.items()}
        log.info("rounds ended: %s", ended)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"))
    parser.add_argument("--demo", action="store_true", help="an avatar in this process instead of a room")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    # Not to standard error: sounddevice turns that off while PortAudio starts, and lines would be missing.
    form = "%(asctime)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stdout)
    logging.getLogger("livekit").setLevel(logging.ERROR)
    arguments = parser.parse_args()
    if not arguments.demo and not (arguments.url and os.environ.get("LIVEKIT_TOKEN")):
        parser.error("give --url and set LIVEKIT_TOKEN, or give --demo")
    try:
        asyncio.run(main(arguments))
    except KeyboardInterrupt:
        pass
    except AvatarKitError as error:
        raise SystemExit(str(error)) from None
