"""Any course of starts, updates, stops, losses and recoveries, in virtual time, keeps what is promised.

A stop wins, one patch is in flight, the newest config wins, nothing is told after a stop, no tool call is
answered twice; and nobody waits for ever, and nothing is left running.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatarkit_rtc.errors import RealtimeError, RealtimeServerError
from avatarkit_rtc.integrations.realtime import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDelta,
    AssistantDone,
    AudioDelta,
    ClientEvent,
    ConnectionLost,
    ErrorReported,
    SessionEnded,
    SpeechStarted,
    ToolCalled,
)
from tests.integrations.realtime.conftest import Session
from tests.support.realtime import refused, rule, settle, tool, virtual_time

WAITS = st.sampled_from([0.0, 0.0, 0.01, 0.3, 0.5, 1.0, 3.0])
DURATIONS = st.sampled_from([0.01, 0.4, 0.4, 2.0, 12.0, 1e6])


class Step(NamedTuple):
    what: str
    wait_s: float
    """Before it."""
    number: int
    """Which call, which response; of a plan, whether it fails."""
    takes_s: float


STEP_NAMES = (
    *("start", "start", "update", "update", "update", "stop", "cancel start"),
    *("lose", "lose", "lose", "end", "fatal", "call", "speak", "barge in"),
    *(
        "plan connect",
        "plan connect",
        "plan update",
        "plan update",
        "plan disconnect",
        "plan send_tool_result",
    ),
)
STEPS = st.builds(
    Step,
    st.sampled_from(STEP_NAMES),
    WAITS,
    st.integers(0, 3),
    DURATIONS,
)


async def slow(args: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0.4)
    return {"success": True}


async def hangs(args: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(1e6)
    return {}


FIRST = Step("start", 0.0, 0, 0.0)


def happening(step: Step) -> list[ClientEvent]:
    """What the client tells."""
    response = f"r{step.number}"
    speech: list[ClientEvent] = [
        AssistantDelta("word", response),
        AudioDelta(b"\0\x40" * 4800, 24000, response, "i"),
    ]
    tools = ("slow", "hangs", "unknown", "slow")
    events: dict[str, list[ClientEvent]] = {
        "lose": [ConnectionLost("failed")],
        "end": [SessionEnded()],
        "fatal": [ErrorReported(RealtimeServerError("over"), recoverable=False)],
        "call": [ToolCalled(f"call-{step.number}", tools[step.number], "{}")],
        "speak": [*speech, AssistantDone("", response)] if step.takes_s > 1.0 else speech,
        "barge in": [SpeechStarted()],
    }
    return events[step.what]


class Course:
    """Takes the steps, and checks what must hold meanwhile."""

    def __init__(self) -> None:
        self.its = Session(tools=[tool("slow", slow), tool("hangs", hangs, 2.0)])
        self.client, self.manager, self.trace = self.its.client, self.its.manager, self.its.trace
        self.newest: str | None = None
        self.voices = 0
        self.accepted = 0  # starts
        self.starts: list[asyncio.Task[None]] = []
        self.waiting: set[asyncio.Task[None]] = set()
        self.answered: list[tuple[str | None, str]] = []
        self.client.watch = self.watch

    def watch(self, method: str, argument: Any) -> None:
        """The manager calls the client."""
        # That connect, update and disconnect are one at a time is checked by the client itself.
        if method == "send_tool_result":
            answer = (self.manager.session_id, argument[0])
            rule(answer not in self.answered, "a call answered twice")
            rule(self.manager.get_state().connection == "connected", "a call answered without a connection")
            self.answered.append(answer)

    async def take(self, step: Step) -> None:
        await asyncio.sleep(step.wait_s)
        match step.what.split():
            case ["start"]:
                self.starts.append(self.run(self.start()))
            case ["update"]:
                self.run(self.update())
            case ["stop"]:
                self.run(self.stop())
            case ["cancel", "start"]:
                if self.starts:
                    self.starts.pop().cancel()
            case ["plan", method]:
                error = refused() if step.number == 0 else None
                # Lost in the very moment in which it is there, as far as that can be told.
                then = self.client.lose if (method, step.number) == ("connect", 1) else None
                self.client.plan(method, step.takes_s, error, then=then)
            case _ if self.client.connected:
                for event in happening(step):
                    self.client.tell(event)
        await settle(3)

    async def start(self) -> None:
        self.voices += 1
        config = RealtimeSessionConfig(voice=f"v{self.voices}")
        if self.manager.get_state().session.status in ("idle", "stopped"):
            self.newest = config.voice
            self.accepted += 1
        await self.manager.start_session(config)

    async def update(self) -> None:
        self.voices += 1
        self.newest = f"v{self.voices}"
        await self.manager.update_session(RealtimeSessionConfig(voice=self.newest))

    async def stop(self) -> None:
        """A stop wins: it ends without a session, and nothing more is told unless somebody starts again."""
        accepted = self.accepted
        try:
            await self.manager.stop_session()
        finally:
            if self.accepted == accepted:
                state = self.manager.get_state()
                rule(state.session.status in ("idle", "stopped"), "a session after a stop")
                rule(state.session.config is None, "a config after a stop")
                rule(not self.client.connected, "a connection after a stop")
                rule(not state.audio_playing, "a voice after a stop")

    def run(self, work: Any) -> asyncio.Task[None]:
        async def waited() -> None:
            with contextlib.suppress(RealtimeError):
                await work

        task = asyncio.create_task(waited())
        self.waiting.add(task)
        task.add_done_callback(self.waiting.discard)
        return task

    async def finish(self) -> None:
        """Let everything come to rest. What is wanted is what the provider was given last."""
        self.client.plans.clear()
        await asyncio.sleep(200.0)
        assert self.waiting == set(), "somebody waits for ever"
        state = self.manager.get_state()
        assert state.connection in ("idle", "connected", "error")
        assert self.client.connected == (state.connection == "connected")
        if state.connection == "connected":
            given = [argument for method, argument in self.client.calls if method in ("connect", "update")]
            assert given[-1].voice == self.newest
            assert state.session.config in given
        self.check_events()
        await self.manager.stop_session()
        told = len(self.trace.events)
        self.client.tell(AssistantDelta("late", "late"), ToolCalled("late", "slow", "{}"))
        await asyncio.sleep(200.0)
        assert len(self.trace.events) == told, "told after the stop"

    def check_events(self) -> None:
        events = self.trace.events
        running, over = False, True
        for name, payload in events:
            status = payload.state.session.status if name == "realtime:state" else None
            if over:  # nothing is told of what is over
                assert name in ("realtime:state", "realtime:session:end", "realtime:error"), name
                assert name != "realtime:session:end" or running
            if status is not None:
                over = status in ("idle", "stopped")
            if name == "realtime:session:start":
                assert not running
                running = True
            elif name == "realtime:session:end":
                assert running
                running = False
            elif name == "realtime:state" and payload.state.connection == "error":
                running = False


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=5, max_size=20))
def test_whatever_happens_when(steps: list[Step]) -> None:
    async def main() -> None:
        course = Course()
        await course.take(FIRST)
        for step in steps:
            await course.take(step)
        await course.finish()

    with virtual_time() as run:
        run(main())
