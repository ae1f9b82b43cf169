"""Bad networks to test with: conditions, a UDP relay that imposes them, and a LiveKit server behind it.

>>> with ImpairedServer(down=Impairment(loss=0.05, jitter_s=0.020)) as network:
...     network.run([sys.executable, "client.py"])      # in a network of its own; LIVEKIT_URL is set

:class:`Link` decides alone, without sockets, when which packet arrives; :class:`UdpRelay` asks it. Needs no
kernel module; :class:`Namespace` and :class:`ImpairedServer` need Linux, root and the program ``ip``.
"""

from __future__ import annotations

from avatarkit_rtc.testing.impairment.conditions import (
    CLEAN,
    BurstLoss,
    Impairment,
    JitterDistribution,
    Outage,
)
from avatarkit_rtc.testing.impairment.link import Link, LinkCounters
from avatarkit_rtc.testing.impairment.namespace import Namespace, remove_stale, unavailable
from avatarkit_rtc.testing.impairment.relay import RelayCounters, UdpRelay
from avatarkit_rtc.testing.impairment.server import ImpairedServer
from avatarkit_rtc.testing.impairment.tcp_relay import TcpRelay
from avatarkit_rtc.testing.impairment.trace import DelayTrace

__all__ = [
    "CLEAN",
    "BurstLoss",
    "DelayTrace",
    "ImpairedServer",
    "Impairment",
    "JitterDistribution",
    "Link",
    "LinkCounters",
    "Namespace",
    "Outage",
    "RelayCounters",
    "TcpRelay",
    "UdpRelay",
    "remove_stale",
    "unavailable",
]
