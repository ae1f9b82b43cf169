"""auto_reconnect: attempts, backoff, health by motion, and when it is enough."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from avatarkit_rtc import connection
from avatarkit_rtc.auto_reconnect import FINAL_REASONS
from avatarkit_rtc.errors import ConfigurationError, ConnectError
from avatarkit_rtc.events import ConnectionState, DisconnectReason, ReconnectAttempt
from avatarkit_rtc.motion.packet import encode_idle
from avatarkit_rtc.options import ReconnectPolicy
from tests.support.livekit import until
from tests.support.playing import Played, speak
from tests.support.virtual_loop import on_virtual_time

TIMEOUT_S = 0.3
DOWN = (ConnectionState.DISCONNECTED, DisconnectReason.SIGNAL_CLOSED)


@pytest.fixture(autouse=True)
def _quick_rejoin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REJOIN_PAUSE_S", 0.02)


class Recovering(Played):
    def __init__(self, **policy: Any) -> None:
        policy = {"first_delay_s": 0.05, "jitter": 0.0, "attempts": 4, **policy}
        super().__init__(stall_timeout_s=TIMEOUT_S, auto_reconnect=ReconnectPolicy(**policy))

    async def lost_for_good(self, error: Exception) -> None:
        """The connection is lost, and coming back fails with ``error`` until that is given up."""
        self.provider.fail_next_connect(error, times=9)
        self.provider.set_state(*DOWN)
        async with asyncio.timeout(10):
            await self.player.wait_closed()

    @property
    def attempts(self) -> list[ReconnectAttempt]:
        return self.record.payloads("reconnect-attempt")


@on_virtual_time
async def test_a_lost_connection_is_rejoined() -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect()
        played.provider.set_state(*DOWN)
        assert player.get_connection_state() == "reconnecting"
        await until(lambda: played.record.count("reconnect-succeeded"), "success")
        assert played.attempts == [ReconnectAttempt(1, 0.05, "signal-closed")]
        assert played.record.states == ["connecting", "connected", "reconnecting", "connected"]
        assert played.record.count("disconnected") == 0
        assert player.stats().connection.interruptions == 1
        assert player.stats().connection.reconnect_attempts == 1


@on_virtual_time
async def test_attempts_back_off_and_give_up() -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect()
        await played.lost_for_good(ConnectError("still down"))
        assert [attempt.delay_s for attempt in played.attempts] == [0.05, 0.1, 0.2, 0.4]
        assert [attempt.cause for attempt in played.attempts] == ["signal-closed", *3 * ["connect-failed"]]
        assert [attempt.attempt for attempt in played.attempts] == [1, 2, 3, 4]
        assert played.record.names[-2:] == ["reconnect-failed", "disconnected"]
        failed = played.record.payloads("reconnect-failed")[0]
        assert (failed.attempts, failed.cause) == (4, "connect-failed")
        assert played.record.payloads("disconnected")[0].reason is DisconnectReason.SIGNAL_CLOSED
        assert player.get_connection_state() == "failed"
        assert played.provider.get_connection_state() == "disconnected"
        await asyncio.sleep(0.3)
        assert len(played.attempts) == 4


@on_virtual_time
async def test_a_rejoin_without_motion_is_no_success() -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        await until(lambda: len(played.attempts) == 2, "a second attempt")
        assert [attempt.cause for attempt in played.attempts] == ["stalled", "no-motion"]
        await until(lambda: played.provider.calls.count("connect") == 3 and player.is_connected, "a rejoin")
        await speak(played.provider, 5, end=True)
        await until(lambda: played.record.count("reconnect-succeeded"), "success")
        assert played.record.payloads("reconnect-succeeded")[0].attempts == 2
        await asyncio.sleep(2 * TIMEOUT_S)
        assert len(played.attempts) == 2


@on_virtual_time
async def test_without_motion_it_gives_up_in_the_end_and_leaves() -> None:
    played = Recovering(attempts=2)
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        async with asyncio.timeout(10):
            await player.wait_closed()
        assert played.record.payloads("reconnect-failed")[0].cause == "no-motion"
        assert player.get_connection_state() == "failed"


@on_virtual_time
async def test_motion_that_comes_back_by_itself_spares_the_rejoin() -> None:
    played = Recovering(first_delay_s=0.4)
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        await until(lambda: len(played.attempts) == 1, "an attempt")
        await speak(played.provider, 3, first=5, end=True)
        await until(lambda: played.record.count("reconnect-succeeded"), "success")
        assert played.provider.calls == ["connect"]


@on_virtual_time
async def test_a_rejoin_of_the_callers_own_spares_the_next() -> None:
    played = Recovering(first_delay_s=0.3)
    async with played.player as player:
        await player.connect()
        played.provider.set_state(*DOWN)
        await player.reconnect()
        await until(lambda: played.record.count("reconnect-succeeded"), "success")
        assert played.provider.calls.count("connect") == 2


@on_virtual_time
async def test_a_failed_reconnect_of_the_callers_own_leaves_the_recovery_alone() -> None:
    played = Recovering(first_delay_s=0.3)
    async with played.player as player:
        await player.connect()
        played.provider.set_state(*DOWN)
        played.provider.fail_next_connect(ConnectError("still down"))
        with pytest.raises(ConnectError):
            await player.reconnect()
        assert player.get_connection_state() == "reconnecting"
        await until(lambda: played.record.count("reconnect-succeeded"), "success")
        assert player.is_connected


@on_virtual_time
async def test_together_with_the_documented_handler() -> None:
    played = Recovering()
    player = played.player
    async with player:
        player.on("stalled", player.reconnect)
        await player.connect()
        await speak(played.provider, 5)
        await until(lambda: played.provider.calls.count("connect") == 2 and player.is_connected, "a rejoin")
        await speak(played.provider, 5, end=True)
        await until(lambda: played.record.count("reconnect-succeeded"), "success")
        assert played.provider.calls.count("connect") == 2
        assert played.record.count("error") == 0


@on_virtual_time
async def test_only_what_is_worth_it_is_tried_again() -> None:
    asked: list[Exception] = []

    def worth(error: Exception) -> bool:
        asked.append(error)
        return len(asked) < 2

    played = Recovering(worth_a_retry=worth)
    async with played.player as player:
        await player.connect()
        await played.lost_for_good(ConnectError("still down"))
        assert len(asked) == len(played.attempts) == 2


@on_virtual_time
async def test_a_wrong_configuration_is_not_tried_again() -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect()
        await played.lost_for_good(ConfigurationError("the token is none"))
        assert len(played.attempts) == 1
        assert played.record.payloads("reconnect-failed")[0].cause == "configuration"


@on_virtual_time
async def test_a_policy_that_raises_ends_the_recovery_and_is_reported() -> None:
    def worth(error: Exception) -> bool:
        raise ZeroDivisionError

    played = Recovering(worth_a_retry=worth)
    async with played.player as player:
        await player.connect()
        await played.lost_for_good(ConnectError("still down"))
        assert [type(error) for error in played.record.payloads("error")] == [ZeroDivisionError]
        assert played.record.payloads("reconnect-failed")[0].attempts == 1


@pytest.mark.parametrize("reason", sorted(FINAL_REASONS))
@on_virtual_time
async def test_what_somebody_wanted_is_final(reason: DisconnectReason) -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect()
        played.provider.set_state(ConnectionState.DISCONNECTED, reason)
        await asyncio.sleep(0.15)
        assert player.get_connection_state() == "disconnected"
        assert played.attempts == []
        assert played.record.payloads("disconnected")[0].reason is reason


@pytest.mark.parametrize("moment", ["pause", "join", "motion"])
@on_virtual_time
async def test_disconnect_stops_it_and_the_next_session_has_it_again(moment: str) -> None:
    played = Recovering(first_delay_s=0.3 if moment == "pause" else 0.02)
    player = played.player
    await player.connect()
    await speak(played.provider, 3)
    played.provider.connect_delay = 5.0 if moment == "join" else 0.0
    played.provider.set_state(*DOWN)
    if moment == "pause":
        await asyncio.sleep(0.05)
    elif moment == "join":
        await until(lambda: played.provider.calls.count("connect") == 2, "the rejoin")
    else:
        await until(lambda: player.is_connected, "the rejoin")
    await player.disconnect()
    attempts = len(played.attempts)
    await asyncio.sleep(0.5)
    assert len(played.attempts) == attempts
    assert player.get_connection_state() == "disconnected"
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")
    played.provider.connect_delay = 0.0
    async with player:
        await player.connect()
        played.provider.set_state(*DOWN)
        await until(lambda: played.record.count("reconnect-succeeded"), "success in the next session")


@on_virtual_time
async def test_a_resumed_session_is_watched_for_motion() -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        played.provider.set_state(ConnectionState.RECONNECTING)
        await asyncio.sleep(0.2)
        played.provider.set_state(ConnectionState.CONNECTED)
        await until(lambda: len(played.attempts) == 1, "an attempt")
        assert played.attempts[0].cause == "no-motion"
        assert played.record.times("reconnect-attempt")[0] - played.record.times("connected")[1] >= 0.85


@on_virtual_time
async def test_a_resumed_session_with_motion_is_left_alone() -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect()
        await speak(played.provider, 5)
        for _ in range(2):
            played.provider.set_state(ConnectionState.RECONNECTING)
            await asyncio.sleep(0.05)
            played.provider.set_state(ConnectionState.CONNECTED)
            await asyncio.sleep(0.05)
        played.provider.feed_packet(encode_idle())
        await asyncio.sleep(1.2)
        assert played.attempts == []
        assert player.stats().connection.interruptions == 2
        played.provider.set_state(*DOWN)
        await until(lambda: len(played.attempts) == 1, "an attempt after a real loss")


@on_virtual_time
async def test_disconnect_during_the_watch_does_not_disable_it_for_good() -> None:
    played = Recovering()
    player = played.player
    await player.connect()
    await speak(played.provider, 5)
    played.provider.set_state(ConnectionState.RECONNECTING)
    played.provider.set_state(ConnectionState.CONNECTED)
    await asyncio.sleep(0.05)
    await player.disconnect()
    async with player:
        await player.connect()
        played.provider.set_state(*DOWN)
        await until(lambda: played.record.count("reconnect-attempt"), "an attempt")


@on_virtual_time
async def test_each_attempt_is_given_the_token_provider() -> None:
    played = Recovering()
    async with played.player as player:
        await player.connect(url="ws://host", token_provider=lambda: "fresh")
        played.provider.fail_next_connect(ConnectError("still down"), times=2)
        played.provider.set_state(*DOWN)
        await until(lambda: played.record.count("reconnect-succeeded"), "success")
        assert len(played.provider.configs) == 4
        assert all(config.token_provider is not None for config in played.provider.configs)
