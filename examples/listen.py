"""Listen to an avatar and watch its face by the numbers: sound as numpy arrays, with times, nothing played.

    python listen.py --demo --seconds 8
    python listen.py --url wss://my.livekit.host --seconds 60 --wav voice.wav     # LIVEKIT_TOKEN is set

For each second of speech one line: how loud the voice was, and how far the jaw was open *for that sound*,
which is not how far it is open now. What makes that possible is the presentation time that sound blocks and
poses share.
"""

import argparse
import asyncio
import contextlib
import math
import os
import wave
from pathlib import Path

import numpy as np

from avatarkit_rtc import AvatarKitError, AvatarPlayer, LiveKitProvider, LoopbackProvider
from avatarkit_rtc.testing import StandInAvatar, perform
from renderers import HeadlessSink


class Seconds:
    """Loudness and jaw of each second of presentation time."""

    def __init__(self):
        self.loudness, self.jaws = {}, {}

    def shot(self, shot) -> None:
        pose = shot.pose
        if pose.media_time is not None:
            self.jaws.setdefault(int(pose.presentation_time), []).append(float(pose.frame.jaw_pose[0]))

    async def listen(self, player) -> None:
        async for block in player.audio():  # ends when the room does
            if block.media_time is not None:
                power = float(np.mean(np.square(block.samples / 32768.0)))
                self.loudness.setdefault(int(block.presentation_time), []).append(power)

    def lines(self):
        for second in sorted(self.loudness.keys() & self.jaws.keys()):
            level = 10 * math.log10(max(1e-10, np.mean(self.loudness[second])))
            yield f"{second:5d} s  voice {level:6.1f} dBFS  jaw {np.mean(self.jaws[second]):.3f}"


async def save(player, file) -> None:
    """Write the voice into an open WAV file, with silence where sound is missing."""
    end = None
    with contextlib.closing(wave.open(file, "wb")) as voice:
        voice.setparams((1, 2, 48000, 0, "NONE", "not compressed"))  # unless a block says otherwise
        async for block in player.audio():
            if end is None:
                voice.setnchannels(block.samples.shape[1])
                voice.setframerate(block.sample_rate)
            elif (gap := round((block.presentation_time - end) * block.sample_rate)) > 0:
                voice.writeframes(bytes(2 * gap * block.samples.shape[1]))
            voice.writeframes(block.samples.tobytes())
            end = block.presentation_time + block.duration


async def main(args) -> None:
    seconds = Seconds()
    provider = LoopbackProvider() if args.demo else LiveKitProvider()
    where = {} if args.demo else {"url": args.url, "token": os.environ["LIVEKIT_TOKEN"]}
    if args.demo:
        avatar = StandInAvatar(provider.avatar, [perform(1, 4.0)])
    async with AvatarPlayer(provider, HeadlessSink(seconds.shot), play_audio=False) as player:
        await player.connect(**where)
        with args.wav.open("wb") as file:  # what is wrong with it is told at once
            reading = asyncio.gather(seconds.listen(player), save(player, file))
            if args.demo:
                speaking = asyncio.create_task(avatar.run())
            try:
                await asyncio.wait_for(reading, args.seconds)
            except TimeoutError:
                pass
            finally:
                if args.demo:
                    speaking.cancel()
                for line in seconds.lines():
                    print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"))
    parser.add_argument("--demo", action="store_true", help="a stand-in avatar instead of a room")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    parser.add_argument("--wav", type=Path, default=os.devnull, help="write the voice into this file")
    arguments = parser.parse_args()
    if not arguments.demo and not (arguments.url and os.environ.get("LIVEKIT_TOKEN")):
        parser.error("give --url and set LIVEKIT_TOKEN, or give --demo")
    try:
        asyncio.run(main(arguments))
    except KeyboardInterrupt:
        pass
    except (AvatarKitError, OSError) as error:
        raise SystemExit(str(error)) from None
