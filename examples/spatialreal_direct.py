"""An avatar without a room: your own sound goes to SpatialReal, its motion comes back and is played with it.

    python spatialreal_direct.py hello.wav goodbye.wav      # SPATIALREAL_API_KEY, SPATIALREAL_APP_ID and
    python spatialreal_direct.py hello.wav --out hello.mp4  # SPATIALREAL_AVATAR_ID are set
    python spatialreal_direct.py --demo --out hello.mp4     # a stand-in of the service, in this process

Plays in a window, or without a picture where there can be none; with --out it records instead.
"""

import argparse
import asyncio
import contextlib

from avatarkit_rtc import AvatarKitError, AvatarPlayer
from avatarkit_rtc.integrations.spatialreal import SpatialRealProvider
from renderers import HeadlessSink, OpenCVWindow, Recorder, display_available


def open_view(out):
    if out:
        return Recorder(out)
    available, why_not = display_available()
    if available:
        return OpenCVWindow("SpatialReal")
    print(f"no window: {why_not}", flush=True)
    return HeadlessSink()


async def say_all(provider, files, rate) -> None:
    # All at once: each waits for its turn, and the service works ahead meanwhile.
    for number, playback in enumerate([await provider.say(file, sample_rate=rate) for file in files], 1):
        await playback.wait_started()
        if not playback.over:
            print(f"utterance {number} begins", flush=True)
        try:
            finished = await playback.wait()
        except AvatarKitError as error:  # the connection was lost, for instance
            print(f"utterance {number} broke off: {error}", flush=True)
        else:
            how = "was interrupted" if finished.interrupted else "ends"
            print(f"utterance {number} {how} after {finished.position_s:.2f} s", flush=True)


async def interrupt_after(seconds, provider) -> None:
    await asyncio.sleep(seconds)
    await provider.interrupt()  # what waits is dropped, too; the mouth is still within 300 ms


async def main(args) -> None:
    async with contextlib.AsyncExitStack() as ends:
        where, files, rate = {}, args.files, None
        if args.demo:
            from avatarkit_rtc.testing import perform
            from avatarkit_rtc.testing.spatialreal_service import SpatialRealService

            service = await ends.enter_async_context(SpatialRealService())
            where = {"api_key": service.api_key, "app_id": service.app_id, "avatar_id": service.avatar_id}
            where |= {"console_url": service.console_url, "ingress_url": service.ingress_url}
            files, rate = [perform(number, 2.0).pcm for number in (1, 2)], 24000
        view = open_view(args.out)
        ends.callback(view.close)
        provider = SpatialRealProvider(**where)
        async with AvatarPlayer(provider, view, play_audio=args.out is None) as player:
            player.on("round-ended", lambda event: print(f"round {event.round}: {event.reason}", flush=True))
            player.on("error", lambda error: print(f"error: {error}", flush=True))
            await player.connect()
            if args.interrupt is not None:
                interrupting = asyncio.create_task(interrupt_after(args.interrupt, provider))
            await say_all(provider, files, rate)
            if args.interrupt is not None:
                interrupting.cancel()
            await asyncio.sleep(0.5)  # the last sound is still on its way to the ear
            counters = provider.stats().counters
            print(
                f"{counters.shown} of {counters.received} keyframes shown, {counters.late} late", flush=True
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="sound files to say, one after another")
    parser.add_argument("--demo", action="store_true", help="a stand-in of the service, and its own sound")
    parser.add_argument("--out", help="record to this file instead of playing")
    parser.add_argument("--interrupt", type=float, metavar="S", help="interrupt it after so many seconds")
    arguments = parser.parse_args()
    if not arguments.files and not arguments.demo:
        parser.error("name sound files to say, or give --demo")
    try:
        asyncio.run(main(arguments))
    except KeyboardInterrupt:
        pass
    except AvatarKitError as error:
        raise SystemExit(str(error)) from None
