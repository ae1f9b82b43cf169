"""Tools that the model calls, carried out: results, failures, projectors, and what they are told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import UserDict
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.errors import ToolTimeoutError
from avatarkit_rtc.integrations.error_text import text_of
from avatarkit_rtc.integrations.realtime import Character, ToolContext, ToolOutcome
from avatarkit_rtc.integrations.realtime.events import ToolCalled
from avatarkit_rtc.integrations.realtime.payloads import LipSync
from avatarkit_rtc.integrations.realtime.shell import MAX_CALLS_AT_ONCE, MAX_CALLS_WAITING
from tests.integrations.realtime.conftest import Session
from tests.support.realtime import Trace, refused, settle, tool

Run = Callable[..., Any]


async def ok(args: Any) -> dict[str, Any]:
    return {"args": args}


async def sleeps(args: Any) -> dict[str, Any]:
    await asyncio.sleep(1e6)
    return {}


async def raises(args: Any) -> dict[str, Any]:
    raise ValueError("no such city")


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Trouble(UserDict[str, Any]):
    def keys(self) -> Any:
        raise RuntimeError("no keys")


async def raises_speechless(args: Any) -> dict[str, Any]:
    raise SpeechlessError


async def returns_trouble(args: Any) -> Any:
    return Trouble()


async def returns_text(args: Any) -> Any:
    return "text"


async def is_cancelled(args: Any) -> Any:
    raise asyncio.CancelledError


def failures(its: Session) -> list[tuple[str, str]]:
    """Name and text of each tool error."""
    return [(each.name, text_of(each.error)) for each in its.trace.of("realtime:tool:error")]


def test_a_result_is_sent_then_told_then_projected(run: Run) -> None:
    async def main() -> None:
        order: list[str] = []

        def projector(outcome: ToolOutcome) -> None:
            order.append("projected")
            assert (outcome.name, outcome.output, outcome.call_id) == ("ok", {"args": {"a": 1}}, "c")
            outcome.emit("tts:lipsync:update", LipSync(0.5))

        its = await Session(tools=[tool("ok", ok)], result_projectors=[projector]).started()
        its.manager.on("realtime:tool:result", lambda: order.append(f"told, {len(its.client.calls)} sent"))
        its.client.tell(ToolCalled("c", "ok", '{"a": 1}'))
        await settle()
        assert its.client.calls == [("send_tool_result", ("c", {"args": {"a": 1}}))]
        assert order == ["told, 1 sent", "projected"]
        assert its.trace.names == ["realtime:tool:call", "realtime:tool:result", "tts:lipsync:update"]
        await its.manager.stop_session()

    run(main())


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (sleeps, 'Realtime tool "t" timed out after 10000ms'),
        (raises, "no such city"),
        (returns_text, 'Realtime tool "t" must return an object'),
        (is_cancelled, 'Realtime tool "t" was cancelled'),
        (raises_speechless, "SpeechlessError"),
        (returns_trouble, 'Realtime tool "t" result could not be serialized to JSON: no keys'),
    ],
)
def test_a_tool_that_fails(run: Run, handler: Callable[..., Any], said: str) -> None:
    async def main() -> None:
        projected: list[ToolOutcome] = []
        its = await Session(tools=[tool("t", handler)], result_projectors=[projected.append]).started()
        its.client.tell(ToolCalled("c", "t", "{}"))
        await asyncio.sleep(15.0)
        assert its.trace.names == ["realtime:tool:call", "realtime:tool:error"]
        assert failures(its) == [("t", said)]
        assert its.client.calls == [("send_tool_result", ("c", {"success": False, "error": said}))]
        assert projected == []
        await its.manager.stop_session()

    run(main())


@pytest.mark.parametrize(("of_tool", "of_manager", "ms"), [(0.05, 5.0, "50"), (None, 5.0, "5000")])
def test_its_time(run: Run, of_tool: float | None, of_manager: float, ms: str) -> None:
    async def main() -> None:
        its = await Session(tools=[tool("t", sleeps, of_tool)], tool_timeout_s=of_manager).started()
        its.client.tell(ToolCalled("c", "t", "{}"))
        await asyncio.sleep(of_tool or of_manager)
        await settle()
        assert failures(its) == [("t", f'Realtime tool "t" timed out after {ms}ms')]
        assert isinstance(its.trace.of("realtime:tool:error")[0].error, ToolTimeoutError)
        await its.manager.stop_session()

    run(main())


def test_one_that_is_not_registered(run: Run) -> None:
    async def main() -> None:
        its = await Session(tools=[tool("t", ok)]).started()
        its.manager.unregister_tool("t")  # the model has not been told yet
        its.client.tell(ToolCalled("c", "t", "{}"))
        await settle()
        said = 'No realtime tool registered for "t"'
        assert failures(its) == [("t", said)]
        assert its.client.calls == [("send_tool_result", ("c", {"success": False, "error": said}))]
        await its.manager.stop_session()

    run(main())


def test_a_projector_that_raises_only_warns(run: Run) -> None:
    async def main() -> None:
        seen: list[ToolOutcome] = []

        def broken(outcome: ToolOutcome) -> None:
            raise ValueError("broken projector")

        def unknown(outcome: ToolOutcome) -> None:
            outcome.emit("no:event", None)

        its = await Session(tools=[tool("t", ok)], result_projectors=[broken, unknown]).started()
        its.manager.add_result_projector(seen.append)
        its.client.tell(ToolCalled("c", "t", "{}"))
        await settle()
        assert len(seen) == 1
        assert its.trace.names == ["realtime:tool:call", "realtime:tool:result"]
        warned = its.lines.of("Realtime result projector failed")
        assert [each["error"].partition(":")[0] for each in warned] == ["ValueError", "ConfigurationError"]
        await its.manager.stop_session()

    run(main())


def test_what_a_tool_is_told(run: Run) -> None:
    async def main() -> None:
        told: list[ToolContext] = []

        async def curious(args: Any, context: ToolContext) -> dict[str, Any]:
            told.append(context)
            context.log("info", "from a tool", {"sessionId": "theirs"})
            return {}

        ada = Character("ada", "Ada")
        its = await Session(tools=[tool("t", curious)], character=ada).started()
        its.client.tell(ToolCalled("c", "t", "{}"))
        await settle()
        (context,) = told
        assert (context.character, context.call_id) == (ada, "c")
        assert context.state.session.status == "active"
        assert its.lines.of("from a tool") == [{"sessionId": its.manager.session_id}]
        await its.manager.stop_session()

    run(main())


def test_a_result_that_cannot_be_sent_is_not_sent_again(run: Run) -> None:
    async def main() -> None:
        its = await Session(tools=[tool("t", ok)]).started()
        its.client.plan("send_tool_result", error=refused("gone"))
        its.client.tell(ToolCalled("c", "t", "{}"))
        await settle()
        assert len(its.client.calls) == 1
        assert its.trace.names == ["realtime:tool:call", "realtime:tool:error"]
        assert failures(its) == [("t", "gone")]
        await its.manager.stop_session()

    run(main())


def test_stopping_answers_no_call_and_tells_nothing_of_it(run: Run) -> None:
    async def main() -> None:
        its = await Session(tools=[tool("t", sleeps)]).started()
        its.client.tell(*(ToolCalled(str(number), "t", "{}") for number in range(5)))
        await settle()
        its.trace.clear()
        await its.manager.stop_session()
        await asyncio.sleep(60.0)
        assert its.trace.names == ["realtime:state", "realtime:state", "realtime:session:end"]
        assert its.client.methods == ["disconnect"]

    run(main())


def test_a_tool_may_stop_the_session(run: Run) -> None:
    async def main() -> None:
        its = Session()

        async def hang_up(args: Any) -> dict[str, Any]:
            await its.manager.stop_session()
            return {}

        its.manager.register_tool(tool("hang_up", hang_up))
        await its.started()
        its.client.tell(ToolCalled("c", "hang_up", "{}"))
        await asyncio.sleep(1.0)
        assert its.trace.names[-1] == "realtime:session:end"
        assert its.client.methods == ["disconnect"]

    run(main())


def test_calls_at_once_are_bounded(run: Run) -> None:
    async def main() -> None:
        at_once, most = 0, 0

        async def counted(args: Any) -> dict[str, Any]:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(1.0)
            at_once -= 1
            return {}

        its = await Session(tools=[tool("t", counted)]).started()
        number = MAX_CALLS_AT_ONCE + MAX_CALLS_WAITING + 3
        its.client.tell(*(ToolCalled(str(each), "t", "{}") for each in range(number)))
        await asyncio.sleep(30.0)
        assert most == MAX_CALLS_AT_ONCE
        assert failures(its) == [("t", "Too many tool calls at once; try again later")] * 3
        assert len(its.client.calls) == number
        await its.manager.stop_session()

    run(main())


async def test_plain_functions_run_in_threads() -> None:
    def blocks(args: Any, context: ToolContext) -> dict[str, Any]:
        time.sleep(0.01)
        return {"thread": threading.current_thread() is not threading.main_thread(), "id": context.call_id}

    its = await Session(tools=[tool("t", blocks)]).started()
    answered = asyncio.Event()
    its.manager.on("realtime:tool:result", answered.set)
    trace = Trace(its.manager)
    its.client.tell(ToolCalled("c", "t", "{}"))
    await asyncio.wait_for(answered.wait(), 30.0)
    assert trace.of("realtime:tool:result")[0].output == {"thread": True, "id": "c"}
    await its.manager.aclose()
