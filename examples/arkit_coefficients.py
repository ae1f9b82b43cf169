"""Drive a renderer of your own: ARKit's 52 coefficients of a living face, a JSON line for each pose.

    python arkit_coefficients.py --demo --seconds 8
    python arkit_coefficients.py --url wss://my.livekit.host        # LIVEKIT_TOKEN is set

A line has the presentation time of the pose, the coefficients that are not zero by ARKit's names, and how
head and eyes are turned (axis-angle, radians). The mouth is moved by the avatar's sound; blinks, gaze and
breath are added where the stream has none.
"""

import argparse
import asyncio
import json
import os

from avatarkit_rtc import (
    ARKIT_NAMES,
    AvatarKitError,
    AvatarPlayer,
    FaceDriver,
    LiveKitProvider,
    LoopbackProvider,
)
from avatarkit_rtc.testing import StandInAvatar, perform
from renderers import HeadlessSink


def write(shot) -> None:
    """A shot comes as soon as its sound is there, which tells the mouth."""
    face = shot.face
    named = zip(ARKIT_NAMES, face.coefficients.tolist(), strict=True)
    line = {
        "t": round(shot.pose.presentation_time, 3),
        "coefficients": {name: round(value, 3) for name, value in named if value > 0.0005},
        "rotation": [round(part, 4) for part in face.rotation.tolist()],
        "gaze": [[round(part, 4) for part in eye] for eye in face.gaze.tolist()],
    }
    print(json.dumps(line), flush=True)


async def main(args) -> None:
    provider = LoopbackProvider() if args.demo else LiveKitProvider()
    where = {} if args.demo else {"url": args.url, "token": os.environ["LIVEKIT_TOKEN"]}
    sink = HeadlessSink(write, driver=FaceDriver())
    async with AvatarPlayer(provider, sink, play_audio=False) as player:
        await player.connect(**where)
        waiting = [asyncio.create_task(player.wait_closed())]
        if args.demo:
            avatar = StandInAvatar(provider.avatar, [perform(1, 4.0)])
            waiting.append(asyncio.create_task(avatar.run()))
        await asyncio.wait(waiting, timeout=args.seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"))
    parser.add_argument("--demo", action="store_true", help="a stand-in avatar instead of a room")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    arguments = parser.parse_args()
    if not arguments.demo and not (arguments.url and os.environ.get("LIVEKIT_TOKEN")):
        parser.error("give --url and set LIVEKIT_TOKEN, or give --demo")
    try:
        asyncio.run(main(arguments))
    except KeyboardInterrupt:
        pass
    except AvatarKitError as error:
        raise SystemExit(str(error)) from None
