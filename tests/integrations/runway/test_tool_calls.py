"""Runway's tool calls by real RPC on a LiveKit server: who may call, what comes back, what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from livekit import rtc

from avatarkit_rtc.errors import ToolCallError, ToolReplyError, ToolTimeoutError
from avatarkit_rtc.integrations.runway import RpcHandlerStats, Tool
from avatarkit_rtc.testing.runway_api import StandInRunwayApi
from tests.integrations.runway.conftest import Start
from tests.support.livekit import LiveKitServer, until
from tests.support.room_peer import Peer
from tests.support.runway import APPLICATION_ERROR, KEY, EndlessTool, Worker, echo, plain


def around(args: Any) -> Any:
    """A plain function that returns what has to be awaited."""
    return echo(args)


class TestAnswers:
    async def test_each_tool_is_a_method_of_its_name(self, start: Start) -> None:
        handler, worker = await start({"echo": echo, "plain": plain, "around": around})
        assert await worker.call("echo", {"a": 1}) == {"got": {"a": 1}}
        assert await worker.call("plain", [1]) == {"thread": True, "got": [1]}
        assert await worker.call("around", "x") == {"got": "x"}
        assert handler.connected
        assert handler.stats() == RpcHandlerStats(3, 3, 0, 0, 0, 0)

    async def test_the_reply_is_the_json_of_the_result(self, start: Start) -> None:
        results = {"text": "süß \ud83d", "none": None, "list": [1, {"a": 2.5}], "empty": {}}
        _, worker = await start({name: lambda _, value=value: value for name, value in results.items()})
        assert await worker.call_text("list") == '[1,{"a":2.5}]'
        assert await worker.call_text("none") == "null"
        assert await worker.call_text("empty") == "{}"
        assert await worker.call("text") == "süß \ud83d"

    async def test_args_missing_means_the_whole_payload(self, start: Start) -> None:
        _, worker = await start({"echo": echo})
        assert await worker.call("echo", payload='{"city": "Oslo"}') == {"got": {"city": "Oslo"}}
        assert await worker.call("echo", payload='{"args": null, "b": 1}') == {"got": None}
        assert await worker.call("echo", payload="[1]") == {"got": [1]}
        assert await worker.call("echo", payload="0") == {"got": 0}

    async def test_unknown_tool(self, start: Start) -> None:
        _, worker = await start({"echo": echo})
        assert (await worker.refusal("other"))[0] == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD

    async def test_fifty_calls_at_once(self, start: Start) -> None:
        most = running = 0

        async def slow(args: Any) -> Any:
            nonlocal most, running
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.02)
            running -= 1
            return args

        handler, worker = await start({"slow": slow}, max_calls_at_once=7)
        answers = await asyncio.gather(*(worker.call("slow", number) for number in range(50)))
        assert answers == list(range(50))
        assert most == 7
        assert handler.stats() == RpcHandlerStats(50, 50, 0, 0, 0, 0)

    async def test_more_than_may_wait_are_refused(self, start: Start) -> None:
        go = asyncio.Event()

        async def slow(args: Any) -> Any:
            await go.wait()
            return args

        handler, worker = await start({"slow": slow}, max_calls_at_once=2, max_calls_waiting=1)
        calls = [asyncio.create_task(worker.call("slow", n)) for n in range(6)]
        await until(lambda: handler.stats().refused == 3, "three refusals")
        assert (handler.stats().running, handler.stats().waiting) == (2, 1)
        go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, rtc.RpcError)]
        assert [(e.code, e.message) for e in refused] == [
            (APPLICATION_ERROR, "Too many tool calls at once; try again later")
        ] * 3


class TestRefusals:
    async def test_caller_that_is_no_worker(
        self, start: Start, api: StandInRunwayApi, livekit_server: LiveKitServer
    ) -> None:
        handler, worker = await start({"echo": echo})
        room_name = next(iter(api.sessions.values())).room_name
        async with Peer(livekit_server, room_name, "mallory") as peer:
            stranger = Worker(peer.room, handler)
            # The caller is looked at first: neither of them learns what is wrong with the payload.
            for payload in ('{"args": 1}', "no json"):
                assert await stranger.refusal("echo", payload=payload) == (
                    APPLICATION_ERROR,
                    "Unauthorized caller: mallory",
                )
        assert await worker.call("echo", 1) == {"got": 1}
        assert handler.stats() == RpcHandlerStats(3, 1, 2, 0, 0, 0)

    async def test_bad_json_and_null(self, start: Start) -> None:
        called: list[Any] = []
        _, worker = await start({"tool": called.append})
        for payload in ("", "{", "null", " null ", "nonsense", "NaN", '{"args": Infinity}', "[" * 5000):
            said = await worker.refusal("tool", payload=payload)
            assert said == (APPLICATION_ERROR, "Invalid JSON payload"), payload
        assert called == []

    async def test_arguments_that_do_not_fit_the_schema(self, start: Start) -> None:
        schema = {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/days"}},
            "required": ["city"],
            "additionalProperties": False,
            "$defs": {"days": {"type": "integer", "minimum": 1}},
        }
        called: list[Any] = []

        def note(args: Any) -> str:
            called.append(args)
            return "ok"

        errors: list[Exception] = []
        _, worker = await start({"weather": Tool(note, schema=schema)}, on_error=errors.append)
        assert await worker.call("weather", {"city": "Oslo", "days": 2}) == "ok"
        code, said = await worker.refusal("weather", {"city": "Oslo", "days": 0})
        assert code == APPLICATION_ERROR
        assert said == "Invalid arguments: $.days: 0 is less than the minimum of 1"
        _, said = await worker.refusal("weather", {})
        assert said == "Invalid arguments: $: 'city' is a required property"
        assert called == [{"city": "Oslo", "days": 2}]
        assert errors == []


class TestToolsThatFail:
    async def test_handler_that_raises(self, start: Start, caplog: pytest.LogCaptureFixture) -> None:
        async def broken(args: Any) -> Any:
            raise LookupError("no such city")

        def wordless(args: Any) -> Any:
            raise ZeroDivisionError

        def leaves(args: Any) -> Any:
            raise SystemExit(3)

        class MuteError(Exception):
            def __str__(self) -> str:
                raise ValueError("nothing to say")

        def mute(args: Any) -> Any:
            raise MuteError

        errors: list[ToolCallError] = []
        tools = {"broken": broken, "wordless": wordless, "leaves": leaves, "mute": mute}
        handler, worker = await start(tools, on_error=errors.append)
        assert await worker.refusal("broken") == (APPLICATION_ERROR, "no such city")
        assert await worker.refusal("wordless") == (APPLICATION_ERROR, "ZeroDivisionError")
        assert await worker.refusal("leaves") == (APPLICATION_ERROR, "the tool raised SystemExit")
        assert await worker.refusal("mute") == (APPLICATION_ERROR, "MuteError")
        assert [error.tool for error in errors] == ["broken", "wordless", "leaves", "mute"]
        assert isinstance(errors[0].__cause__, LookupError)
        assert errors[0].code == "tool-failed"
        assert handler.stats() == RpcHandlerStats(4, 0, 0, 4, 0, 0)

    async def test_message_longer_than_livekit_takes(self, start: Start) -> None:
        def broken(args: Any) -> Any:
            raise ValueError("ü" * 200)

        _, worker = await start({"broken": broken})
        _, said = await worker.refusal("broken")
        assert said.startswith("ü" * 100)
        assert said.endswith("ü…")
        assert len(said.encode()) <= 256

    async def test_handler_that_takes_too_long(self, start: Start) -> None:
        slow = EndlessTool()
        errors: list[Exception] = []
        handler, worker = await start(
            {"slow": Tool(slow, timeout_s=0.1), "usual": slow}, tool_timeout_s=0.2, on_error=errors.append
        )
        code, said = await worker.refusal("slow")
        assert (code, said) == (
            APPLICATION_ERROR,
            "tool 'slow' did not end within 0.1 s; make it faster, or allow more time",
        )
        assert slow.cancelled.is_set()
        assert "within 0.2 s" in (await worker.refusal("usual"))[1]
        assert [type(error) for error in errors] == [ToolTimeoutError, ToolTimeoutError]
        await until(lambda: handler.stats().running == 0, "the places to be free")

    async def test_thread_that_takes_too_long_keeps_its_place(self, start: Start) -> None:
        go = threading.Event()

        def slow(args: Any) -> Any:
            go.wait(20)

        handler, worker = await start({"slow": slow}, tool_timeout_s=0.1, max_calls_at_once=1)
        try:
            assert "did not end" in (await worker.refusal("slow"))[1]
            assert handler.stats().running == 1
        finally:
            go.set()
        await until(lambda: handler.stats().running == 0, "the thread's end")

    async def test_caller_that_does_not_wait(self, start: Start) -> None:
        slow = EndlessTool()
        handler, worker = await start({"slow": slow})
        code, _ = await worker.refusal("slow", timeout_s=0.3)
        assert code == rtc.RpcError.ErrorCode.RESPONSE_TIMEOUT
        await asyncio.wait_for(slow.cancelled.wait(), 20)
        await until(lambda: handler.stats().running == 0, "the place to be free")

    async def test_reply_over_livekits_limit(self, start: Start) -> None:
        errors: list[Exception] = []
        _, worker = await start({"text": lambda size: "x" * size}, on_error=errors.append)
        assert len(await worker.call_text("text", 15358)) == 15360
        code, said = await worker.refusal("text", 15359)
        assert code == rtc.RpcError.ErrorCode.RESPONSE_PAYLOAD_TOO_LARGE == 1504
        assert said == (
            "Response payload too large: tool 'text' returned 15361 bytes, and at most 15360 can be sent; "
            "return less"
        )
        assert [type(error) for error in errors] == [ToolReplyError]
        assert str(errors[0]) == said

    async def test_result_that_is_no_json(self, start: Start) -> None:
        errors: list[Exception] = []
        results = {"object": object(), "set": {1, 2}, "number": float("nan")}
        tools = {name: lambda _, result=result: result for name, result in results.items()}
        _, worker = await start(tools, on_error=errors.append)
        for name in results:
            code, said = await worker.refusal(name)
            assert code == APPLICATION_ERROR
            assert said.startswith(f"the result of tool '{name}' is no JSON: ")
        assert [type(error) for error in errors] == [ToolReplyError] * 3


class TestSecrets:
    async def test_nothing_of_a_call_and_no_secret_is_logged(
        self, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        _, worker = await start({"echo": echo}, debug=True)
        await worker.call("echo", {"pin": "hunter2"})
        assert any("call of 'echo' answered" in record.getMessage() for record in caplog.records)
        ours = "\n".join(
            record.getMessage() for record in caplog.records if record.name.startswith("avatarkit_rtc")
        )
        assert "hunter2" not in ours
        assert KEY not in caplog.text
