"""A real LiveKit server that can only be reached through a bad network."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing.impairment.conditions import CLEAN, Impairment
from avatarkit_rtc.testing.impairment.namespace import Namespace
from avatarkit_rtc.testing.impairment.relay import RelayCounters, UdpRelay
from avatarkit_rtc.testing.impairment.tcp_relay import TcpRelay
from avatarkit_rtc.testing.server import LocalServer

PartT = TypeVar("PartT")


class ImpairedServer:
    """A LiveKit server, a network namespace for client programs, and the relay between the two.

    ::

        with ImpairedServer(down=Impairment(loss=0.05, jitter_s=0.020)) as network:
            player = network.popen(["avatarkit-rtc", "play", "--headless", "--room", "my-room"])
            ...                                         # an avatar joins at network.server.url, unimpaired
            network.change(down=Impairment(outages=[Outage(0.0, 2.0)]))

    The server has UDP on 127.0.0.1 only, and tells its clients to send media to the relay's address, which is
    all that can be reached from the namespace: ICE finds no way around it. Programs outside the namespace use
    the same relay, and their packets pass at once. Signalling (TCP) is not impaired.

    Also an async context manager. Needs Linux, root and the program ``ip``. When the owning process dies, all
    of it is taken down.
    """

    def __init__(
        self,
        *,
        up: Impairment = CLEAN,
        down: Impairment = CLEAN,
        seed: int = 0,
        binary: Path | str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Nothing runs yet.

        Args:
            up: conditions from the client to the server.
            down: conditions from the server to the client.
            seed: decides about everything random.
            binary: the server program, see :class:`LocalServer`.
            config: further sections of the server's configuration, beside ``rtc``.

        Raises:
            ServerError: ``config`` has a section ``rtc``, which is this class's.
        """
        if config is not None and "rtc" in config:
            raise ServerError("the section rtc of the server's configuration cannot be changed here")
        self._up, self._down, self._seed = up, down, seed
        self._binary, self._config = binary, dict(config or {})
        self._namespace = Namespace()
        self._server: LocalServer | None = None
        self._relay: UdpRelay | None = None
        self._signalling: TcpRelay | None = None

    @property
    def url(self) -> str:
        """WebSocket address as seen from the namespace."""
        host, port = self._running(self._signalling).address
        return f"ws://{host}:{port}"

    @property
    def server(self) -> LocalServer:
        """The server: its ``url`` is for programs outside the namespace, its keys are for both."""
        return self._running(self._server)

    @property
    def relay(self) -> UdpRelay:
        """The relay, with its conditions."""
        return self._running(self._relay)

    @property
    def namespace(self) -> Namespace:
        """The namespace of the clients."""
        return self._namespace

    @property
    def environment(self) -> dict[str, str]:
        """LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET for programs in the namespace."""
        return {
            "LIVEKIT_URL": self.url,
            "LIVEKIT_API_KEY": self.server.api_key,
            "LIVEKIT_API_SECRET": self.server.api_secret,
        }

    def change(self, *, up: Impairment | None = None, down: Impairment | None = None) -> None:
        """Other conditions from now on; None leaves a direction as it is. Outages and traces begin now."""
        self.relay.change(up=up, down=down)

    def counters(self) -> RelayCounters:
        """What became of the packets of the clients in the namespace."""
        return self.relay.counters()

    def popen(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a program in the namespace, with :attr:`environment` on top of ``env`` (None: this
        process's); ``options`` are those of :class:`subprocess.Popen`. It does not outlive the namespace."""
        return self._namespace.popen(arguments, env=self._with_address(env), **options)

    def run(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[Any]:
        """Run a program in the namespace to its end, with :attr:`environment` on top of ``env``; ``options``
        are those of :func:`subprocess.run`."""
        return self._namespace.run(arguments, env=self._with_address(env), **options)

    def start(self) -> None:
        """Set everything up; takes about a second. Does nothing if it is up.

        Raises:
            MissingDependencyError: the program ``ip`` is not installed.
            ServerError: no namespace can be made here (not Linux, not root), there is no server program, or
                it did not come up; the message says what to do.
        """
        if self._relay is not None:
            return
        try:
            self._namespace.start()
            host, client = self._namespace.host_ip, self._namespace.client_ip
            rtc = {"enable_loopback_candidate": True, "ips": {"includes": ["127.0.0.1/32"]}}
            self._server = LocalServer(
                self._binary, node_ip=host, rtc_tcp=False, config={**self._config, "rtc": rtc}
            )
            self._server.start()
            port = int(self._server.url.rpartition(":")[2])
            self._signalling = TcpRelay((host, port), ("127.0.0.1", port))
            self._signalling.start()
            # The port is the one the server announces with its node_ip.
            self._relay = UdpRelay(
                (host, self._server.udp_port),
                ("127.0.0.1", self._server.udp_port),
                up=self._up,
                down=self._down,
                seed=self._seed,
                impaired=[client],
            )
            self._relay.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the programs in the namespace and take everything down. More than once is fine; never
        raises."""
        # The clients first: they must not see the network break and try to mend it.
        self._namespace.stop()
        for part in (self._relay, self._signalling, self._server):
            if part is not None:
                with contextlib.suppress(Exception):
                    part.stop()
        self._relay = self._signalling = self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: let it come to its end, and undo what it did.
            await asyncio.wait([starting])
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self.stop))

    def __repr__(self) -> str:
        return f"<ImpairedServer {self._namespace.name or 'not started'}>"

    def _with_address(self, env: Mapping[str, str] | None) -> dict[str, str]:
        return {**(os.environ if env is None else env), **self.environment}

    @staticmethod
    def _running(part: PartT | None) -> PartT:
        if part is None:
            raise ServerError("the impaired server does not run: start() it, or use it as a context manager")
        return part
