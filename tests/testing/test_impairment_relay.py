"""The relays between sockets of this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing.impairment import Impairment, Outage, TcpRelay, UdpRelay
from avatarkit_rtc.testing.impairment import relay as relay_module

LOCAL = ("127.0.0.1", 0)


@contextlib.contextmanager
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(LOCAL)
        made.settimeout(5.0)
        yield made


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_datagrams_go_both_ways_and_are_counted() -> None:
    with udp() as server, udp() as one, udp() as other, UdpRelay(LOCAL, server.getsockname()) as relay:
        for client, text in ((one, b"one"), (other, b"other")):
            client.sendto(text, relay.address)
            data, way_back = server.recvfrom(100)
            assert data == text
            server.sendto(b"hello " + text, way_back)
            assert client.recvfrom(100) == (b"hello " + text, relay.address)
        counters = relay.counters()
    assert (counters.up.packets, counters.down.packets, counters.flows) == (2, 2, 2)
    assert counters.up.bytes == 8 + 2 * relay_module.HEADER_BYTES
    assert (counters.up.lost, counters.down.lost, counters.dropped, counters.passed) == (0, 0, 0, 0)


def test_each_direction_has_conditions_of_its_own_and_they_can_change() -> None:
    bad = Impairment(loss=1.0)
    with udp() as server, udp() as client, UdpRelay(LOCAL, server.getsockname(), down=bad) as relay:
        client.sendto(b"a", relay.address)
        _, way_back = server.recvfrom(100)
        server.sendto(b"lost", way_back)
        until(lambda: relay.counters().down.lost_random == 1)
        relay.change(down=Impairment(delay_s=0.2))
        assert relay.up == Impairment()
        assert relay.down.delay_s == 0.2
        since = time.monotonic()
        server.sendto(b"late", way_back)
        assert client.recvfrom(100)[0] == b"late"
        assert time.monotonic() - since >= 0.2
        relay.change(up=Impairment(outages=[Outage(0.0, 60.0)]))
        client.sendto(b"b", relay.address)
        until(lambda: relay.counters().up.lost_outage == 1)


def test_delays_are_kept_to_the_millisecond_or_so() -> None:
    late: list[float] = []
    with udp() as server, udp() as client:
        conditions = Impairment(delay_s=0.02, jitter_s=0.01)
        with UdpRelay(LOCAL, server.getsockname(), up=conditions, seed=1) as relay:
            for _ in range(50):
                since = time.monotonic()
                client.sendto(b"x", relay.address)
                server.recvfrom(100)
                late.append(time.monotonic() - since)
            assert min(late) >= 0.02, "never early"
            assert relay.counters().worst_lateness_s < 5
    # 20 ms and 0 ... 20 ms; the bound is wide, as the machine may be busy.
    assert np.median(late) < 0.1


def test_clients_that_are_not_meant_are_served_at_once() -> None:
    with udp() as server, udp() as client:
        bad = Impairment(loss=1.0)
        with UdpRelay(LOCAL, server.getsockname(), up=bad, down=bad, impaired=["192.0.2.1"]) as relay:
            client.sendto(b"x", relay.address)
            _, way_back = server.recvfrom(100)
            server.sendto(b"y", way_back)
            assert client.recvfrom(100)[0] == b"y"
            assert relay.counters().passed == 2


def test_the_client_that_was_silent_longest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "MAX_FLOWS", 3)
    with udp() as server, UdpRelay(LOCAL, server.getsockname()) as relay, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(udp()) for _ in range(6)]
        for client in [*clients, clients[0]]:
            client.sendto(b"x", relay.address)
            _, way_back = server.recvfrom(100)
            server.sendto(b"y", way_back)
            assert client.recvfrom(100)[0] == b"y"
        assert relay.counters().flows == 3


def test_a_server_that_is_gone_and_comes_back_is_only_a_pause() -> None:
    with udp() as client:
        with udp() as server:
            address = server.getsockname()
        with UdpRelay(LOCAL, address) as relay:
            for _ in range(5):
                client.sendto(b"lost", relay.address)
                time.sleep(0.01)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.bind(address)
                again.settimeout(5.0)
                client.sendto(b"there", relay.address)
                data, way_back = again.recvfrom(100)
                assert data == b"there"
                again.sendto(b"yes", way_back)
                assert client.recvfrom(100)[0] == b"yes"


def test_it_stops_more_than_once_starts_again_and_leaves_no_thread() -> None:
    with udp() as server, udp() as client:
        relay = UdpRelay(LOCAL, server.getsockname(), up=Impairment(delay_s=60.0))
        relay.stop()
        for _ in range(2):
            relay.start()
            relay.start()
            client.sendto(b"never arrives", relay.address)
            relay.stop()
            relay.stop()
        assert not [each for each in threading.enumerate() if each.name == "udp relay"]


def test_an_address_that_is_taken_is_reported() -> None:
    with udp() as taken, pytest.raises(ServerError, match="cannot relay UDP"):
        UdpRelay(taken.getsockname(), ("127.0.0.1", 9)).start()
    with socket.create_server(LOCAL) as listening, pytest.raises(ServerError, match="cannot relay TCP"):
        TcpRelay(listening.getsockname(), ("127.0.0.1", 9)).start()


def test_tcp_goes_both_ways_and_each_way_ends_by_itself() -> None:
    with socket.create_server(LOCAL) as server, TcpRelay(LOCAL, server.getsockname()) as relay:
        server.settimeout(5.0)
        with socket.create_connection(relay.address, timeout=5.0) as client:
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(5.0)
                client.sendall(b"question")
                client.shutdown(socket.SHUT_WR)
                assert accepted.makefile("rb").read() == b"question"
                accepted.sendall(b"answer" * 50_000)
                accepted.close()
                assert client.makefile("rb").read() == b"answer" * 50_000


def test_tcp_where_no_server_listens_is_cut() -> None:
    with socket.create_server(LOCAL) as server:
        nobody = server.getsockname()
    with TcpRelay(LOCAL, nobody) as relay, socket.create_connection(relay.address, timeout=5.0) as client:
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
        relay.stop()
        relay.stop()
