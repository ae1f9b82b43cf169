from __future__ import annotations

import asyncio
import json
import logging
import threading

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.loopback import LoopbackProvider
from avatarkit_rtc.testing.mock_provider import MockProvider
from avatarkit_rtc.testing.performer import perform
from avatarkit_rtc.testing.stand_in import StandInAvatar, StandInOptions
from tests.support.livekit import until
from tests.support.playing import NotingView, Record, speak
from tests.support.virtual_loop import on_virtual_time

TOKEN = "eyJhbGciOiJIUzI1NiJ9.hush.hush"


def test_options_at_once_by_name_and_both() -> None:
    options = AvatarPlayerOptions(stall_timeout_s=5.0, play_audio=False)
    player = AvatarPlayer(MockProvider(), options=options, max_buffer_delay_ms=40)
    assert (player.options.stall_timeout_s, player.options.max_buffer_delay_ms) == (5.0, 40)
    with pytest.raises(ConfigurationError, match="unknown option"):
        AvatarPlayer(MockProvider(), buffer=40)
    with pytest.raises(ConfigurationError, match="between 0 and 10000"):
        AvatarPlayer(MockProvider(), max_buffer_delay_ms=-40)


@pytest.mark.parametrize(("level", "warns", "errs"), [("info", 1, 1), ("error", 0, 1), ("none", 0, 0)])
def test_the_log_level_is_that_of_the_packages_logger(
    level: str, warns: int, errs: int, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("avatarkit_rtc")
    before = logger.level
    try:
        AvatarPlayer(MockProvider(), log_level=level)
        logging.getLogger("avatarkit_rtc.motion").warning("careful")
        logging.getLogger("avatarkit_rtc.motion").error("too late")
    finally:
        logger.setLevel(before)
    said = [record.message for record in caplog.records]
    assert (said.count("careful"), said.count("too late")) == (warns, errs)


async def test_on_is_a_decorator_too() -> None:
    provider = MockProvider()
    player = AvatarPlayer(provider, play_audio=False)
    seen: list[str] = []

    @player.on("connected")
    async def connected() -> None:
        seen.append("connected")

    @player.on("connection-state-changed")
    def changed(state: str) -> None:
        seen.append(str(state))

    async with player:
        await player.connect()
        await asyncio.sleep(0)
        player.off("connection-state-changed", changed)
    assert seen == ["connecting", "connected", "connected"]


async def test_stats_are_a_snapshot_and_go_into_json() -> None:
    provider, view = MockProvider(), NotingView()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        provider.avatar_joins()
        provider.feed_packet(b"rubbish")
        before = player.stats()
        await speak(provider, 5, end=True)
        await until(lambda: record.count("round-ended"), "the end of the round")
        after = player.stats()
    assert before.motion.frames == 0
    assert sum(before.motion.malformed.values()) == 1
    assert after.motion.frames == 5
    assert after.avatar == "mock-avatar"
    assert 5 <= after.poses_shown <= len(view.poses)
    assert 0 <= after.worst_lateness_ms < 1000
    said = json.dumps(after.as_dict(), allow_nan=False)
    assert json.loads(said)["connection"]["state"] == "connected"


async def test_secrets_stay_out_of_reprs_errors_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    provider = MockProvider()
    provider.fail_next_connect(OSError(f"ws://host/rtc?access_token={TOKEN} refused"))
    said: list[str] = []
    with caplog.at_level(logging.DEBUG):
        async with AvatarPlayer(provider, play_audio=False, auto_reconnect=True) as player:
            player.on("error", lambda error: said.append(str(error)))
            with pytest.raises(Exception, match="refused") as caught:
                await player.connect(url="ws://host", token=TOKEN)
            said += [str(caught.value), repr(caught.value)]
            await player.connect(url="ws://host", token=TOKEN)
            said += [repr(player), repr(player.options), repr(player.stats()), repr(player._connection)]
            said += [repr(provider.configs), json.dumps(player.stats().as_dict())]
    assert TOKEN not in "".join(said)
    assert TOKEN not in caplog.text


async def test_a_player_without_a_view_plays_too() -> None:
    provider = MockProvider()
    async with AvatarPlayer(provider, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        await speak(provider, 3, end=True)
        await until(lambda: record.count("round-ended"), "the end of the round")


@on_virtual_time
async def test_the_whole_pipeline_on_a_loopback() -> None:
    provider, view = LoopbackProvider(loss=0.1, delay_s=0.02, jitter_s=0.02, seed=3), NotingView()
    avatar = StandInAvatar(provider.avatar, [perform(1, 1.2)], StandInOptions(rounds=2, pause_s=0.4))
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        await avatar.run()
        await until(lambda: record.count("round-ended") == 2, "two rounds")
        assert await player.wait_for_avatar(0) == "spatialreal-avatar"
    for number in (1, 2):
        positions = [pose.position for pose in view.spoken if pose.round == number]
        assert len(set(positions)) >= 25
        assert positions == sorted(positions, key=lambda position: position or 0.0)
    assert record.count("stalled") == 0


async def test_many_sessions_leave_no_tasks_threads_or_timers() -> None:
    provider, view = MockProvider(), NotingView()
    player = AvatarPlayer(provider, view, play_audio=False, disconnect_transition_frames=1)
    threads = threading.active_count()
    for _ in range(10):
        await player.connect()
        provider.avatar_joins()
        provider.feed_audio(np.ones(480, np.int16))
        await player.publish_audio(np.ones(48000, np.int16), sample_rate=48000)
        await speak(provider, 2)
        await player.disconnect()
    await until(lambda: not player._motion.running, "the motion loop's end")
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")
    assert threading.active_count() <= threads + 8  # those of asyncio's own pool
    assert all(uplink.closed for uplink in provider.uplinks)
    shown = len(view.poses)
    await asyncio.sleep(0.1)
    assert len(view.poses) == shown
