"""The course of tool calls: order, and that each is answered at most once."""

from __future__ import annotations

import math
from typing import Any

import pytest

from avatarkit_rtc.errors import RealtimeTransportError, ToolCallError
from avatarkit_rtc.integrations.realtime.core.effects import (
    DropTools,
    Effect,
    Emit,
    Log,
    Project,
    RunTool,
    SendToolResult,
)
from avatarkit_rtc.integrations.realtime.core.tool_calls import REMEMBERED, ToolCalls
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistry
from avatarkit_rtc.integrations.realtime.events import ToolCalled
from tests.support.realtime import tool

BROKEN = RealtimeTransportError("broken")


@pytest.fixture
def calls() -> ToolCalls:
    registry = ToolRegistry()
    registry.register(tool("wave", print, hand={"type": "string"}, required=["hand"]))
    return ToolCalls(registry)


def call(call_id: str | None = "c", arguments: str = '{"hand": "left"}', name: str = "wave") -> ToolCalled:
    return ToolCalled(call_id, name, arguments)


def kinds(effects: list[Effect]) -> list[str]:
    return [effect.event if isinstance(effect, Emit) else type(effect).__name__ for effect in effects]


def only(effects: list[Effect], kind: type) -> Any:
    (found,) = [effect for effect in effects if isinstance(effect, kind)]
    return found


def running(calls: ToolCalls, call_id: str = "c") -> int:
    serial: int = only(calls.called(call(call_id)), RunTool).serial
    return serial


def test_success_is_sent_then_told_then_projected(calls: ToolCalls) -> None:
    effects = calls.called(call())
    assert kinds(effects) == ["realtime:tool:call", "Log", "RunTool"]
    emit, run = effects[0], only(effects, RunTool)
    assert isinstance(emit, Emit)
    assert (emit.payload.name, emit.payload.args, emit.payload.call_id) == ("wave", {"hand": "left"}, "c")
    assert (run.args, run.call_id) == ({"hand": "left"}, "c")
    effects = calls.returned(run.serial, {"ok": 1})
    assert effects == [SendToolResult(run.serial, "c", {"ok": 1})]
    effects = calls.sent(run.serial)
    assert kinds(effects) == ["realtime:tool:result", "Project", "Log"]
    assert isinstance(effects[0], Emit)
    assert (effects[0].payload.output, effects[0].payload.call_id) == ({"ok": 1}, "c")
    assert effects[1] == Project("wave", {"ok": 1}, "c")


def failing(effects: list[Effect]) -> str:
    """That a failure was told and then sent; its text."""
    end = [effect for effect in effects if not isinstance(effect, Log)]
    assert kinds(end)[-2:] == ["realtime:tool:error", "SendToolResult"]
    told, send = end[-2], end[-1]
    assert isinstance(told, Emit)
    assert isinstance(send, SendToolResult)
    assert send.output == {"success": False, "error": str(told.payload.error)}
    return str(told.payload.error)


def test_a_tool_that_fails(calls: ToolCalls) -> None:
    serial = running(calls)
    assert failing(calls.failed(serial, ValueError("no hand"))) == "no hand"
    assert calls.sent(serial) == []


def test_an_unknown_tool(calls: ToolCalls) -> None:
    effects = calls.called(call(name="dance"))
    assert kinds(effects)[0] == "realtime:tool:call"
    assert failing(effects) == 'No realtime tool registered for "dance"'


def test_arguments_that_do_not_fit(calls: ToolCalls) -> None:
    start = 'Realtime tool "wave" arguments failed schema validation: '
    assert failing(calls.called(call("1", "{}"))) == start + 'missing required property "hand"'
    assert failing(calls.called(call("2", "[]"))) == start + "arguments must be an object"
    effects = calls.called(call("3", "{broken"))
    assert failing(effects) == start + "arguments must be an object"
    assert isinstance(effects[0], Emit)
    assert effects[0].payload.args == "{broken"


def test_a_schema_that_changes_to_nonsense_after_it_was_registered() -> None:
    registry = ToolRegistry()
    registry.register(changed := tool("wave", print))
    changed.definition.parameters["required"] = [["a"]]  # type: ignore[index]
    calls = ToolCalls(registry)
    effects = calls.called(call())
    assert kinds(effects) == ["realtime:tool:call", "Log", "realtime:tool:error", "SendToolResult"]
    assert calls.drop(lost=False) == [DropTools((1,))]


@pytest.mark.parametrize("result", [None, 5, "text", ["list"], True])
def test_a_result_that_is_no_object(calls: ToolCalls, result: Any) -> None:
    assert failing(calls.returned(running(calls), result)) == 'Realtime tool "wave" must return an object'


@pytest.mark.parametrize("result", [{"a": object()}, {"a": math.nan}, {1: {2}}])
def test_a_result_that_is_no_json(calls: ToolCalls, result: Any) -> None:
    said = failing(calls.returned(running(calls), result))
    assert said.startswith('Realtime tool "wave" result could not be serialized to JSON')


def test_a_result_that_changes_afterwards_is_told_as_it_was_sent(calls: ToolCalls) -> None:
    result = {"list": [1]}
    serial = running(calls)
    calls.returned(serial, result)
    result["list"].append(2)
    told = calls.sent(serial)[0]
    assert isinstance(told, Emit)
    assert told.payload.output == {"list": [1]}


def test_a_call_without_an_id_cannot_be_answered(calls: ToolCalls) -> None:
    effects = calls.called(call(None))
    assert kinds(effects) == ["realtime:tool:call", "Log", "realtime:tool:error"]
    assert isinstance(effects[2], Emit)
    assert str(effects[2].payload.error) == 'Tool "wave" is missing a call ID'


@pytest.mark.parametrize("ended", [False, True])
def test_a_call_that_comes_again_is_not_carried_out_again(calls: ToolCalls, ended: bool) -> None:
    serial = running(calls)
    if ended:
        calls.returned(serial, {})
        calls.sent(serial)
    (log,) = calls.called(call())
    assert isinstance(log, Log)


def test_its_id_is_another_sessions_after_that(calls: ToolCalls) -> None:
    running(calls)
    calls.drop(lost=False)
    calls.begin()
    running(calls)


def test_ids_are_remembered_up_to_a_bound(calls: ToolCalls) -> None:
    for number in range(REMEMBERED + 1):
        calls.called(call(str(number), name="dance"))
        calls.sent(number + 1)
    running(calls, "0")
    assert kinds(calls.called(call("2"))) == ["Log"]


def test_a_result_that_cannot_be_sent_is_told_and_not_answered_again(calls: ToolCalls) -> None:
    serial = running(calls)
    calls.returned(serial, {})
    assert kinds(calls.send_failed(serial, BROKEN)) == ["Log", "realtime:tool:error"]
    assert calls.sent(serial) == calls.send_failed(serial, BROKEN) == []


@pytest.mark.parametrize("phase", ["running", "answering", "refusing"])
@pytest.mark.parametrize("lost", [False, True])
def test_calls_that_are_open_are_dropped(calls: ToolCalls, phase: str, lost: bool) -> None:
    serial = running(calls)
    if phase == "answering":
        calls.returned(serial, {})
    elif phase == "refusing":
        calls.failed(serial, ToolCallError("no", tool="wave"))
    effects = calls.drop(lost=lost)
    told = ["Log", "realtime:tool:error"] if lost and phase != "refusing" else []
    assert kinds(effects) == [*told, "DropTools"]
    assert effects[-1] == DropTools((serial,))
    if told:
        assert isinstance(effects[1], Emit)
        said = 'Realtime tool "wave" is not answered: the connection was lost'
        assert str(effects[1].payload.error) == said
    late: list[list[Effect]] = [
        calls.returned(serial, {}),
        calls.failed(serial, BROKEN),
        calls.sent(serial),
        calls.send_failed(serial, BROKEN),
        calls.drop(lost=True),
    ]
    assert late == [[], [], [], [], []]
