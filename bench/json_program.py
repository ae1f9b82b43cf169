"""A program of ours in a process of its own that takes lines and says what happens in lines of JSON."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_ROOT: Final = Path(__file__).resolve().parent.parent


class JsonProgram:
    """It ends when its input does, which the end of the context closes."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what ALSA says about daemons that are not there
            text=True,
        )
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.events: list[dict[str, Any]] = []
        """Lines with an ``event``, in order."""
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.events.append(said)
            else:
                self._answers.put(said)

    def tell(self, command: str) -> None:
        """Give it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def ask(self, command: str, key: str) -> dict[str, Any]:
        """Give it a command and wait for the answer."""
        self.tell(command)
        return self.wait_for(key)

    def wait_for(self, key: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """The next line with ``key`` that is no event.

        Raises:
            queue.Empty: none came in time.
        """
        while True:
            said = self._answers.get(timeout=timeout_s)
            if key in said:
                return said

    def event(self, name: str, seen: int, timeout_s: float = 15.0) -> dict[str, Any] | None:
        """The first ``name`` after ``seen`` events, once it is there; None where it does not come in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for each in self.events[seen:]:
                if each["event"] == name:
                    return each
            time.sleep(0.01)
        return None

    def changes(self, seen: int) -> list[str]:
        """Names of those after ``seen`` events, in order."""
        return [each["event"] for each in self.events[seen:]]
