"""Whether a LiveKit server hears of it when a room is left right after it was joined: by LiveKit's SDK alone,
and by this package's room, which stays for a moment."""

from __future__ import annotations

import asyncio
import sys
import time

from livekit import api, rtc

from avatarkit_rtc.cli.options import join_token
from avatarkit_rtc.providers.livekit_room import OwnRoom
from bench.processes import Place, place
from bench.report import Figure, Report, arguments, machine, publish

AT_ONCE = 8
"""Rooms at the same time: the more is to do, the more is lost."""
NOTICED_S = 2.0
"""A server that has heard of it shows it sooner; one that has not takes 21 s."""
_LOOK_EVERY_S = 0.2
_NAME = "guest"


async def stays(where: Place, kind: type[rtc.Room], name: str) -> bool:
    """Join the room ``name``, leave it at once; whether the server still believes us there."""
    room = kind()
    await room.connect(where.url, join_token(where.key, where.secret, name, _NAME))
    await room.disconnect()
    until = time.monotonic() + NOTICED_S
    async with api.LiveKitAPI(where.url.replace("ws", "http", 1), where.key, where.secret) as server:
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, NOTICED_S))
            found = await server.room.list_participants(api.ListParticipantsRequest(room=name))
            if all(each.identity != _NAME for each in found.participants):
                return False
            if time.monotonic() >= until:
                return True


async def measure(where: Place, *, rooms: int) -> Report:
    """``rooms`` rooms of each kind."""
    figures = []
    for kind, what, goal in ((rtc.Room, "the SDK alone", None), (OwnRoom, "this package", 0.0)):
        free = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, kind: type[rtc.Room] = kind, free: asyncio.Semaphore = free) -> bool:
            async with free:
                return await stays(where, kind, f"{where.room}-{kind.__name__}-{number}")

        unheard = sum(await asyncio.gather(*map(one, range(rooms))))
        figures.append(Figure(f"left unheard, {what}", unheard, f"of {rooms}", goal))
    return Report("leaving", figures, {"rooms": rooms})


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--rooms", type=int, default=400, help="rooms of each kind")
    options = parser.parse_args()
    on = machine()
    with place() as where:
        report = asyncio.run(measure(where, rooms=16 if options.quick else options.rooms))
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
