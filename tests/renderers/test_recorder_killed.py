"""``kill -9`` in the middle of a recording, in real time: the file plays, two seconds at most are missing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.video import plays, probe

MISSING_S = 2.0
RECORDED_S = 5.5

PROGRAM = """
import asyncio, sys
from avatarkit_rtc import AvatarPlayer, LoopbackProvider
from avatarkit_rtc.testing.performer import perform
from avatarkit_rtc.testing.stand_in import StandInAvatar
from renderers import Recorder

async def main():
    provider = LoopbackProvider()
    recorder = Recorder(sys.argv[1], face="cartoon", size=(128, 128), own_voice=True, sidecar=True)
    async with AvatarPlayer(provider, recorder, play_audio=False) as player:
        await player.connect()
        avatar = asyncio.create_task(StandInAvatar(provider.avatar, [perform(1, 4.0)]).run())
        while True:
            await asyncio.sleep(0.02)
            print(recorder.stats().duration_s, flush=True)

asyncio.run(main())
"""


@pytest.mark.alone
def test_at_most_two_seconds_are_missing(tmp_path: Path) -> None:
    paths = [tmp_path / "mp4" / "killed.mp4", tmp_path / "webm" / "killed.webm"]
    for path in paths:
        path.parent.mkdir()
    with ExitStack() as close:
        children = []
        for path in paths:
            command = [sys.executable, "-c", PROGRAM, str(path)]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            close.callback(child.wait, 10)
            close.callback(child.kill)
            children.append(child)
        recorded = []
        for child in children:
            assert child.stdout is not None
            before, steady = 0.0, 0
            for line in child.stdout:
                now = float(line)
                # Not in the middle of what a busy machine held up: it is recorded late, and so is missing.
                steady = steady + 1 if now - before < 0.2 else 0
                before = now
                if now > RECORDED_S and steady > 40:
                    break
            child.kill()
            # What it said while it was being killed counts, too.
            rest = child.stdout.read().splitlines()
            recorded.append(max(float(each) for each in [line, *rest[:-1]]))
    for path, seconds in zip(paths, recorded, strict=True):
        whole = path.suffix == ".mp4"
        complaints = plays(path)
        assert not (whole and complaints), complaints
        streams = probe(path, whole=whole)
        assert seconds - streams["video"]["times"][-1] < MISSING_S
        assert seconds - streams["audio"]["times"][-1] < MISSING_S
        assert len(path.with_suffix(".jsonl").read_text().splitlines()) > 25 * (seconds - MISSING_S) * 0.8
