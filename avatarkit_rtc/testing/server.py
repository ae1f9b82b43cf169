"""A real LiveKit server on this machine, for tests, demonstrations and development.

    async with LocalServer() as server:
        await room.connect(server.url, token)        # signed with server.api_key and server.api_secret

The server listens on 127.0.0.1 only, on ports of its own, with a secret of its own, and never outlives the
process that started it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing.server_build import (
    GO_VERSION,
    SERVER_VERSION,
    build_server,
    cache_dir,
    cached_server,
    ensure_server,
    find_go,
    find_server,
)
from avatarkit_rtc.testing.server_config import Ports, configuration

__all__ = [
    "GO_VERSION",
    "SERVER_VERSION",
    "LocalServer",
    "build_server",
    "cache_dir",
    "cached_server",
    "ensure_server",
    "find_go",
    "find_server",
]

_START_ATTEMPTS: Final = 3

# Runs as a process of its own and waits for its standard input to close, which happens when the process that
# started the server is gone, however it went. PR_SET_PDEATHSIG would watch a thread, and on Linux only.
_WATCHDOG: Final = """
import os, shutil, signal, sys
sys.stdin.buffer.read()
try:
    os.kill(int(sys.argv[1]), getattr(signal, "SIGKILL", signal.SIGTERM))
except OSError:
    pass
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


class LocalServer:
    """A LiveKit server as a child process: a context manager, plain or async, or started and stopped by hand.

    :meth:`start`, :meth:`stop`, :meth:`kill` and :meth:`restart` block for some 0.3 s; on an event loop use
    ``async with`` and ``asyncio.to_thread(server.restart)``.
    """

    def __init__(
        self,
        binary: Path | str | None = None,
        *,
        node_ip: str = "127.0.0.1",
        bind: str = "127.0.0.1",
        rtc_tcp: bool = True,
        config: Mapping[str, Any] | None = None,
        start_timeout_s: float = 30.0,
        keep_log: bool = False,
    ) -> None:
        """Choose ports and keys; nothing runs yet.

        Args:
            binary: the server program; None for :func:`find_server`'s (nothing is built here).
            node_ip: address that the server tells its clients to send media to.
            bind: address to listen on for signalling.
            rtc_tcp: offer media over TCP besides UDP.
            config: further settings of the server's own configuration file, merged over these.
            start_timeout_s: longest time until it must answer.
            keep_log: keep the folder with the server's log in any case, not only after a failure.
        """
        self._binary = Path(binary) if binary is not None else None
        self._node_ip = node_ip
        self._bind = bind
        self._rtc_tcp = rtc_tcp
        self._extra = dict(config or {})
        self._start_timeout_s = start_timeout_s
        self._keep_log = keep_log
        self._failed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._ports = Ports.free()
        self.api_key = f"local{secrets.token_hex(4)}"
        """Key that join tokens are signed for."""
        self.api_secret = secrets.token_urlsafe(36)
        """Secret that join tokens are signed with."""

    @property
    def url(self) -> str:
        """WebSocket address for clients."""
        return f"ws://{self._bind}:{self._ports.signalling}"

    @property
    def http_url(self) -> str:
        """HTTP address, for ``livekit.api``."""
        return f"http://{self._bind}:{self._ports.signalling}"

    @property
    def udp_port(self) -> int:
        """The one UDP port all media goes through."""
        return self._ports.udp

    @property
    def pid(self) -> int | None:
        """Process number while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        """True from a start until it is stopped, killed or has died."""
        return self.pid is not None

    @property
    def log_path(self) -> Path | None:
        """The server's log: while it runs, and afterwards if something went wrong."""
        return self._folder / "server.log" if self._folder is not None else None

    def start(self) -> None:
        """Start and wait until it answers. Does nothing if it runs.

        Raises:
            ServerError: there is no server program, or it did not come up (with the end of its log).
        """
        if self.running:
            return
        first = self._folder is None
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._spawn()
                self._wait_ready()
                return
            except BaseException as error:
                self.kill()
                self._failed = True
                # Somebody may have taken a port since we looked. After a restart the ports have to stay.
                if not first or not isinstance(error, ServerError) or not self._port_taken():
                    raise
                if attempt == _START_ATTEMPTS:
                    raise
                self._ports = Ports.free()
                self._failed = False

    def stop(self) -> None:
        """Stop it and remove its files. Never raises; more than once is fine."""
        process = self._process
        if process is not None and process.poll() not in (None, 0):
            # It was not us: kill() and restart() forget the process they end.
            self._failed = True
        self._end(force=False)
        if self._folder is not None and not (self._failed or self._keep_log):
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """End it at once, as a crash would: clients are not told. Ports and keys stay for :meth:`start`."""
        self._end(force=True)

    def restart(self) -> None:
        """Kill it if it runs, and start it again with the same ports and keys.

        Raises:
            ServerError: it did not come up again.
        """
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing moves.

        Raises:
            ServerError: it does not run, or this platform cannot do it.
        """
        self._signal("SIGSTOP")
        process = self._process
        if process is not None and sys.platform == "linux":
            # Its threads stop one by one, after the signal was sent.
            deadline = time.monotonic() + 2.0
            while os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)

    def resume(self) -> None:
        """End a :meth:`pause`.

        Raises:
            ServerError: it does not run, or this platform cannot do it.
        """
        self._signal("SIGCONT")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self._in_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._in_thread(self.stop)

    def __repr__(self) -> str:
        return f"<LocalServer {self.url} {'running' if self.running else 'stopped'}>"

    async def _in_thread(self, call: Any) -> None:
        task = asyncio.ensure_future(asyncio.to_thread(call))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: end the process, which ends the wait for it.
            while not task.done():
                self._end(force=True)
                await asyncio.wait([task], timeout=0.1)
            with contextlib.suppress(Exception):
                task.result()
            self.stop()
            raise

    def _spawn(self) -> None:
        binary = self._binary or find_server()
        if binary is None:
            raise ServerError(
                "no LiveKit server on this machine: put `livekit-server` on PATH, or build one with "
                "avatarkit_rtc.testing.server.build_server()"
            )
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="livekit-server-"))
        config = self._folder / "config.yaml"
        # JSON is YAML. The folder is readable for this user only, and so is the secret.
        settings = configuration(
            self._ports,
            bind=self._bind,
            node_ip=self._node_ip,
            rtc_tcp=self._rtc_tcp,
            keys={self.api_key: self.api_secret},
            more=self._extra,
        )
        config.write_text(json.dumps(settings))
        config.chmod(0o600)
        # A session of its own: Ctrl-C in the terminal is for the program that uses the server.
        detached: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        # The server reads these over its configuration file.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LIVEKIT_")}
        for name in ("NODE_IP", "UDP_PORT", "REDIS_HOST", "REDIS_PASSWORD"):
            environment.pop(name, None)
        with (self._folder / "server.log").open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [str(binary), "--config", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=environment,
                    **detached,
                )
            except OSError as error:
                raise ServerError(
                    f"cannot run {binary}: {error}; give a livekit-server that runs here"
                ) from error
        atexit.register(self.stop)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(self._process.pid), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **detached,
        )

    def _wait_ready(self) -> None:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + self._start_timeout_s
        while not self._answers():
            if process.poll() is not None or self._process is not process:
                raise ServerError(f"the LiveKit server ended while starting: {self._log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the LiveKit server did not answer at {self.http_url} in {self._start_timeout_s:g} s: "
                    f"{self._log_tail()}"
                )
            time.sleep(0.05)

    def _answers(self) -> bool:
        # http.client, because urllib would go through a proxy that the environment names.
        connection = http.client.HTTPConnection(self._bind, self._ports.signalling, timeout=2.0)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _end(self, *, force: bool) -> None:
        """The one way down; must not raise."""
        process, self._process = self._process, None
        watchdog, self._watchdog = self._watchdog, None
        if process is not None and process.poll() is None:
            if not force:
                _terminate(process)
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
        if watchdog is not None:
            # Only now: until the server was gone the watchdog had work. It must not outlive it, though,
            # because the process number may be given to somebody else.
            watchdog.kill()
            watchdog.wait()
            if watchdog.stdin is not None:
                watchdog.stdin.close()
        atexit.unregister(self.stop)

    def _signal(self, name: str) -> None:
        number = getattr(signal, name, None)
        if number is None:
            raise ServerError(f"this platform has no {name}: use kill() and restart() instead")
        if self._process is None or self._process.poll() is not None:
            raise ServerError("the LiveKit server does not run: start() it first")
        self._process.send_signal(number)

    def _log_tail(self) -> str:
        path = self.log_path
        try:
            lines = path.read_text(errors="replace").splitlines() if path is not None else []
        except OSError:
            lines = []
        tail = "\n".join(lines[-15:]).replace(self.api_secret, "***")
        return f"see {path}, which ends with\n{tail}" if tail else f"nothing in its log {path}"

    def _port_taken(self) -> bool:
        return "address already in use" in self._log_tail()


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end: once, which makes it wait for its clients to leave, and once more, which does not."""
    for patience_s in (0.2, 3.0):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            process.terminate()
            if sys.platform != "win32":
                process.send_signal(signal.SIGCONT)
            process.wait(timeout=patience_s)
            return
