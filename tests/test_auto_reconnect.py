from __future__ import annotations

import asyncio
from typing import Any

from avatarkit_rtc.auto_reconnect import AutoReconnect
from avatarkit_rtc.events import ConnectionState
from avatarkit_rtc.options import ReconnectPolicy
from tests.support.livekit import until
from tests.support.virtual_loop import on_virtual_time


class Rejoined:
    """A connection that can always be rejoined, and brings motion or not."""

    def __init__(self, policy: ReconnectPolicy | None, *, motion: bool = True) -> None:
        self.state = ConnectionState.RECONNECTING
        self.connects = 1
        self.events: list[tuple[str, Any]] = []
        self.given_up: tuple[int, str] | None = None
        self.motion = motion
        self.auto = AutoReconnect(policy, self, self.emit, motion_timeout_s=0.1)

    def emit(self, name: str, payload: Any) -> None:
        self.events.append((name, payload))

    async def reconnect(self, *, by_itself: bool) -> None:
        assert by_itself
        self.connects += 1
        self.state = ConnectionState.CONNECTED
        self.auto.expect_activity()
        if self.motion:
            self.auto.note_activity()

    def give_up(self, attempts: int, cause: str) -> None:
        self.given_up = (attempts, cause)

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


POLICY = ReconnectPolicy(first_delay_s=0.02, jitter=0.0, attempts=2)


@on_virtual_time
async def test_without_a_policy_nothing_happens() -> None:
    rejoined = Rejoined(None)
    assert not rejoined.auto.enabled
    rejoined.auto.start("stalled", expect_motion=True)
    rejoined.auto.watch()
    await asyncio.sleep(0.05)
    assert rejoined.events == []
    assert rejoined.auto.stop() is None


@on_virtual_time
async def test_one_recovery_at_a_time() -> None:
    rejoined = Rejoined(POLICY)
    for _ in range(3):
        rejoined.auto.start("stalled", expect_motion=True)
    assert rejoined.auto.running
    await until(lambda: not rejoined.auto.running, "the end")
    assert rejoined.names() == ["reconnect-attempt", "reconnect-succeeded"]
    assert rejoined.auto.attempts == 1
    rejoined.auto.start("stalled", expect_motion=True)
    await until(lambda: not rejoined.auto.running, "the end")
    assert rejoined.auto.attempts == 2


@on_virtual_time
async def test_a_stop_in_the_same_moment_as_the_start_leaves_it_usable() -> None:
    rejoined = Rejoined(POLICY)
    rejoined.auto.start("stalled", expect_motion=True)
    task = rejoined.auto.stop()
    assert task is not None
    await asyncio.wait([task])
    assert not rejoined.auto.running
    assert rejoined.events == []
    rejoined.auto.start("stalled", expect_motion=True)
    await until(lambda: not rejoined.auto.running, "the end")
    assert rejoined.names()[-1] == "reconnect-succeeded"


@on_virtual_time
async def test_no_motion_and_no_more_attempts() -> None:
    rejoined = Rejoined(POLICY, motion=False)
    rejoined.auto.start("stalled", expect_motion=True)
    await until(lambda: rejoined.given_up is not None, "giving up")
    assert rejoined.given_up == (2, "no-motion")
    assert rejoined.names() == ["reconnect-attempt", "reconnect-attempt", "reconnect-failed"]


@on_virtual_time
async def test_where_no_motion_was_none_is_expected() -> None:
    rejoined = Rejoined(POLICY, motion=False)
    rejoined.auto.start("signal-closed", expect_motion=False)
    await until(lambda: not rejoined.auto.running, "the end")
    assert rejoined.names()[-1] == "reconnect-succeeded"


@on_virtual_time
async def test_a_watch_gives_way_to_a_recovery_and_can_be_ended() -> None:
    rejoined = Rejoined(POLICY)
    rejoined.auto.watch()
    assert not rejoined.auto.running
    rejoined.auto.stop_watching()
    await asyncio.sleep(0.45)
    assert rejoined.events == []
    rejoined.auto.watch()
    rejoined.auto.start("stalled", expect_motion=True)
    assert rejoined.auto.running
    rejoined.auto.stop_watching()
    assert rejoined.auto.running
    await until(lambda: not rejoined.auto.running, "the end")
    assert rejoined.auto.attempts == 1
