"""The manager with a client that does as it is told: starting, updating, stopping, and who waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.errors import (
    ConfigurationError,
    RealtimeServerError,
    RealtimeStateError,
    RealtimeTimeoutError,
    RealtimeTransportError,
)
from avatarkit_rtc.integrations.realtime import (
    Character,
    RealtimeManager,
    RealtimeSessionConfig,
    Timeouts,
)
from avatarkit_rtc.integrations.realtime.events import AssistantDelta, ErrorReported, UserTranscript
from tests.integrations.realtime.conftest import Session
from tests.support.realtime import refused, settle, tool

Run = Callable[..., Any]


def voice(name: str) -> RealtimeSessionConfig:
    return RealtimeSessionConfig(voice=name)


class TestStarting:
    def test_events_and_their_order(self, run: Run) -> None:
        async def main() -> None:
            its = Session(character=Character("ada", "Ada", voice="sage"))
            await its.manager.start_session(RealtimeSessionConfig(provider="openai", model="m"))
            assert its.trace.names == ["realtime:state", "realtime:state", "realtime:session:start"]
            assert its.trace.shown() == [("connecting", "starting"), ("connected", "active")]
            start = its.trace.of("realtime:session:start")[0]
            assert (start.reason, start.state) == ("user", its.manager.get_state())
            (config,) = its.client.named("connect")
            assert (config.provider, config.model, config.voice) == ("openai", "m", "sage")
            state = its.manager.get_state()
            assert (state.session.config, state.session.character_id) == (config, "ada")
            await its.manager.stop_session()

        run(main())

    def test_before_there_is_anything(self) -> None:
        state = Session().manager.get_state()
        assert (state.connection, state.session.status, state.response.status) == ("idle", "idle", "idle")
        assert (state.session.config, state.last_error, state.audio_playing) == (None, None, False)

    def test_a_start_that_fails(self, run: Run) -> None:
        async def main() -> None:
            its, error = Session(), refused()
            its.client.plan("connect", 1.0, error)
            with pytest.raises(RealtimeTransportError) as caught:
                await its.manager.start_session()
            assert caught.value is error
            assert its.trace.names == ["realtime:state", "realtime:error", "realtime:state"]
            assert its.trace.shown()[-1] == ("error", "stopped")
            assert its.trace.of("realtime:error")[0].error is error
            assert its.manager.get_state().last_error is error
            await its.manager.start_session()  # may be tried again
            await its.manager.stop_session()

        run(main())

    def test_what_is_no_error_of_ours_is_made_one(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.client.plan("connect", error=OSError("no route"))
            with pytest.raises(
                RealtimeTransportError, match="could not connect: OSError: no route"
            ) as caught:
                await its.manager.start_session()
            assert isinstance(caught.value.__cause__, OSError)

        run(main())

    def test_a_client_that_never_connects(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.client.plan("connect", 1e6)
            began = asyncio.get_running_loop().time()
            with pytest.raises(RealtimeTimeoutError, match="did not connect within 20 s"):
                await its.manager.start_session()
            assert asyncio.get_running_loop().time() - began == pytest.approx(20.0)

        run(main())

    def test_a_client_whose_own_time_is_shorter(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.client.plan("connect", error=TimeoutError("its own"))
            with pytest.raises(RealtimeTransportError, match="TimeoutError: its own"):
                await its.manager.start_session()

        run(main())

    @pytest.mark.parametrize("meanwhile", ["starting", "active", "patching", "reconnecting", "stopping"])
    def test_a_start_while_there_is_one(self, run: Run, meanwhile: str) -> None:
        async def main() -> None:
            its = Session()
            its.client.plan("connect", 1.0)
            started = asyncio.create_task(its.manager.start_session())
            await settle()
            other: list[asyncio.Task[None]] = []
            if meanwhile != "starting":
                await started
            if meanwhile == "patching":
                its.client.plan("update", 1.0)
                other.append(asyncio.create_task(its.manager.update_session()))
            if meanwhile == "reconnecting":
                its.client.lose()
            if meanwhile == "stopping":
                its.client.plan("disconnect", 1.0)
                other.append(asyncio.create_task(its.manager.stop_session()))
            await settle()
            its.trace.clear()
            with pytest.raises(RealtimeStateError, match="Realtime session already active"):
                await its.manager.start_session()
            assert its.trace.names == []
            await asyncio.gather(started, *other)
            await its.manager.stop_session()
            assert its.client.methods.count("connect") == 1

        run(main())

    def test_a_start_that_is_cancelled_is_stopped_again(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.client.plan("connect", 10.0)
            started = asyncio.create_task(its.manager.start_session())
            await asyncio.sleep(1.0)
            started.cancel()
            await asyncio.wait([started])
            assert started.cancelled()
            await its.manager.stop_session()
            assert its.client.methods == ["connect", "disconnect"]
            assert its.trace.shown()[-1] == ("idle", "stopped")
            assert "realtime:session:end" not in its.trace.names

        run(main())

    def test_a_start_cancelled_once_it_is_done_stays(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            started = asyncio.create_task(its.manager.start_session())
            its.manager.on("realtime:session:start", lambda _: started.cancel())
            await asyncio.wait([started])
            assert its.manager.get_state().session.status == "active"
            await its.manager.stop_session()

        run(main())

    def test_what_is_no_client(self) -> None:
        with pytest.raises(ConfigurationError, match="no RealtimeClient"):
            RealtimeManager(object())  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="tool_timeout_s"):
            Session(tool_timeout_s=0)


class TestUpdating:
    def test_one_patch_in_flight_the_rest_merged_into_one_more(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("update", 1.0)
            its.client.plan("update", 1.0)
            first = asyncio.create_task(its.manager.update_session(voice("a")))
            await settle()
            rest = [asyncio.create_task(its.manager.update_session(voice(name))) for name in "bcd"]
            await asyncio.sleep(1.5)
            assert first.done()
            assert not any(task.done() for task in rest)
            await asyncio.gather(*rest)
            assert [config.voice for config in its.client.named("update")] == ["a", "d"]
            assert its.trace.but("realtime:state") == []  # no end, no start
            config = its.manager.get_state().session.config
            assert config is not None
            assert config.voice == "d"
            await its.manager.stop_session()

        run(main())

    def test_the_rest_shares_its_failure_too(self, run: Run) -> None:
        async def main() -> None:
            its, error = await Session().started(), RealtimeServerError("no such voice")
            its.client.plan("update", 1.0)
            its.client.plan("update", 1.0, error)
            calls = [its.manager.update_session(voice(name)) for name in "abc"]
            assert await asyncio.gather(*calls, return_exceptions=True) == [None, error, error]
            assert its.trace.but("realtime:state") == ["realtime:error"]
            state = its.manager.get_state()
            assert (state.connection, state.session.status, state.last_error) == (
                "connected",
                "active",
                error,
            )
            assert state.session.config is not None
            assert state.session.config.voice == "a"
            await its.manager.stop_session()

        run(main())

    def test_without_a_session_it_is_remembered(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            await its.manager.update_session(voice("a"))
            assert its.client.calls == []
            assert its.trace.names == []
            await its.manager.start_session()
            assert its.client.named("connect")[0].voice == "a"
            await its.manager.stop_session()

        run(main())

    def test_tools_and_character_reach_a_session_with_the_next_update(self, run: Run) -> None:
        async def main() -> None:
            its = await Session(tools=[tool("wave", print)]).started()
            its.manager.register_tool(tool("nod", print))
            its.manager.unregister_tool("wave")
            its.manager.set_character(Character("bo", "Bo"))
            await settle()
            assert its.client.calls == []
            assert [each.name for each in its.manager.get_registered_tools()] == ["nod"]
            await its.manager.update_session()
            (config,) = its.client.named("update")
            assert [each.name for each in config.tools] == ["nod"]
            assert config.instructions.startswith("You are Bo.")
            await its.manager.stop_session()

        run(main())

    def test_a_client_that_never_answers(self, run: Run) -> None:
        async def main() -> None:
            its = await Session(timeouts=Timeouts(update_s=3.0)).started()
            its.client.plan("update", 1e6)
            with pytest.raises(RealtimeTimeoutError, match="did not update within 3 s"):
                await its.manager.update_session()
            await its.manager.update_session()
            await its.manager.stop_session()

        run(main())

    def test_one_who_does_not_wait_any_more(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("update", 1.0)
            update = asyncio.create_task(its.manager.update_session(voice("a")))
            await settle()
            update.cancel()
            await asyncio.sleep(2.0)
            config = its.manager.get_state().session.config
            assert config is not None
            assert config.voice == "a"
            await its.manager.stop_session()

        run(main())


class TestStopping:
    def test_events_and_their_order(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            await its.manager.stop_session()
            assert its.trace.names == ["realtime:state", "realtime:state", "realtime:session:end"]
            assert its.trace.shown() == [("disconnecting", "active"), ("idle", "stopped")]
            end = its.trace.of("realtime:session:end")[0]
            assert (end.reason, end.state.session.config) == ("user", None)
            its.trace.clear()
            its.client.tell(UserTranscript("late"), AssistantDelta("late"))
            await its.manager.stop_session()
            assert its.trace.names == []

        run(main())

    def test_it_wins_over_a_patch(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("update", 1e6)
            updates = [asyncio.create_task(its.manager.update_session(voice(name))) for name in "ab"]
            await settle()
            await its.manager.stop_session()
            assert await asyncio.gather(*updates) == [None, None]  # remembered
            assert its.client.methods == ["update", "disconnect"]
            assert its.trace.shown()[-1] == ("idle", "stopped")

        run(main())

    def test_it_wins_over_a_start(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.client.plan("connect", 1e6)
            started = asyncio.create_task(its.manager.start_session())
            await settle()
            await its.manager.stop_session()
            with pytest.raises(RealtimeStateError, match="stopped while it was starting"):
                await started
            assert its.client.methods == ["connect", "disconnect"]

        run(main())

    @pytest.mark.parametrize("attempt_runs", [False, True])
    def test_it_wins_over_a_reconnect(self, run: Run, attempt_runs: bool) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("connect", 1e6)
            its.client.lose()
            await asyncio.sleep(1.0 if attempt_runs else 0.1)
            await its.manager.stop_session()
            assert its.trace.shown()[-1] == ("idle", "stopped")
            its.trace.clear()
            await asyncio.sleep(60.0)
            assert its.trace.names == []
            assert its.client.methods.count("connect") == attempt_runs

        run(main())

    @pytest.mark.parametrize(("seconds", "error"), [(0.0, refused()), (1e6, None)])
    def test_a_connection_that_cannot_be_closed(
        self, run: Run, seconds: float, error: Exception | None
    ) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("disconnect", seconds, error)
            with pytest.raises(RealtimeTransportError):
                await its.manager.stop_session()
            assert its.trace.names == ["realtime:state", "realtime:error", "realtime:state"]
            assert its.trace.shown()[-1] == ("error", "stopped")

        run(main())

    def test_it_waits_for_the_connection_of_a_session_that_has_failed(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("disconnect", 1.0)
            its.client.tell(ErrorReported(RealtimeServerError("over"), recoverable=False))
            await settle()
            started = asyncio.create_task(its.manager.start_session())
            await settle()
            assert its.client.methods == ["disconnect"]  # which goes on
            await started
            assert its.client.methods == ["disconnect", "connect"]
            its.client.plan("disconnect", 1.0)
            its.client.tell(ErrorReported(RealtimeServerError("over"), recoverable=False))
            await its.manager.stop_session()
            assert not its.client.connected

        run(main())

    def test_by_several_at_once(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            await asyncio.gather(*(its.manager.stop_session() for _ in range(3)))
            assert its.client.methods == ["disconnect"]

        run(main())

    def test_one_who_does_not_wait_any_more(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("disconnect", 1.0)
            stop = asyncio.create_task(its.manager.stop_session())
            await settle()
            stop.cancel()
            await asyncio.sleep(2.0)
            assert its.trace.shown()[-1] == ("idle", "stopped")

        run(main())


class TestClosing:
    def test_it_ends_everything(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            async with its.manager as manager:
                await manager.start_session()
            assert its.client.methods[-1] == "disconnect"
            assert its.client.handler is None
            await manager.aclose()
            with pytest.raises(RealtimeStateError, match="closed"):
                await manager.start_session()

        run(main())

    def test_a_client_that_cannot_be_closed_does_not_keep_it(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("disconnect", 1e6)
            await its.manager.aclose()

        run(main())

    def test_nor_one_that_does_not_let_itself_be_cancelled(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            its, stubborn = await Session().started(), asyncio.Event()

            async def connect(config: Any) -> None:
                while not stubborn.is_set():
                    with contextlib.suppress(asyncio.CancelledError):
                        await stubborn.wait()

            its.client.connect = connect  # type: ignore[method-assign]
            its.client.lose()
            await asyncio.sleep(1.0)
            await its.manager.aclose()
            assert "1 tasks of a client or of tools do not end" in caplog.text
            stubborn.set()
            await settle()

        run(main())

    def test_while_a_cancelled_start_is_still_being_undone(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.client.plan("connect", 1e6)
            its.client.plan("disconnect", 1.0)
            started = asyncio.create_task(its.manager.start_session())
            await settle()
            started.cancel()
            await its.manager.aclose()
            assert its.client.methods == ["connect", "disconnect"]

        run(main())
