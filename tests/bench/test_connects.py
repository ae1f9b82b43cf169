"""``bench.connects``: a short form of the real thing."""

from __future__ import annotations

from bench.connects import FIRST, Held, measure
from bench.processes import AVATARKIT, Place, Program
from tests.support.livekit import LiveKitServer


def test_held_is_within_another_only_in_every_respect() -> None:
    assert Held(1, 2, 3).within(Held(1, 2, 3))
    assert not Held(1, 2, 4).within(Held(9, 9, 3))


async def test_short_form_against_a_real_server(livekit_server: LiveKitServer) -> None:
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    avatar = ["publish", "--room", where.room, "--pause", "0.5"]
    with Program(*AVATARKIT, *avatar, environment=where.environment):
        report = await measure(where, connects=FIRST + 2, settle_s=1.0)
    assert report.figure("threads, one room on top").value > 1
    for what in ("threads", "tasks", "files"):
        in_rooms = report.figure(f"{what}, most on the way in rooms")
        assert in_rooms.value <= (in_rooms.goal or 0)
    # The SDK takes longer than this test waits to let go of its threads and files; the tasks are ours.
    assert report.figure(f"tasks, after {FIRST + 2} connects").met
