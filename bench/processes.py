"""A LiveKit server, and the programs that are measured in processes of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from avatarkit_rtc.testing import LocalServer
from avatarkit_rtc.testing.server_build import ensure_server

AVATARKIT: Final = ("-m", "avatarkit_rtc")
"""The command line of this checkout, as arguments to Python."""

_ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Place:
    """A room on a server."""

    url: str
    key: str
    secret: str = field(repr=False)
    room: str = field(default_factory=lambda: f"bench-{secrets.token_hex(4)}")

    @property
    def environment(self) -> dict[str, str]:
        """What the commands read; not on the command line, where others could see the secret."""
        return {
            "LIVEKIT_URL": self.url,
            "LIVEKIT_API_KEY": self.key,
            "LIVEKIT_API_SECRET": self.secret,
        }


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A room of its own: on the server that LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET name, else on
    one started here (and built first, where there is none)."""
    url, key, secret = (
        os.environ.get(name) for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    )
    if url and key and secret:
        yield Place(url, key, secret)
        return
    with LocalServer(ensure_server(_say)) as server:
        yield Place(server.url, server.api_key, server.api_secret)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Every core has a process on it that does nothing but work, while the body runs."""
    with contextlib.ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            stack.enter_context(Program("-c", "while True: pass", environment={}))
        yield


def _say(line: str) -> None:
    print(line, file=sys.stderr)


class Program:
    """A Python program in a process of its own; a context manager that ends it."""

    def __init__(self, *arguments: str, environment: dict[str, str], within: Sequence[str] = ()) -> None:
        """
        Args:
            arguments: to the Python interpreter, which runs in the checkout.
            environment: on top of this process's own.
            within: a command that runs the interpreter in its own place, by replacing itself with it.
        """
        self.name = arguments[1] if len(arguments) > 1 else arguments[0]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        self._process = subprocess.Popen(
            [*within, sys.executable, *arguments],
            cwd=_ROOT,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self._watched = psutil.Process(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        # Not by reading at the file's position, which the program shares and writes at.
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def wait_for(self, text: str, timeout_s: float = 60.0) -> None:
        """Wait until it has printed ``text``.

        Raises:
            RuntimeError: it ended, or did not print that in time; with what it printed instead.
        """
        deadline = time.monotonic() + timeout_s
        while text not in self.output:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not say {text!r}:\n{self.output}")
            time.sleep(0.05)

    def cpu_s(self) -> float:
        """Seconds of processor time it has used, in user and system mode, all its threads together."""
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    def wait(self, timeout_s: float) -> None:
        """Wait until it ends by itself.

        Raises:
            RuntimeError: it did not, or failed.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            raise RuntimeError(f"{self.name} ended with {code} after {timeout_s:g} s at most:\n{self.output}")

    def stop(self) -> None:
        """End it as Ctrl-C would.

        Raises:
            RuntimeError: it did not end well.
        """
        self._process.send_signal(signal.SIGINT)
        self.wait(20.0)
