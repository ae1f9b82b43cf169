"""Programs of this project as real child processes: started, listened to, signalled, ended."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[2]


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without a display, a server or a token; and with ``more``."""
    gone = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "QT_QPA_PLATFORM")
    env = {k: v for k, v in os.environ.items() if not k.startswith("LIVEKIT_") and k not in gone}
    path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    # Unbuffered, so that a line can be waited for; wide, so that a terminal folds nothing.
    return env | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"} | more


@contextlib.contextmanager
def ctrl_c_heard() -> Iterator[None]:
    """Children that are started meanwhile hear Ctrl-C, even if these tests run in the background of a shell:
    what does ignores it, and its children do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Done:
    """A child that has ended."""

    code: int
    out: str
    err: str

    @property
    def err_lines(self) -> list[str]:
        return self.err.splitlines()


class Child:
    """A child process whose output is read as it comes. A context manager: it never outlives the test."""

    def __init__(
        self,
        command: Iterable[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stderr: int | None = None,
    ) -> None:
        """``stderr``: a descriptor of the caller's own instead of a pipe (a terminal, say)."""
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env=dict(clean_environment() if env is None else env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if stderr is None else stderr,
        )
        self._chunks: dict[str, list[str]] = {"out": [], "err": []}
        self._news: queue.Queue[None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._chunks[name].append(line.decode(errors="replace"))
            self._news.put(None)

    @property
    def out(self) -> str:
        """Standard output so far."""
        return "".join(self._chunks["out"])

    @property
    def err(self) -> str:
        """Standard error so far."""
        return "".join(self._chunks["err"])

    def wait_for(self, text: str, timeout_s: float = 60.0) -> None:
        """Wait until ``text`` was printed, on whichever stream."""
        self.wait_for_count(text, 1, timeout_s)

    def wait_for_count(self, text: str, count: int, timeout_s: float = 60.0) -> None:
        """Wait until ``text`` was printed ``count`` times."""
        deadline = time.monotonic() + timeout_s
        while self.out.count(text) + self.err.count(text) < count:
            assert time.monotonic() < deadline, f"{text!r} not within {timeout_s} s:\n{self._printed()}"
            ended = self.process.poll() is not None and not any(r.is_alive() for r in self._readers)
            assert not ended, f"it ended ({self.process.returncode}) before {text!r}:\n{self._printed()}"
            with contextlib.suppress(queue.Empty):
                self._news.get(timeout=0.1)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def finish(self, timeout_s: float = 60.0) -> Done:
        """Wait for its end."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s} s:\n{self._printed()}") from None
        for reader in self._readers:
            reader.join(10)
        return Done(code, self.out, self.err)

    def _printed(self) -> str:
        return f"--- standard output\n{self.out}--- standard error\n{self.err}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for reader in self._readers:
            reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def start_command(*arguments: str | Path, **options: Any) -> Child:
    """``avatarkit-rtc`` with ``arguments``."""
    return Child([sys.executable, "-m", "avatarkit_rtc", *arguments], **options)


def run_command(*arguments: str | Path, timeout_s: float = 60.0, **options: Any) -> Done:
    """``avatarkit-rtc`` with ``arguments``, to its end."""
    with start_command(*arguments, **options) as child:
        return child.finish(timeout_s)


def start_example(name: str, *arguments: str | Path, **options: Any) -> Child:
    """A program of ``examples/``."""
    return Child([sys.executable, "-X", "dev", ROOT / "examples" / name, *arguments], **options)


def assert_no_loose_ends(done: Done) -> None:
    """It ended well, and nothing was left over that Python complains of."""
    assert done.code == 0, f"exit code {done.code}\n{done.out}\n{done.err}"
    for complaint in ("Traceback", "never retrieved", "was destroyed", "never awaited", "Unclosed"):
        assert complaint not in done.err, done.err


_HIDING = '''
"""Put on the path by a test: OpenCV's and PortAudio's system libraries cannot be loaded."""
import ctypes.util
import sys

class _NoOpenCV:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
        if name == "_sounddevice_data":
            raise ImportError("no bundled PortAudio either")
        return None

sys.meta_path.insert(0, _NoOpenCV)
_find_library = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if "portaudio" in name else _find_library(name)
'''


def without_system_libraries(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which Python programs find neither OpenCV's nor PortAudio's system libraries."""
    hiding = folder / "hiding"
    hiding.mkdir(exist_ok=True)
    (hiding / "sitecustomize.py").write_text(_HIDING, encoding="utf-8")
    env = clean_environment(**more)
    return env | {"PYTHONPATH": os.pathsep.join([str(hiding), env["PYTHONPATH"]])}
