"""``bench.connects``: a short form of the real thing."""

from __future__ import annotations

import asyncio

from bench.connects import FIRST, Held, measure
from bench.processes import AVATARKIT, Place, Program
from bench.report import Report
from tests.support.livekit import LiveKitServer
from tests.support.own_process import own_process


def test_held_is_within_another_only_in_every_respect() -> None:
    assert Held(1, 2, 3).within(Held(1, 2, 3))
    assert not Held(1, 2, 4).within(Held(9, 9, 3))


def short_form(where: Place) -> Report:
    return asyncio.run(measure(where, connects=FIRST + 2, settle_s=1.0))


def test_short_form_against_a_real_server(livekit_server: LiveKitServer) -> None:
    where = Place(livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    avatar = ["publish", "--room", where.room, "--pause", "0.5"]
    # Rooms of other tests may still be going away in this process.
    with Program(*AVATARKIT, *avatar, environment=where.environment), own_process() as process:
        report = process.submit(short_form, where).result(100)
    # How much of a room is gone after a second depends on the machine and the SDK; the tasks are ours.
    assert report.figure(f"tasks, after {FIRST + 2} connects").met
    for what in ("threads", "tasks", "files"):
        before, most = (
            report.figure(f"{what}, {when}").value for when in ("not connected", "most on the way")
        )
        assert 0 < before <= most
    assert report.figure("tasks, one room on top").value > 1
    assert report.figure("a connect and disconnect, pause included, median").value > 0.3
