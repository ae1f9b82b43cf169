"""A connection that is lost: what is told, when, and what becomes of what was going on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.errors import RealtimeTransportError
from avatarkit_rtc.integrations.realtime import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDelta,
    AssistantDone,
    ConnectionLost,
    SessionEnded,
    ToolCalled,
    UserTranscript,
)
from tests.integrations.realtime.conftest import Session
from tests.support.realtime import refused, settle, tool

Run = Callable[..., Any]


def test_back_with_the_third_attempt(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        for _ in range(2):
            its.client.plan("connect", 0.25, refused())
        its.client.lose("timeout")
        assert its.trace.shown() == [("connecting", "active")]
        await asyncio.sleep(10.0)
        assert its.trace.but("realtime:state") == [
            "realtime:reconnect:attempt",
            "realtime:reconnect:attempt",
            "realtime:reconnect:attempt",
            "realtime:reconnect:success",
        ]
        attempts = its.trace.of("realtime:reconnect:attempt")
        assert [(each.attempt, each.delay_ms, each.cause) for each in attempts] == [
            (1, 500, "timeout"),
            (2, 1000, "timeout"),
            (3, 2000, "timeout"),
        ]
        success = its.trace.of("realtime:reconnect:success")[0]
        assert (success.attempts, success.total_ms, success.cause) == (3, 4000, "timeout")
        assert its.trace.shown()[-1] == ("connected", "active")
        await its.manager.send_message("there again")
        await its.manager.stop_session()

    run(main())


def test_never_back(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        errors = [refused(str(number)) for number in range(5)]
        for error in errors:
            its.client.plan("connect", error=error)
        loop, times = asyncio.get_running_loop(), []
        its.manager.on("realtime:reconnect:attempt", lambda: times.append(loop.time()))
        began = loop.time()
        its.client.lose()
        await asyncio.sleep(60.0)
        assert [at - began for at in times] == pytest.approx([0.0, 0.5, 1.5, 3.5, 7.5])
        assert its.trace.names[-4:] == [
            "realtime:state",
            "realtime:reconnect:exhausted",
            "realtime:error",
            "realtime:state",
        ]
        exhausted = its.trace.of("realtime:reconnect:exhausted")[0]
        assert (exhausted.attempts, exhausted.total_ms, exhausted.cause) == (5, 12500, "failed")
        assert exhausted.last_error is errors[-1]
        assert its.trace.shown()[-1] == ("error", "stopped")
        assert its.manager.get_state().last_error is errors[-1]
        await its.manager.start_session()
        await its.manager.stop_session()

    run(main())


def test_the_newest_config_is_what_it_comes_back_with(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.plan("connect", error=refused())
        its.client.lose()
        await its.manager.update_session(RealtimeSessionConfig(voice="a"))
        await asyncio.sleep(1.0)
        await its.manager.update_session(RealtimeSessionConfig(voice="b"))
        await asyncio.sleep(1.0)
        assert [config.voice for config in its.client.named("connect")] == ["a", "b"]
        assert its.manager.get_state().session.config == its.client.named("connect")[-1]
        await its.manager.stop_session()

    run(main())


def test_a_response_is_interrupted_and_not_resumed(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.tell(AssistantDelta("Hel", "r"))
        its.client.lose()
        await asyncio.sleep(1.0)
        its.trace.clear()
        its.client.tell(AssistantDelta("lo", "r"), AssistantDone("Hello", "r"))
        assert its.trace.names == []
        response = its.manager.get_state().response
        assert (response.status, response.text) == ("interrupted", "Hel")
        its.client.tell(AssistantDelta("new", "s"))
        assert its.manager.get_state().response.status == "responding"
        await its.manager.stop_session()

    run(main())


def test_tool_calls_are_not_answered_after_it_nor_replayed(run: Run) -> None:
    async def main() -> None:
        ended = []

        async def slow(args: Any) -> dict[str, Any]:
            try:
                await asyncio.sleep(5.0)
            finally:
                ended.append(asyncio.get_running_loop().time())
            return {}

        its = await Session(tools=[tool("slow", slow)]).started()
        its.client.tell(ToolCalled("c", "slow", "{}"))
        await asyncio.sleep(1.0)
        its.client.lose()
        assert its.trace.but("realtime:state") == [
            "realtime:tool:call",
            "realtime:tool:error",
            "realtime:reconnect:attempt",
        ]
        await asyncio.sleep(20.0)
        assert len(ended) == 1
        assert ended[0] < 2.0  # cancelled
        its.client.tell(ToolCalled("c", "slow", "{}"))
        await asyncio.sleep(20.0)
        assert its.client.named("send_tool_result") == []
        await its.manager.stop_session()

    run(main())


def test_what_a_client_has_left_is_closed_before_each_attempt(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.plan("disconnect", error=refused())
        its.client.lose()
        await asyncio.sleep(1.0)
        assert its.client.methods == ["disconnect", "connect"]
        await its.manager.stop_session()

    run(main())


def test_a_client_that_loses_its_connection_in_the_moment_it_has_one(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.plan("connect", 0.1, then=its.client.lose)
        its.client.lose()
        await asyncio.sleep(0.7)
        assert its.trace.names[-1] == "realtime:reconnect:attempt"
        await asyncio.sleep(5.0)
        assert its.trace.names[-1] == "realtime:reconnect:success"
        await its.manager.stop_session()

    run(main())


def test_attempts_are_limited_in_time(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.plan("connect", 1e6)
        its.client.lose()
        await asyncio.sleep(25.0)
        success = its.trace.of("realtime:reconnect:success")[0]
        assert (success.attempts, success.total_ms) == (2, 500 + 20_000 + 1000)
        await its.manager.stop_session()

    run(main())


def test_a_session_that_the_provider_ends_is_not_come_back_to(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.tell(SessionEnded("expired"))
        await asyncio.sleep(60.0)
        assert its.trace.names == ["realtime:state", "realtime:state", "realtime:session:end"]
        assert its.trace.of("realtime:session:end")[0].reason == "server"
        assert its.client.methods == ["disconnect"]

    run(main())


@pytest.mark.parametrize("when", ["never started", "stopped"])
def test_a_loss_without_a_session_is_nothing(run: Run, when: str) -> None:
    async def main() -> None:
        its = Session()
        if when == "stopped":
            await its.started()
            await its.manager.stop_session()
        its.trace.clear()
        its.client.tell(ConnectionLost("failed"), UserTranscript("late"))
        await asyncio.sleep(60.0)
        assert its.trace.names == []

    run(main())


def test_a_second_loss_is_a_recovery_of_its_own(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        for _ in range(2):
            its.client.lose()
            await asyncio.sleep(1.0)
        attempts = its.trace.of("realtime:reconnect:attempt")
        assert [(each.attempt, each.delay_ms) for each in attempts] == [(1, 500), (1, 500)]
        await settle()
        await its.manager.stop_session()

    run(main())


def test_a_patch_that_the_loss_breaks_off_is_part_of_the_recovery(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.plan("update", 5.0, RealtimeTransportError("gone"))
        update = asyncio.create_task(its.manager.update_session(RealtimeSessionConfig(voice="a")))
        await settle()
        its.client.lose()
        await update
        await asyncio.sleep(1.0)
        assert "realtime:error" not in its.trace.names
        config = its.manager.get_state().session.config
        assert config is not None
        assert config.voice == "a"
        await its.manager.stop_session()

    run(main())
