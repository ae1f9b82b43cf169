"""A network namespace that reaches this one over a single pair of virtual interfaces (Linux, root)."""

from __future__ import annotations

import atexit
import contextlib
import ipaddress
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from avatarkit_rtc.errors import MissingDependencyError, ServerError

PREFIX: Final = "avatarkit"
"""Namespaces of this package are called ``avatarkit-<pid>-<start of that process>-<random>``."""
SUBNETS: Final = ipaddress.ip_network("198.18.0.0/15")
"""Addresses come from here: reserved for network tests (RFC 2544), so that no real network uses them."""

_FOLDER: Final = Path("/run/netns")
_COMMAND_TIMEOUT_S: Final = 10.0
_ATTEMPTS: Final = 5

# Runs as a process of its own until its standard input closes, which happens when the owner is gone, however
# it went; then ends what runs in the namespace, and the namespace.
_WATCHDOG: Final = """
import os, signal, subprocess, sys
sys.stdin.buffer.read()
ip, name, link = sys.argv[1:]
found = subprocess.run([ip, "netns", "pids", name], capture_output=True, text=True)
for pid in found.stdout.split():
    try:
        os.kill(int(pid), signal.SIGKILL)
    except OSError:
        pass
subprocess.run([ip, "link", "delete", link], capture_output=True)
subprocess.run([ip, "netns", "delete", name], capture_output=True)
"""


def unavailable() -> str | None:
    """Why there can be no namespace on this machine; None when there can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the program `ip` (Debian, Ubuntu: apt install iproute2)"
    return None


class Namespace:
    """A network of its own for client programs, from which nothing can be reached but :attr:`host_ip`.

    Use it as a context manager, or :meth:`start` and :meth:`stop` it. When the owning process dies, a
    watchdog takes the namespace down, with what runs in it; should even the watchdog leave one over, the next
    start removes it.
    """

    def __init__(self) -> None:
        self._ip = "ip"
        self._children: list[subprocess.Popen[Any]] = []
        self._lock = threading.Lock()
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._started = False
        self.name = ""
        """Name of the namespace while it is there."""
        self.host_ip = ""
        """Address of this side of the link."""
        self.client_ip = ""
        """Address of the namespace's side."""
        self._link = ""

    def start(self) -> None:
        """Set it up. More than once is fine.

        Raises:
            MissingDependencyError: the program ``ip`` is not installed.
            ServerError: this is not Linux, or not root, or the kernel refused; the message says what.
        """
        if self._started:
            return
        reason = unavailable()
        if reason is not None:
            if "iproute2" in reason:
                raise MissingDependencyError(reason)
            raise ServerError(f"{reason}: run it as root on Linux, or test without an impaired network")
        self._ip = shutil.which("ip") or "ip"
        remove_stale()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._set_up()
                return
            except BaseException as error:
                self.stop()
                # Somebody may have taken the address or the name since we looked.
                if not isinstance(error, ServerError) or attempt == _ATTEMPTS:
                    raise

    def stop(self) -> None:
        """End what runs in it and remove it. More than once is fine; never raises."""
        with self._lock:
            children, self._children = self._children, []
        name, self.name = self.name, ""
        watchdog, self._watchdog = self._watchdog, None
        if name:
            _remove(self._ip, name, self._link)
        for child in children:
            with contextlib.suppress(OSError):
                child.kill()
            with contextlib.suppress(Exception):
                child.wait(_COMMAND_TIMEOUT_S)
        if watchdog is not None:
            watchdog.kill()
            watchdog.wait()
            if watchdog.stdin is not None:
                watchdog.stdin.close()
        self._started = False
        atexit.unregister(self.stop)

    def command(self, arguments: Sequence[str | os.PathLike[str]]) -> list[str]:
        """``arguments`` as a command line that runs in the namespace. It replaces itself by the program, so
        that its process number and signals are the program's."""
        if not self._started:
            raise ServerError("the namespace is not there: start() it first")
        return [self._ip, "netns", "exec", self.name, *(os.fspath(each) for each in arguments)]

    def popen(self, arguments: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.Popen[Any]:
        """Start a program in the namespace; ``options`` are those of :class:`subprocess.Popen`. It is killed
        by :meth:`stop` if it still runs then."""
        child = subprocess.Popen(self.command(arguments), **options)
        with self._lock:
            self._children = [each for each in self._children if each.returncode is None] + [child]
        return child

    def run(
        self, arguments: Sequence[str | os.PathLike[str]], **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Run a program in the namespace to its end; ``options`` are those of :func:`subprocess.run`."""
        return subprocess.run(self.command(arguments), **options)  # noqa: PLW1510 - check is the caller's

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Namespace {self.name or 'not started'}>"

    def _set_up(self) -> None:
        tag = secrets.token_hex(4)
        subnet = _free_subnet(self._ip)
        host, client = (str(each) for each in subnet.hosts())
        length = subnet.prefixlen
        self._link, inner = f"ak{tag}h", f"ak{tag}c"
        self.host_ip, self.client_ip = host, client
        name = f"{PREFIX}-{os.getpid()}-{_start_of(os.getpid())}-{tag}"
        # From here on stop() has something to remove, and so has the watchdog, should we be killed.
        self.name = name
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCHDOG, self._ip, name, self._link],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.stop)
        ip = self._ip
        _check([ip, "netns", "add", name])
        _check([ip, "link", "add", self._link, "type", "veth", "peer", "name", inner, "netns", name])
        _check([ip, "address", "add", f"{host}/{length}", "dev", self._link])
        _check([ip, "link", "set", self._link, "up"])
        _check([ip, "-n", name, "address", "add", f"{client}/{length}", "dev", inner])
        _check([ip, "-n", name, "link", "set", "lo", "up"])
        _check([ip, "-n", name, "link", "set", inner, "up"])
        self._started = True


def remove_stale() -> list[str]:
    """Remove the namespaces whose owner is gone, with what runs in them; returns their names."""
    removed = []
    try:
        names = [each.name for each in _FOLDER.iterdir() if each.name.startswith(f"{PREFIX}-")]
    except OSError:
        return []
    ip = shutil.which("ip") or "ip"
    for name in names:
        parts = name.split("-")
        if len(parts) != 4 or not (parts[1].isdigit() and parts[2].isdigit()):
            continue
        # A process number may have been given to somebody else; together with the start it is unique.
        if _start_of(int(parts[1])) != int(parts[2]):
            _remove(ip, name, f"ak{parts[3]}h")
            removed.append(name)
    return removed


def _remove(ip: str, name: str, link: str) -> None:
    """Must not raise."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        for pid in _ask([ip, "netns", "pids", name]).split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
    for command in ([ip, "link", "delete", link], [ip, "netns", "delete", name]):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _ask(command)


def _start_of(pid: int) -> int | None:
    """When a process was started, in ticks since the machine was; None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold anything; the start is the 20th field behind it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _free_subnet(ip: str) -> ipaddress.IPv4Network:
    taken = [ipaddress.ip_network(word, strict=False) for word in _addresses(ip)]
    assert isinstance(SUBNETS, ipaddress.IPv4Network)
    first, count = int(SUBNETS.network_address), SUBNETS.num_addresses // 4
    for _ in range(100):
        start = first + 4 * random.SystemRandom().randrange(count)
        subnet = ipaddress.IPv4Network((start, 30))
        if not any(subnet.overlaps(each) for each in taken if each.version == 4):
            return subnet
    raise ServerError(f"no free addresses in {SUBNETS}: remove left-over interfaces (`ip address`)")


def _addresses(ip: str) -> list[str]:
    lines = _check([ip, "-4", "-oneline", "address", "show"]).splitlines()
    words = (line.split() for line in lines)
    return [each[each.index("inet") + 1] for each in words if "inet" in each]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=_COMMAND_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _ask(command: Sequence[str]) -> str:
    done = _run(command)
    return done.stdout if done.returncode == 0 else ""


def _check(command: Sequence[str]) -> str:
    try:
        done = _run(command)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"`{' '.join(command)}` did not work: {error}") from error
    if done.returncode != 0:
        raise ServerError(
            f"`{' '.join(command)}` did not work: {done.stderr.strip()}; network namespaces need full root "
            "rights (in a container: --cap-add NET_ADMIN,SYS_ADMIN)"
        )
    return done.stdout
