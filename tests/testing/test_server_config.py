"""What the local LiveKit server is told."""

from __future__ import annotations

import random
import socket
from typing import Any

from avatarkit_rtc.testing.server_config import Ports, configuration

PORTS = Ports(17001, 17002, 17003)


def told(**options: Any) -> dict[str, Any]:
    usual = {
        "bind": "127.0.0.1",
        "node_ip": "127.0.0.1",
        "rtc_tcp": True,
        "keys": {"key": "secret"},
        "more": {},
    }
    return configuration(PORTS, **{**usual, **options})


def test_ports_are_free_and_not_those_of_a_seeded_generator() -> None:
    random.seed(1)
    first = Ports.free()
    random.seed(1)
    assert first != Ports.free()
    assert len(set(first)) == 3
    for port in first:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))


def test_only_loopback_unless_it_is_elsewhere() -> None:
    here, elsewhere = told(), told(node_ip="10.1.2.3", bind="10.1.2.3")
    assert here["rtc"]["ips"] == {"includes": ["127.0.0.1/32"]}
    assert here["rtc"]["enable_loopback_candidate"] is True
    assert here["bind_addresses"] == ["127.0.0.1"]
    assert "ips" not in elsewhere["rtc"]
    assert elsewhere["rtc"]["enable_loopback_candidate"] is False
    assert elsewhere["rtc"]["stun_servers"] == ["10.1.2.3:9"]


def test_media_over_tcp_is_left_out_where_it_is_not_wanted() -> None:
    assert (told()["port"], told()["rtc"]["tcp_port"], told()["rtc"]["udp_port"]) == PORTS
    assert told(rtc_tcp=False)["rtc"]["tcp_port"] == 0


def test_further_settings_go_over_these_and_leave_the_rest() -> None:
    found = told(more={"rtc": {"udp_port": 5}, "room": {"max_participants": 3}, "keys": {"other": "s"}})
    assert found["rtc"] == {**told()["rtc"], "udp_port": 5}
    assert found["room"] == {"max_participants": 3}
    assert found["keys"] == {"key": "secret", "other": "s"}
