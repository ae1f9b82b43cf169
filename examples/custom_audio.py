"""Custom audio: talk to the avatar with sound of your own instead of a microphone.

    python custom_audio.py --url wss://my.livekit.host --sound question.wav     # LIVEKIT_TOKEN is set
    python custom_audio.py --demo --sound tone
    python custom_audio.py --demo --sound push

``publish_audio`` takes a file, a numpy array, bytes, an async iterator or a ``PushSource`` (here: what a
speech synthesis hands over piece by piece). It is resampled as needed and sent in real time. The end of it is
reported as ``audio-ended``; the track then stays, silent, until ``unpublish_audio``.
"""

import argparse
import asyncio
import os

import numpy as np

from avatarkit_rtc import AvatarKitError, AvatarPlayer, LiveKitProvider, LoopbackProvider, PushSource

RATE = 24000


def tone(frequency: float, seconds: float) -> np.ndarray:
    """Mono, shape (n,), float from -1 to 1; int16 will do as well."""
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


async def synthesize(source: PushSource) -> None:
    """Push sound as it is made, faster than real time or slower. ``push`` waits while a second is queued."""
    for frequency in (330, 392, 440, 523, 660):
        await source.push(tone(frequency, 0.4))
        await asyncio.sleep(0.05)
    source.end()


async def main(args) -> None:
    provider = LoopbackProvider() if args.demo else LiveKitProvider()
    ended = asyncio.Event()
    async with AvatarPlayer(provider, play_audio=False) as player:
        player.on("audio-ended", lambda track: ended.set())
        player.on("error", lambda error: print(f"error: {error}", flush=True))
        await player.connect(url=args.url, token=os.environ.get("LIVEKIT_TOKEN"))
        pushing = None
        if args.sound == "tone":
            await player.publish_audio(tone(440, 2.0), sample_rate=RATE)
        elif args.sound == "push":
            source = PushSource(RATE)
            await player.publish_audio(source)
            pushing = asyncio.create_task(synthesize(source))  # kept: a task without a reference may vanish
        else:
            await player.publish_audio(args.sound)
        print(f"publishing {args.sound}", flush=True)
        try:
            await asyncio.wait_for(ended.wait(), args.seconds)
        except TimeoutError:
            print(f"stopped after {args.seconds:g} s", flush=True)
        if pushing is not None:
            pushing.cancel()
        await asyncio.sleep(0.2)  # the last tenth of a second is still on its way
        print(f"sent {player.stats().audio.custom_blocks_sent / 100:.2f} s", flush=True)
        if args.demo:
            print(f"the avatar heard {provider.avatar.heard.seconds:.2f} s", flush=True)
        await player.unpublish_audio()  # the source stays as it is and could be published again


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"))
    parser.add_argument("--sound", default="tone", help="tone, push, or a sound file")
    parser.add_argument("--demo", action="store_true", help="an avatar in this process instead of a room")
    parser.add_argument("--seconds", type=float, help="do not wait longer for the sound's end")
    arguments = parser.parse_args()
    if not arguments.demo and not (arguments.url and os.environ.get("LIVEKIT_TOKEN")):
        parser.error("give --url and set LIVEKIT_TOKEN, or give --demo")
    try:
        asyncio.run(main(arguments))
    except KeyboardInterrupt:
        pass
    except AvatarKitError as error:
        raise SystemExit(str(error)) from None
