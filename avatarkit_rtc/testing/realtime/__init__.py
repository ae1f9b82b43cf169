"""A stand-in of an OpenAI-style realtime model: a server on a real socket, to test with. Needs aiohttp."""

from avatarkit_rtc.testing.realtime.replies import RATE, Call, EnergyDetector, Reply
from avatarkit_rtc.testing.realtime.server import NOISE, Connection, Fault, StandInRealtimeServer
from avatarkit_rtc.testing.realtime.session import Moment
from avatarkit_rtc.testing.realtime.session_server import StandInSessionServer

__all__ = [
    "NOISE",
    "RATE",
    "Call",
    "Connection",
    "EnergyDetector",
    "Fault",
    "Moment",
    "Reply",
    "StandInRealtimeServer",
    "StandInSessionServer",
]
