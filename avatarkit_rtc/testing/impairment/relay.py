"""A UDP relay between a server and its clients, with impairments.

It runs in a thread of its own and needs no event loop. A delayed packet goes out within about a millisecond
of its time, while the process has nothing heavy to do in Python on other threads.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, NamedTuple, Self

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing.impairment.conditions import CLEAN, Impairment
from avatarkit_rtc.testing.impairment.link import Link, LinkCounters

Address = tuple[str, int]

HEADER_BYTES: Final = 28
"""IP and UDP headers, which count for rate limits and queues."""
MAX_FLOWS: Final = 256
"""Client addresses served at a time; the one that was silent longest gives way."""
MAX_WAITING: Final = 20_000
"""Packets on their way at a time; more are dropped and counted."""

_DATAGRAM: Final = 65_535
_SOCKET_BUFFER: Final = 1 << 20
_BATCH: Final = 64
_LONGEST_SLEEP_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class RelayCounters:
    """A copy that no longer changes."""

    up: LinkCounters
    """From the clients to the server."""
    down: LinkCounters
    """From the server to the clients."""
    flows: int
    """Client addresses being served."""
    passed: int
    """Packets of clients that are not impaired, both directions."""
    dropped: int
    """Packets this machine did not take: too many on their way, or a full socket."""
    worst_lateness_s: float
    """Longest time a packet went out after its time."""


class _Waiting(NamedTuple):
    due: float
    number: int
    through: socket.socket
    to: Address | None
    """None: the socket is connected."""
    data: bytes


@dataclass(slots=True)
class _Flow:
    """One client address and the socket that stands for it before the server."""

    client: Address
    upstream: socket.socket
    impaired: bool
    active: int
    """The relay's turn at which it last had a packet."""


class UdpRelay:
    """Carries datagrams between clients and one server, each direction with conditions of its own.

    Use it as a context manager, or :meth:`start` and :meth:`stop` it. All methods may be called from any
    thread.
    """

    def __init__(
        self,
        listen: Address,
        server: Address,
        *,
        up: Impairment = CLEAN,
        down: Impairment = CLEAN,
        seed: int = 0,
        impaired: Collection[str] | None = None,
    ) -> None:
        """
        Args:
            listen: where clients send to; port 0 for any free one, see :attr:`address`.
            server: where the server listens.
            up: conditions from the clients to the server.
            down: conditions from the server to the clients.
            seed: decides about everything random.
            impaired: host addresses of the clients that the conditions are for; others get a perfect link.
                None: all.
        """
        self._listen, self._server = listen, server
        self._impaired = None if impaired is None else frozenset(impaired)
        self._up, self._down = Link(up, seed=2 * seed), Link(down, seed=2 * seed + 1)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._front: socket.socket | None = None
        self._selector: selectors.BaseSelector | None = None
        self._flows: dict[Address, _Flow] = {}
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()
        self._turn = 0
        self._passed = self._dropped = 0
        self._worst_lateness_s = 0.0

    @property
    def address(self) -> Address:
        """Where clients send to."""
        if self._front is None:
            return self._listen
        host, port = self._front.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Begin to relay. More than once is fine.

        Raises:
            ServerError: the address cannot be listened on.
        """
        if self._thread is not None:
            return
        try:
            self._front = _datagram_socket()
            self._front.bind(self._listen)
        except OSError as error:
            self._close_all()
            raise ServerError(
                f"cannot relay UDP at {self._listen[0]}:{self._listen[1]}: {error.strerror or error}; "
                "is the address this machine's and the port free?"
            ) from error
        self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ)
        self._selector.register(self._wake[0], selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="udp relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop at once; what is on its way is lost. More than once is fine; never raises."""
        thread, self._thread = self._thread, None
        if thread is not None and self._wake is not None:
            with contextlib.suppress(OSError):
                self._wake[1].send(b"x")
            thread.join()
        self._close_all()

    def change(self, *, up: Impairment | None = None, down: Impairment | None = None) -> None:
        """Other conditions from now on; None leaves a direction as it is. Outages and traces begin now."""
        with self._lock:
            now = time.monotonic()
            if up is not None:
                self._up.change(up, now)
            if down is not None:
                self._down.change(down, now)

    @property
    def up(self) -> Impairment:
        """Conditions from the clients to the server."""
        return self._up.impairment

    @property
    def down(self) -> Impairment:
        """Conditions from the server to the clients."""
        return self._down.impairment

    def counters(self) -> RelayCounters:
        """What became of all packets so far."""
        with self._lock:
            return RelayCounters(
                replace(self._up.counters),
                replace(self._down.counters),
                len(self._flows),
                self._passed,
                self._dropped,
                self._worst_lateness_s,
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._selector is not None
        assert self._wake is not None
        while True:
            for key, _ in self._selector.select(self._wait_s()):
                if key.fileobj is self._wake[0]:
                    return
                flow: _Flow | None = key.data
                if flow is None:
                    self._from_clients()
                else:
                    self._from_server(flow)
                self._send_due()
            self._send_due()

    def _wait_s(self) -> float:
        """How long to wait for packets. Waits end on whole milliseconds, late by up to one: the rest is
        slept, during which a packet that comes is stamped late by less than that."""
        if not self._waiting:
            return _LONGEST_SLEEP_S
        left = self._waiting[0].due - time.monotonic()
        if left < 0.001:
            if left > 0:
                time.sleep(left)
            return 0.0
        # Half a millisecond less, which the rounding up adds again: 0.057 s must not become 58 ms.
        return min((int(left * 1000) - 0.5) / 1000, _LONGEST_SLEEP_S)

    def _from_clients(self) -> None:
        assert self._front is not None
        for _ in range(_BATCH):
            try:
                data, client = self._front.recvfrom(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # the report of a datagram that did not arrive
                continue
            flow = self._flow(client)
            if flow is not None:
                self._relay(flow, self._up, flow.upstream, None, data)

    def _from_server(self, flow: _Flow) -> None:
        assert self._front is not None
        for _ in range(_BATCH):
            try:
                data = flow.upstream.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # the server does not listen, now
                continue
            self._relay(flow, self._down, self._front, flow.client, data)

    def _relay(
        self, flow: _Flow, link: Link, through: socket.socket, to: Address | None, data: bytes
    ) -> None:
        self._turn = flow.active = self._turn + 1
        now = time.monotonic()
        if not flow.impaired:
            self._passed += 1
            self._send(through, to, data)
            return
        with self._lock:
            times = link.due(now, len(data) + HEADER_BYTES)
        for due in times:
            if len(self._waiting) >= MAX_WAITING:
                self._dropped += 1
                continue
            heapq.heappush(self._waiting, _Waiting(due, next(self._numbers), through, to, data))

    def _send_due(self) -> None:
        waiting, now = self._waiting, time.monotonic()
        while waiting and waiting[0].due <= now:
            packet = heapq.heappop(waiting)
            self._worst_lateness_s = max(self._worst_lateness_s, now - packet.due)
            self._send(packet.through, packet.to, packet.data)

    def _send(self, through: socket.socket, to: Address | None, data: bytes) -> None:
        try:
            if to is None:
                through.send(data)
            else:
                through.sendto(data, to)
        except ConnectionRefusedError:
            pass  # nobody listens there, now: as on any network
        except OSError:
            self._dropped += 1

    def _flow(self, client: Address) -> _Flow | None:
        flow = self._flows.get(client)
        if flow is None:
            try:
                upstream = _datagram_socket()
                upstream.connect(self._server)
            except OSError:
                self._dropped += 1
                return None
            impaired = self._impaired is None or client[0] in self._impaired
            flow = _Flow(client, upstream, impaired, self._turn)
            with self._lock:
                self._flows[client] = flow
                if len(self._flows) > MAX_FLOWS:
                    silent = min(self._flows.values(), key=lambda each: each.active)
                    del self._flows[silent.client]
                    self._forget(silent)
            assert self._selector is not None
            self._selector.register(upstream, selectors.EVENT_READ, flow)
        return flow

    def _forget(self, flow: _Flow) -> None:
        assert self._selector is not None
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(flow.upstream)
        flow.upstream.close()

    def _close_all(self) -> None:
        with self._lock:
            flows = list(self._flows.values())
            self._flows.clear()
        self._waiting.clear()
        for each in (*(flow.upstream for flow in flows), self._front, *(self._wake or ())):
            if each is not None:
                each.close()
        self._front = self._wake = None
        if self._selector is not None:
            self._selector.close()
            self._selector = None


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
    return made
