"""Headless bots: watch one avatar, or many, without a display or a sound card, and write down what they do.

    python headless_bot.py --url wss://my.livekit.host --room lobby --seconds 60     # LIVEKIT_TOKEN is set
    python headless_bot.py --demo --bots 5 --seconds 10
    python headless_bot.py --url ... --key K --secret S --room lobby --room shop --out recordings
                                                        # needs pip install 'avatarkit-rtc[server]'

Per bot one file of JSON lines, a line per shown pose, and at the end one line of figures on standard
output. All bots share one process and one event loop. For pictures give ``HeadlessSink(face="cartoon")`` a
callback, for video files use ``renderers.Recorder``.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np

from avatarkit_rtc import AvatarKitError, AvatarPlayer, LiveKitProvider, LoopbackProvider
from avatarkit_rtc.providers.minting import join_token
from avatarkit_rtc.testing import StandInAvatar, perform
from renderers import HeadlessSink


class Bot:
    """One avatar's poses into a file, and the loudness of its voice."""

    def __init__(self, name: str, folder: Path):
        self.name, self.path, self.file = name, folder / f"{name}.jsonl", None
        self.view = HeadlessSink(self.pose, on_sound=self.sound)
        self.sound_s, self.energy = 0.0, 0.0

    def pose(self, shot) -> None:
        """Called for each shown pose, on the event loop: quick work only, or hand it to a thread."""
        if self.file is None:
            return  # not in the room yet
        pose = shot.pose
        line = {"t": round(pose.t, 3), "round": pose.round, "position": pose.position, "kind": pose.kind}
        line["presentation"] = round(pose.presentation_time, 4)  # on one time with block.presentation_time
        line["jaw"] = round(float(pose.frame.jaw_pose[0]), 4)
        self.file.write(json.dumps(line) + "\n")

    def sound(self, block) -> None:
        """Called for each 10 ms of the avatar's voice; samples have the shape (n, channels), int16."""
        self.sound_s += block.duration
        self.energy += block.duration * float(np.mean(np.square(block.samples / 32768.0)))

    async def run(self, provider, **where) -> bool:
        """Whether it got into the room."""
        try:
            # play_audio=False: the sound comes to the view, and no sound card is touched.
            async with AvatarPlayer(provider, self.view, play_audio=False, auto_reconnect=True) as player:
                await player.connect(**where)
                self.file = self.path.open("w", encoding="utf-8")  # not before: it may hold a recording
                await player.wait_closed()  # until the room ends, or this task is cancelled
            return True
        except (AvatarKitError, OSError) as error:
            print(f"{self.name}: {error}", file=sys.stderr, flush=True)
            return False
        finally:
            self.view.close()
            if self.file is not None:
                self.file.close()
            shown = player.stats().playout
            figures = {"bot": self.name, "rounds": sum(shown.rounds_ended.values())}
            figures |= {"frames": shown.counters.shown, "freezes": shown.counters.freezes}
            figures |= {"sound_s": round(self.sound_s, 2), "loudness": round(self.energy**0.5, 4)}
            print(json.dumps(figures), flush=True)


async def main(args) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    tasks = []
    for number in range(args.bots if args.demo else 0):
        loopback = LoopbackProvider()
        tasks.append(asyncio.create_task(Bot(f"demo-{number}", args.out).run(loopback)))
        tasks.append(asyncio.create_task(StandInAvatar(loopback.avatar, [perform(number, 4.0)]).run()))
    for room in args.room:
        token = os.environ.get("LIVEKIT_TOKEN")
        if args.key:
            token = join_token(args.key, args.secret, room, identity=f"bot-{os.getpid()}")
        bot = Bot(room, args.out)
        tasks.append(asyncio.create_task(bot.run(LiveKitProvider(), url=args.url, token=token)))
    await asyncio.wait(tasks, timeout=args.seconds)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return 1 if False in results else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"))
    parser.add_argument("--key", default=os.environ.get("LIVEKIT_API_KEY"))
    parser.add_argument("--secret", default=os.environ.get("LIVEKIT_API_SECRET"))
    parser.add_argument("--room", action="append", default=[], help="several times for several bots")
    parser.add_argument("--demo", action="store_true", help="stand-in avatars instead of rooms")
    parser.add_argument("--bots", type=int, default=1, help="number of bots of --demo")
    parser.add_argument("--out", type=Path, default=Path("recordings"))
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    arguments = parser.parse_args()
    if not arguments.room and not (arguments.demo and arguments.bots > 0):
        parser.error("name a --room, or give --demo")
    admitted = (arguments.key and arguments.secret) or os.environ.get("LIVEKIT_TOKEN")
    if arguments.room and not (arguments.url and admitted):
        parser.error("give --url, and --key and --secret, or set LIVEKIT_TOKEN")
    try:
        sys.exit(asyncio.run(main(arguments)))
    except KeyboardInterrupt:
        pass
    except (AvatarKitError, OSError) as error:
        raise SystemExit(str(error)) from None
