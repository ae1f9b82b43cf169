"""The manager against a server on a real socket at which things go wrong: what is told, and in which order.

Nothing may be left over. The clock is virtual, so the delays before reconnects are the documented ones and
take no time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from avatarkit_rtc.errors import RealtimeError, RealtimeServerError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime import (
    RealtimeManager,
    RealtimeSessionConfig,
    ToolRegistration,
    WebSocketRealtimeClient,
)
from avatarkit_rtc.testing.realtime import NOISE, Call, Fault, Reply, StandInRealtimeServer
from tests.support.realtime import PatientLoop, Trace, tool, virtual_time

pytest.importorskip(
    "aiohttp", reason="the realtime clients need aiohttp: pip install 'avatarkit-rtc[realtime]'"
)

ATTEMPT, SUCCESS = "realtime:reconnect:attempt", "realtime:reconnect:success"
CALL, RESULT, FAILURE = "realtime:tool:call", "realtime:tool:result", "realtime:tool:error"
VOICE = ("tts:audio:start", "tts:audio:end", "tts:lipsync:update")
WORDS = ("realtime:assistant:delta", "realtime:text:delta", "realtime:state", "realtime:usage")
SPOKEN = Reply("Hello there, how are you?", seconds=1.0)


class Live:
    """A session on the stand-in server."""

    def __init__(self, server: StandInRealtimeServer, manager: RealtimeManager) -> None:
        self.server, self.manager = server, manager
        self.trace = Trace(manager)

    async def until(self, name: str, count: int = 1) -> Any:
        """Wait for the ``count``-th event of that name; its payload."""
        changed = asyncio.Event()
        self.manager.on(name, lambda _: changed.set())
        async with asyncio.timeout(100.0):
            while len(self.trace.of(name)) < count:
                changed.clear()
                await changed.wait()
        return self.trace.of(name)[count - 1]

    async def quiet(self, seconds: float = 5.0) -> None:
        """Let time pass, with whatever happens in it."""
        await asyncio.sleep(seconds)

    def told(self, *but: str) -> list[str]:
        """Events, without those of voice, words and state."""
        return self.trace.but(*VOICE, *WORDS, *but)


@asynccontextmanager
async def live(*tools: ToolRegistration, replies: tuple[Reply, ...] = (SPOKEN,)) -> AsyncIterator[Live]:
    async with StandInRealtimeServer(replies=replies) as server:
        client = WebSocketRealtimeClient(server.url, key=server.key)
        async with RealtimeManager(client, tools=tools) as manager:
            await manager.start_session()
            session = Live(server, manager)
            yield session
            await manager.stop_session()
            told = len(session.trace.events)
            await session.quiet()
            assert len(session.trace.events) == told, "told after the stop"
            assert all(connection.closed for connection in server.connections)


@pytest.fixture
def run() -> Iterator[Callable[[Awaitable[None]], None]]:
    """``run(coroutine)`` in virtual time; no task and no thread may be left."""
    threads = threading.active_count()
    with virtual_time(PatientLoop) as runner:
        yield runner  # type: ignore[misc]
    gc.collect()
    assert threading.active_count() <= threads


Run = Callable[[Awaitable[None]], None]


def test_lost_in_the_middle_of_a_response(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            its.server.fail("speech", Fault("drop", after=3))
            await its.manager.send_message("hello")
            await its.until(SUCCESS)
            assert its.told() == ["realtime:assistant:start", ATTEMPT, SUCCESS]
            response = its.manager.get_state().response
            assert response.status == "interrupted"
            assert response.text
            assert SPOKEN.text.startswith(response.text)
            assert len(its.server.connections) == 2
            await its.quiet()
            assert its.manager.get_state().response == response  # not resumed
            its.trace.clear()
            await its.manager.send_message("again?")
            await its.until("realtime:assistant:done")

    run(main())


@pytest.mark.parametrize("moment", ["call", "called"])
def test_lost_in_a_tool_call(run: Run, moment: str) -> None:
    async def main() -> None:
        answers = []

        async def slow(args: Any) -> dict[str, Any]:
            await asyncio.sleep(2.0)
            answers.append(args)
            return {}

        reply = Reply("", seconds=0, calls=(Call("slow", {"a": "text of some length"}, "call-1"),))
        async with live(tool("slow", slow), replies=(reply,)) as its:
            its.server.fail(moment, Fault("drop"))
            await its.manager.send_message("hello")
            await its.until(SUCCESS)
            await its.quiet(20.0)
            told = its.told("realtime:assistant:start", "realtime:assistant:done")
            if moment == "called":  # it ran already
                assert told == [CALL, FAILURE, ATTEMPT, SUCCESS]
                error = its.trace.of(FAILURE)[0].error
                assert isinstance(error, RealtimeTransportError)
            else:
                assert told == [ATTEMPT, SUCCESS]
            assert answers == []
            sent = [
                event for each in its.server.connections for event in each.events("conversation.item.create")
            ]
            assert [event["item"]["type"] for event in sent] == ["message"]

    run(main())


def test_lost_in_a_patch(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            its.server.fail("patch", Fault("drop"))
            await its.manager.update_session(RealtimeSessionConfig(voice="cedar"))  # remembered
            await its.until(SUCCESS)
            assert its.told() == [ATTEMPT, SUCCESS]
            config = its.manager.get_state().session.config
            assert config is not None
            assert config.voice == "cedar"
            assert "cedar" in str(its.server.connection.events("session.update")[-1])

    run(main())


def test_a_patch_that_the_server_refuses(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            before = its.manager.get_state().session
            its.server.fail("patch", Fault("error"))
            with pytest.raises(RealtimeServerError):
                await its.manager.update_session(RealtimeSessionConfig(voice="none"))
            assert its.told() == ["realtime:error"]
            assert its.trace.shown()[-1] == ("connected", "active")
            assert its.manager.get_state().session == before

    run(main())


def test_a_patch_that_is_never_answered(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            its.server.fail("patch", Fault("hang"))
            with pytest.raises(RealtimeTransportError):
                await its.manager.update_session(RealtimeSessionConfig(voice="none"))
            assert its.told()[0] == "realtime:error"

    run(main())


def test_five_failed_reconnects(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            loop, at = asyncio.get_running_loop(), []
            its.manager.on(ATTEMPT, lambda _: at.append(loop.time()))
            its.server.refuse(503, times=5)
            its.server.connection.drop()
            exhausted = await its.until("realtime:reconnect:exhausted")
            at.append(loop.time())
            assert its.trace.but("realtime:state") == [ATTEMPT] * 5 + [
                "realtime:reconnect:exhausted",
                "realtime:error",
            ]
            delays = [500, 1000, 2000, 4000, 5000]
            assert [each.delay_ms for each in its.trace.of(ATTEMPT)] == delays
            waited = [1000 * (after - before) for before, after in pairwise(at)]
            assert waited == pytest.approx(delays, abs=300)
            assert exhausted.attempts == 5
            assert exhausted.total_ms == pytest.approx(12500, abs=300)
            assert isinstance(exhausted.last_error, RealtimeServerError)
            assert its.trace.shown()[-1] == ("error", "stopped")
            assert its.server.refused == 5

    run(main())


def test_the_server_comes_back(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            its.server.refuse(503, times=2)
            its.server.connection.drop()
            success = await its.until(SUCCESS)
            assert its.trace.but("realtime:state") == [ATTEMPT, ATTEMPT, ATTEMPT, SUCCESS]
            assert (success.attempts, success.total_ms) == (3, pytest.approx(3500, abs=300))

    run(main())


def test_garbage_between_the_events(run: Run) -> None:
    async def main() -> None:
        async with live(replies=(Reply(" ".join(["word"] * 40), seconds=2.0),)) as its:
            its.server.noise = NOISE
            await its.manager.send_message("hello")
            done = await its.until("realtime:assistant:done")
            assert done.text == " ".join(["word"] * 40)
            told = its.told()
            assert (told[0], told[-1]) == ("realtime:assistant:start", "realtime:assistant:done")
            assert set(told[1:-1]) <= {"realtime:error"}
            for failure in its.trace.of("realtime:error"):
                assert isinstance(failure.error, RealtimeError)
            assert its.trace.shown()[-1] == ("connected", "active")
            assert len(its.server.connections) == 1

    run(main())


def test_a_message_that_is_too_large_costs_the_connection_not_the_session(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            await its.server.send(
                '{"type": "response.output_text.delta", "delta": "' + "x" * (5 << 20) + '"}'
            )
            await its.until(SUCCESS)
            assert its.told() == [ATTEMPT, SUCCESS]
            assert its.trace.of(ATTEMPT)[0].cause == "too-big"

    run(main())


def test_events_out_of_order(run: Run) -> None:
    async def main() -> None:
        async with live() as its:
            await its.manager.send_message("hello")
            await its.until("realtime:assistant:done")
            its.trace.clear()
            response = {"response_id": "resp_of_nobody", "item_id": "item_of_nobody"}
            for event in (
                {"type": "response.output_audio_transcript.delta", "delta": "late", **response},
                {"type": "response.done", "response": {"id": "resp_of_nobody", "status": "completed"}},
                {"type": "response.output_audio.delta", "delta": "AAAA", **response},
                {"type": "input_audio_buffer.speech_stopped", "item_id": "i", "audio_end_ms": 5},
                {"type": "session.updated", "session": {}},
            ):
                await its.server.send(event)
            await its.until("realtime:user:speech:end")
            told = its.told()
            # What is of no response that is known may begin and end one, and never more than that.
            assert told.count("realtime:assistant:start") == told.count("realtime:assistant:done") <= 1
            assert its.manager.get_state().response.status == "completed"
            its.trace.clear()
            await its.manager.send_message("still there?")
            await its.until("realtime:assistant:done")
            assert its.told()[:1] == ["realtime:assistant:start"]

    run(main())


async def hangs(args: Any) -> Any:
    await asyncio.sleep(1e6)


async def raises(args: Any) -> Any:
    raise ValueError("no such city")


async def returns_no_object(args: Any) -> Any:
    return ["no", "object"]


@pytest.mark.parametrize(
    ("handler", "said", "after_s"),
    [
        (hangs, 'Realtime tool "t" timed out after 10000ms', 10.0),
        (raises, "no such city", 0.0),
        (returns_no_object, 'Realtime tool "t" must return an object', 0.0),
    ],
)
def test_a_tool_that_fails(run: Run, handler: Callable[..., Any], said: str, after_s: float) -> None:
    async def main() -> None:
        replies = (Reply("", seconds=0, calls=(Call("t", {}, "call-1"),)), SPOKEN)
        async with live(tool("t", handler), replies=replies) as its:
            loop, at = asyncio.get_running_loop(), []
            for name in (CALL, FAILURE):
                its.manager.on(name, lambda _: at.append(loop.time()))
            await its.manager.send_message("hello")
            await its.until("realtime:assistant:done", 2)  # the model goes on
            told = its.told("realtime:assistant:start", "realtime:assistant:done")
            assert told == [CALL, FAILURE]
            assert str(its.trace.of(FAILURE)[0].error) == said
            assert at[1] - at[0] == pytest.approx(after_s, abs=0.3)
            items = [each["item"] for each in its.server.connection.events("conversation.item.create")]
            outputs = [item["output"] for item in items if item["type"] == "function_call_output"]
            assert [json.loads(output) for output in outputs] == [{"success": False, "error": said}]

    run(main())


def test_a_tool_that_succeeds(run: Run) -> None:
    async def main() -> None:
        async def weather(args: Any) -> dict[str, Any]:
            return {"celsius": 21, "city": args["city"]}

        replies = (Reply("", seconds=0, calls=(Call("weather", {"city": "Oslo"}, "call-1"),)), SPOKEN)
        async with live(tool("weather", weather), replies=replies) as its:
            await its.manager.send_message("how is the weather?")
            await its.until("realtime:assistant:done", 2)
            told = its.told("realtime:assistant:start", "realtime:assistant:done")
            assert told == [CALL, RESULT]
            assert its.trace.of(RESULT)[0].output == {"celsius": 21, "city": "Oslo"}

    run(main())


def test_the_user_speaks_into_a_response(run: Run) -> None:
    async def main() -> None:
        async with live(replies=(Reply("A long story.", seconds=10.0),)) as its:
            await its.manager.send_message("tell me a story")
            await its.until("tts:lipsync:update", 20)
            its.trace.clear()
            await its.server.speech_started()
            await its.until("realtime:user:speech:start")
            names = its.trace.but("tts:lipsync:update")
            assert names[:3] == ["tts:audio:end", "realtime:state", "realtime:user:speech:start"]
            assert its.manager.get_state().response.status == "interrupted"
            await its.server.wait_for("conversation.item.truncate")
            its.trace.clear()
            await its.quiet()
            assert its.trace.but("realtime:state", "realtime:usage") == []

    run(main())


def test_twenty_sessions_leave_nothing_behind(run: Run) -> None:
    async def main() -> None:
        async with StandInRealtimeServer() as server:
            manager = RealtimeManager(WebSocketRealtimeClient(server.url, key=server.key))
            for _ in range(20):
                await manager.start_session()
                await manager.stop_session()
            await manager.aclose()
            assert len(server.connections) == 20

    run(main())
