"""A stand-in avatar in a process of its own, so that a test can kill it in the middle of a sentence.

Run as a program it publishes for ever; the URL comes as the argument, the token over standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Self

from avatarkit_rtc.testing.performer import perform
from avatarkit_rtc.testing.room import RoomTransport, avatar_token
from avatarkit_rtc.testing.stand_in import StandInAvatar, StandInOptions
from tests.support.livekit import LiveKitServer

ROOT = Path(__file__).resolve().parents[2]


class AvatarProcess:
    """A context manager: the process runs from entering to leaving, or to :meth:`kill`."""

    def __init__(self, server: LiveKitServer, room: str, *, seconds: float) -> None:
        self._url = server.url
        self._token = avatar_token(server.api_key, server.api_secret, room)
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.avatar_process", self._url, str(self._seconds)],
            stdin=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._token.encode() + b"\n")
        self._process.stdin.close()

    def kill(self) -> None:
        """SIGKILL: nobody in the room is told."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


async def publish(url: str, token: str, seconds: float) -> None:
    async with RoomTransport(url, token) as transport:
        await StandInAvatar(transport, [perform(1, seconds)], StandInOptions(pause_s=0.6)).run()


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1], sys.stdin.readline().strip(), float(sys.argv[2])))
