"""Any course of starts, updates, stops, losses and recoveries, in virtual time, keeps what is promised.

A stop wins, one patch is in flight, the newest config wins, nothing is told after a stop, no tool call is
answered twice; and nobody waits for ever, and nothing is left running. Connecting, updating and disconnecting
take their time, which differs from course to course; what the rules are about is counted, and has to have
happened.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from avatarkit_rtc.errors import RealtimeError, RealtimeServerError
from avatarkit_rtc.integrations.realtime import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.core.tables import RECONNECT_DELAYS_MS, Input, Phase
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

AT_LEAST = 5
"""Times that each of :data:`SITUATIONS` has to have come about in all courses together."""

SITUATIONS = {
    "a stop in a patch": (Phase.PATCHING, Input.STOP),
    "a loss in a patch": (Phase.PATCHING, Input.LOST),
    "a stop while starting": (Phase.STARTING, Input.STOP),
    "a stop before an attempt to come back": (Phase.WAITING, Input.STOP),
    "a stop in an attempt to come back": (Phase.RECOVERING, Input.STOP),
    "an attempt that succeeds": (Phase.RECOVERING, Input.OPENED),
    "an attempt that fails": (Phase.RECOVERING, Input.OPEN_FAILED),
    "the last attempt fails": (Phase.RECOVERING, Input.EXHAUSTED),
    "an update while starting": (Phase.STARTING, Input.UPDATE),
    "an update in an attempt to come back": (Phase.RECOVERING, Input.UPDATE),
    "an update in a patch": (Phase.PATCHING, Input.UPDATE),
}
"""What the rules are about: an input in a phase, whether or not it moves the session on."""

happened: Counter[tuple[Phase, Input]] = Counter()

WAITS = st.sampled_from([0.0, 0.0, 0.01, 0.3, 0.5, 1.0, 3.0])
DURATIONS = st.sampled_from([0.01, 0.4, 0.4, 2.0, 12.0, 1e6])


class Step(NamedTuple):
    what: str
    wait_s: float
    """Before it."""
    number: int
    """Which call, which response; of a plan, whether it fails."""
    takes_s: float
    then_s: float = 0.3
    """Between the two of a pair."""


STEP_NAMES = (
    *("start", "start", "update", "update", "update", "stop", "cancel start"),
    *("lose", "lose", "lose", "never back", "end", "fatal", "call", "speak", "barge in"),
    *("plan connect", "plan update", "plan disconnect", "plan send_tool_result"),
    *("pair update stop", "pair update lose", "pair lose stop", "pair lose stop", "pair lose update"),
)
STEPS = st.builds(
    Step,
    st.sampled_from(STEP_NAMES),
    WAITS,
    st.integers(0, 3),
    DURATIONS,
    st.sampled_from([0.0, 0.1, 0.3, 0.6, 0.7]),
)


USUAL = st.fixed_dictionaries(
    {
        "connect": st.sampled_from([0.01, 0.4, 0.4, 2.0]),
        "update": st.sampled_from([0.01, 0.4, 2.0, 2.0]),
        "disconnect": st.sampled_from([0.0, 0.01, 1.0]),
    }
)
"""How long the client takes where a step does not say, in seconds."""

FAILING = st.lists(st.booleans(), max_size=6)
"""Which of the connects after the first one fail."""


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
        "call": [ToolCalled(f"call-{step.number}", tools[step.number], "{}")] * (1 + (step.takes_s > 1.0)),
        "speak": [*speech, AssistantDone("", response)] if step.takes_s > 1.0 else speech,
        "barge in": [SpeechStarted()],
    }
    return events[step.what]


class Course:
    """Takes the steps, and checks what must hold meanwhile."""

    def __init__(self, usual_s: dict[str, float]) -> None:
        self.its = Session(tools=[tool("slow", slow), tool("hangs", hangs, 2.0)])
        self.client, self.manager, self.trace = self.its.client, self.its.manager, self.its.trace
        self.newest: str | None = None
        self.voices = 0
        self.accepted = 0  # starts
        self.starts: list[asyncio.Task[None]] = []
        self.waiting: set[asyncio.Task[None]] = set()
        self.answered: list[tuple[str | None, str]] = []
        self.client.watch = self.watch
        self.client.usual_s = usual_s
        self.machine = self.manager._machine
        self.move, self.machine._move = self.machine._move, self.moves  # type: ignore[method-assign]

    def moves(self, cause: Input) -> None:
        if cause is not Input.UPDATE:  # which is counted where it is asked for
            happened[self.machine.phase, cause] += 1
        self.move(cause)

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
            case ["pair", first, second]:
                await self.pair(step, first, second)
            case ["never", "back"]:
                await self.never_back(step)
            case ["plan", method]:
                self.plan(step, method)
            case _ if self.client.connected:
                for event in happening(step):
                    self.client.tell(event)
        await settle(3)
        if self.machine.phase not in (Phase.PATCHING, Phase.RECOVERING, Phase.STARTING):
            at_once = self.client.at_once
            rule(at_once["connect"] == at_once["update"] == 0, "what nobody waits for goes on")

    def plan(self, step: Step, method: str) -> None:
        error = refused() if step.number == 0 else None
        # Lost in the very moment in which it is there, as far as that can be told.
        then = self.client.lose if (method, step.number) == ("connect", 1) else None
        self.client.plan(method, step.takes_s, error, then=then)

    async def pair(self, step: Step, first: str, second: str) -> None:
        """The second step in the middle of the first, of a session that is there."""
        if not self.client.connected:
            self.run(self.start())
        await asyncio.sleep(2.5)
        await self.take(step._replace(what=first, wait_s=0.0))
        await self.take(step._replace(what=second, wait_s=step.then_s))

    async def never_back(self, step: Step) -> None:
        """The connection is lost, and no attempt to come back succeeds."""
        self.client.plans["connect"].clear()
        for _ in RECONNECT_DELAYS_MS:
            self.client.plan("connect", min(step.takes_s, 0.4), refused())
        if self.client.connected:
            self.client.lose()
        await asyncio.sleep(15.0 if step.number else 0.0)

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
        happened[self.machine.phase, Input.UPDATE] += 1
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


def of_each_situation() -> Iterator[list[Step]]:
    """Courses in which the situations come about, whatever is drawn."""
    for later_s in (0.01, 0.05, 0.1, 0.2, 0.3):
        for *first, (last, wait_s) in (
            [("stop", 0.0)],
            [("update", 0.0)],
            [("update", 1.0), ("stop", 0.0)],
            [("update", 1.0), ("lose", 0.0)],
            [("update", 1.0), ("update", 0.0)],
            [("lose", 1.0), ("stop", 0.0)],
            [("lose", 1.0), ("stop", 0.5)],
            [("lose", 1.0), ("update", 0.5)],
            [("never back", 1.0), ("start", 0.0)],
        ):
            yield [Step(what, wait, 1, 0.4) for what, wait in (*first, (last, wait_s + later_s))]


def test_whatever_happens_when() -> None:
    happened.clear()
    run_course = any_course
    for steps in of_each_situation():
        run_course = example({"connect": 0.4, "update": 0.4, "disconnect": 0.0}, [], steps)(run_course)
    run_course()
    rare = {name: happened[what] for name, what in SITUATIONS.items() if happened[what] < AT_LEAST}
    assert rare == {}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(USUAL, FAILING, st.lists(STEPS, min_size=5, max_size=20))
def any_course(usual_s: dict[str, float], failing: list[bool], steps: list[Step]) -> None:
    async def main() -> None:
        course = Course(dict(usual_s))
        await course.take(FIRST)
        for fails in failing:
            course.client.plan("connect", usual_s["connect"], refused() if fails else None)
        for step in steps:
            await course.take(step)
        await course.finish()

    with virtual_time() as run:
        run(main())
