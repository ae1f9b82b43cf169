"""Who is told of events and log lines, and that one who fails keeps nobody from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.errors import (
    ConfigurationError,
)
from avatarkit_rtc.integrations.realtime import (
    Character,
    RealtimeManager,
)
from avatarkit_rtc.integrations.realtime.events import AssistantDelta, UserTranscript
from tests.integrations.realtime.conftest import Session
from tests.support.realtime import Trace

Run = Callable[..., Any]


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
