"""What a LiveKit server on this machine is told: where it listens, for which keys, and where media goes."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from avatarkit_rtc.errors import ServerError

# Below every platform's range for outgoing connections: one of those could take a port while we restart.
_PORTS: Final = range(17000, 32000)
_NOBODY: Final = 9
"""The discard port, at which no STUN server answers."""


class Ports(NamedTuple):
    """Where a server listens."""

    signalling: int
    tcp: int
    """Media over TCP."""
    udp: int
    """The one UDP port all media goes through."""

    @classmethod
    def free(cls) -> Self:
        """Ports free for both TCP and UDP at 127.0.0.1.

        Raises:
            ServerError: there are none.
        """
        ports: list[int] = []
        # Not the shared generator: a test that seeds it would give two servers the same ports.
        for port in random.SystemRandom().sample(_PORTS, 1000):
            with (
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
                contextlib.suppress(OSError),
            ):
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == len(cls._fields):
                return cls(*ports)
        raise ServerError("no free ports between 17000 and 32000 on 127.0.0.1: end programs that hold them")


def configuration(
    ports: Ports, *, bind: str, node_ip: str, rtc_tcp: bool, keys: Mapping[str, str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The server's configuration file.

    Args:
        ports: where it listens.
        bind: address to listen on for signalling.
        node_ip: address that the server tells its clients to send media to.
        rtc_tcp: whether it offers media over TCP besides UDP.
        keys: secrets that join tokens are signed with, by key.
        more: further settings, merged over these.
    """
    own: dict[str, Any] = {
        "port": ports.signalling,
        "bind_addresses": [bind],
        "keys": dict(keys),
        "log_level": "info",
        "rtc": {
            "udp_port": ports.udp,
            "node_ip": node_ip,
            "use_external_ip": False,
            # Clients would ask public STUN servers otherwise, and look up their names first: a connect
            # where no DNS answers holds 30 threads for it. Not the media port, though: a client takes
            # whatever comes from its STUN server for an answer to STUN, and would be left with TCP.
            "stun_servers": [f"{node_ip}:{_NOBODY}"],
            "enable_loopback_candidate": node_ip.startswith("127."),
            # Left out, it would be the server's default, 7881.
            "tcp_port": ports.tcp if rtc_tcp else 0,
        },
    }
    if node_ip.startswith("127."):
        # Only loopback: candidates of other interfaces would slow down every connect on this machine.
        own["rtc"]["ips"] = {"includes": [f"{node_ip}/32"]}
    return _merged(own, more)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = (
            _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
        )
    return result
