"""The manager with a client that does as it is told: starting, updating, stopping, and who waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
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
from tests.support.realtime import Trace, refused, settle, tool

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


class TestSending:
    def test_what_is_sent(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            samples = np.array([1, -2], np.int16)
            await its.manager.send_message("hello")
            for audio in (b"\x01\x00\xfe\xff", samples, samples[:, None], np.array([1, 0, -2], ">i2")[::2]):
                await its.manager.send_audio_chunk(audio)
            await its.manager.commit_audio()
            assert its.client.calls == [
                ("send_text", "hello"),
                *[("send_audio", b"\x01\x00\xfe\xff")] * 4,
                ("commit_audio", None),
            ]
            await its.manager.stop_session()

        run(main())

    @pytest.mark.parametrize(
        "audio",
        [b"odd", np.zeros(4, np.float32), np.zeros((4, 2), np.int16), "text", np.zeros((1, 1, 1), np.int16)],
    )
    def test_what_is_no_sound(self, run: Run, audio: Any) -> None:
        async def main() -> None:
            its = await Session().started()
            with pytest.raises(ConfigurationError, match="audio must be"):
                await its.manager.send_audio_chunk(audio)
            await its.manager.stop_session()

        run(main())

    @pytest.mark.parametrize("lost", [False, True])
    def test_refused_without_a_connection(self, run: Run, lost: bool) -> None:
        async def main() -> None:
            its = Session()
            if lost:
                await its.started()
                its.client.lose()
            manager = its.manager
            said = "Realtime session is reconnecting" if lost else "Realtime session not active"
            for send in (
                lambda: manager.send_message("hello"),
                lambda: manager.send_audio_chunk(b""),
                manager.commit_audio,
                manager.interrupt,
            ):
                with pytest.raises(RealtimeStateError, match=said):
                    await send()
            assert its.client.calls == []
            await manager.stop_session()

        run(main())

    def test_a_failure_is_raised_and_changes_nothing(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.client.plan("send_text", error=OSError("gone"))
            its.client.plan("interrupt", error=OSError("gone"))
            with pytest.raises(RealtimeTransportError, match="could not send"):
                await its.manager.send_message("hello")
            with pytest.raises(RealtimeTransportError, match="could not interrupt"):
                await its.manager.interrupt()
            assert its.trace.but("realtime:state") == []
            await its.manager.stop_session()

        run(main())


class TestListeners:
    def test_one_that_raises_keeps_none_from_hearing(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            its = await Session().started()
            heard = []

            def broken(_: Any) -> None:
                raise ValueError("broken listener")

            its.manager.on("realtime:user:transcript", broken)
            its.manager.on("realtime:user:transcript", lambda payload: heard.append(payload.text))
            its.client.tell(UserTranscript("hello"))
            assert heard == ["hello"]
            assert "broken listener" in caplog.text
            await its.manager.stop_session()

        run(main())

    def test_they_are_called_over_a_snapshot(self, run: Run) -> None:
        async def main() -> None:
            its, heard = await Session().started(), []

            def second(payload: Any) -> None:
                heard.append(("second", payload.text))

            def first(payload: Any) -> None:
                heard.append(("first", payload.text))
                its.manager.off("realtime:user:transcript", first)
                its.manager.off("realtime:user:transcript", second)
                its.manager.on("realtime:user:transcript", lambda new: heard.append(("third", new.text)))

            its.manager.on("realtime:user:transcript", first)
            its.manager.on("realtime:user:transcript", second)
            its.client.tell(UserTranscript("a"))
            assert heard == [("first", "a"), ("second", "a")]
            its.client.tell(UserTranscript("b"))
            assert heard[2:] == [("third", "b")]
            await its.manager.stop_session()

        run(main())

    def test_what_one_does_comes_after_what_it_is_told_of(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.manager.on(
                "realtime:assistant:start", lambda _: its.manager.set_character(Character("c", "C"))
            )
            its.client.tell(AssistantDelta("a", "r"))
            assert its.trace.names == [
                "realtime:assistant:start",
                "realtime:assistant:delta",
                "realtime:text:delta",
                "realtime:state",
                "realtime:state",
            ]
            await its.manager.stop_session()

        run(main())

    def test_one_that_stops_the_session(self, run: Run) -> None:
        async def main() -> None:
            its = await Session().started()
            its.manager.on("realtime:user:transcript", its.manager.stop_session)
            its.client.tell(UserTranscript("bye"))
            await asyncio.sleep(1.0)
            assert its.trace.names[-1] == "realtime:session:end"

        run(main())

    def test_events_that_do_not_exist(self) -> None:
        with pytest.raises(ConfigurationError, match="there is no event"):
            Session().manager.on("realtime:nothing", print)

    def test_the_bridge_is_given_all_of_them_and_asked_for_none(self, run: Run) -> None:
        class Bridge:
            def __init__(self) -> None:
                self.events: list[tuple[str, Any]] = []

            def emit(self, event: str, payload: Any) -> None:
                self.events.append((event, payload))
                raise ValueError("broken bridge")

        async def main() -> None:
            bridge = Bridge()
            its = Session()
            its.manager.set_event_emitter(bridge)
            await its.manager.start_session()
            its.client.tell(AssistantDelta("a", "r"))
            assert bridge.events == its.trace.events
            assert its.lines.of("Realtime event bridge failed")
            its.manager.set_event_emitter(None)
            await its.manager.stop_session()
            assert len(bridge.events) < len(its.trace.events)

        run(main())


class TestLog:
    def test_the_session_id_is_in_every_line_and_wins(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.manager.log("info", "before", {"sessionId": "theirs"})
            await its.manager.start_session()
            its.manager.log("info", "mine", {"sessionId": "theirs", "more": 1})
            ours = its.manager.session_id
            await its.manager.update_session()
            its.client.lose()
            await asyncio.sleep(1.0)
            await its.manager.stop_session()
            lines = its.lines.lines
            assert lines[0] == ("info", "before", {"sessionId": "theirs"})
            assert its.lines.of("mine") == [{"sessionId": ours, "more": 1}]
            assert {context["sessionId"] for _, _, context in lines[1:]} == {ours}
            assert len(lines) > 7
            assert its.manager.session_id is None

        run(main())

    def test_each_session_has_an_id_of_its_own(self, run: Run) -> None:
        async def main() -> None:
            its, ids = Session(), set()
            for _ in range(2):
                await its.manager.start_session()
                ids.add(its.manager.session_id)
                await its.manager.stop_session()
            assert len(ids) == 2

        run(main())

    def test_a_logger_that_fails_changes_nothing(self, run: Run) -> None:
        async def main() -> None:
            its = Session()
            its.lines.log = lambda *_: 1 / 0  # type: ignore[method-assign,assignment,return-value]
            await its.manager.start_session()
            await its.manager.stop_session()
            assert its.trace.names[-1] == "realtime:session:end"

        run(main())

    def test_pythons_logging_is_the_default(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            manager = RealtimeManager(Session().client)
            await manager.start_session()
            ours = manager.session_id
            manager.log("debug", "said", {"name": "value"})
            await manager.stop_session()
            (record,) = [each for each in caplog.records if each.message.startswith("said")]
            assert record.message == f"said name=value sessionId={ours}"
            assert record.name == "avatarkit_rtc.realtime"

        caplog.set_level(logging.DEBUG, "avatarkit_rtc.realtime")
        run(main())

    def test_or_a_logger_of_it(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            manager = RealtimeManager(Session().client, logger=logging.getLogger("mine"))
            Trace(manager)
            await manager.start_session()
            await manager.stop_session()

        caplog.set_level(logging.INFO, "mine")
        run(main())
        assert [record.name for record in caplog.records] == ["mine"] * 2
