"""A realtime client without a network, a record of the manager's events, and a manager on a virtual clock."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, ParamSpec, TypeVar

from avatarkit_rtc.errors import RealtimeError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime import RealtimeManager, RealtimeSessionConfig, ToolDefinition
from avatarkit_rtc.integrations.realtime.client import EventHandler
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistration
from avatarkit_rtc.integrations.realtime.events import ClientEvent, ConnectionLost
from avatarkit_rtc.integrations.realtime.payloads import PAYLOADS
from tests.support.virtual_loop import VirtualLoop

T = TypeVar("T")
P = ParamSpec("P")

PATIENCE_S = 0.03
"""Real seconds in which nothing must have come on any socket before :class:`PatientLoop`'s clock jumps."""


_broken_rules: list[str] = []


def rule(holds: bool, text: str) -> None:
    """Something that must hold where a failed assertion would be taken for a failure of the client's.
    :func:`virtual_time` checks it."""
    if not holds:
        _broken_rules.append(text)


class Plan(NamedTuple):
    """How a client's next call of a method goes."""

    seconds: float = 0.0
    error: Exception | None = None
    then: Callable[[], None] | None = None
    """Called right before it returns."""


class FakeClient:
    """A :class:`~avatarkit_rtc.integrations.realtime.RealtimeClient` that does as it is told, and fails
    the test where the manager breaks the rules."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.plans: defaultdict[str, deque[Plan]] = defaultdict(deque)
        self.usual_s: dict[str, float] = {}
        """How long calls take that nothing is planned for, by method; 0 where nothing is said."""
        self.connected = self._lost = False
        self.handler: EventHandler | None = None
        self.at_once: defaultdict[str, int] = defaultdict(int)
        self.watch: Callable[[str, Any], None] = lambda method, argument: None
        """Is told of each call."""

    def plan(self, method: str, seconds: float = 0.0, error: Exception | None = None, **more: Any) -> None:
        """How its next call goes that nothing is planned for."""
        self.plans[method].append(Plan(seconds, error, **more))

    def named(self, method: str) -> list[Any]:
        """The arguments of its calls."""
        return [argument for name, argument in self.calls if name == method]

    @property
    def methods(self) -> list[str]:
        """What was called, in order."""
        return [name for name, _ in self.calls]

    def tell(self, *events: ClientEvent) -> None:
        """Something happens."""
        for event in events:
            if isinstance(event, ConnectionLost):
                self.connected, self._lost = False, True
            if self.handler is not None:
                self.handler(event)

    def lose(self, cause: str = "failed") -> None:
        """The connection breaks."""
        self.tell(ConnectionLost(cause, RealtimeTransportError(f"lost: {cause}")))

    def set_event_handler(self, handler: EventHandler | None) -> None:
        self.handler = handler

    async def connect(self, config: RealtimeSessionConfig) -> None:
        rule(not self.connected, "connect() on a connected client")
        self._lost = False
        await self._called("connect", config)
        self.connected = not self._lost

    async def update(self, config: RealtimeSessionConfig) -> None:
        self._require()
        await self._called("update", config)

    async def disconnect(self) -> None:
        try:
            await self._called("disconnect", None)
        finally:
            self.connected = False

    async def send_text(self, text: str) -> None:
        self._require()
        await self._called("send_text", text)

    async def send_audio(self, pcm: bytes) -> None:
        self._require()
        await self._called("send_audio", pcm)

    async def commit_audio(self) -> None:
        self._require()
        await self._called("commit_audio", None)

    async def interrupt(self, *, item_id: str | None = None, played_ms: int | None = None) -> None:
        self._require()
        await self._called("interrupt", (item_id, played_ms))

    async def send_tool_result(self, call_id: str, output: Mapping[str, Any]) -> None:
        self._require()
        await self._called("send_tool_result", (call_id, dict(output)))

    def _require(self) -> None:
        if not self.connected:
            raise RealtimeTransportError("not connected")

    async def _called(self, method: str, argument: Any) -> None:
        self.calls.append((method, argument))
        self.watch(method, argument)
        plan = self.plans[method].popleft() if self.plans[method] else Plan(self.usual_s.get(method, 0.0))
        self.at_once[method] += 1
        rule(
            self.at_once["connect"] + self.at_once["update"] + self.at_once["disconnect"] <= 1, "two at once"
        )
        try:
            if plan.seconds:
                await asyncio.sleep(plan.seconds)
            if plan.then is not None:
                plan.then()
            if plan.error is not None:
                raise plan.error
        finally:
            self.at_once[method] -= 1


class Trace:
    """Every event of a manager, as it comes."""

    def __init__(self, manager: RealtimeManager) -> None:
        self.events: list[tuple[str, Any]] = []
        for name in PAYLOADS:
            manager.on(name, lambda payload, name=name: self.events.append((name, payload)))

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [name for name, _ in self.events]

    def of(self, name: str) -> list[Any]:
        """Their payloads."""
        return [payload for event, payload in self.events if event == name]

    def but(self, *names: str) -> list[str]:
        """The names of all others."""
        return [name for name in self.names if name not in names]

    def clear(self) -> None:
        """Forget them."""
        self.events.clear()

    def shown(self) -> list[tuple[str, str]]:
        """Connection and session of each ``realtime:state``."""
        states = [payload.state for payload in self.of("realtime:state")]
        return [(state.connection.value, state.session.status.value) for state in states]


class Lines:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def log(self, level: str, message: str, context: Mapping[str, Any]) -> None:
        self.lines.append((level, message, dict(context)))

    def of(self, message: str) -> list[dict[str, Any]]:
        """Contexts of the lines that say it."""
        return [context for _, said, context in self.lines if said == message]


def tool(
    name: str, handler: Callable[..., Any], timeout_s: float | None = None, **schema: Any
) -> ToolRegistration:
    """A tool; ``schema`` are the properties and ``required`` of its arguments."""
    required = schema.pop("required", [])
    parameters = {"type": "object", "properties": schema, "required": required}
    return ToolRegistration(ToolDefinition(name, f"Does {name}.", parameters), handler, timeout_s)


@contextmanager
def virtual_time(
    make_loop: Callable[[], asyncio.AbstractEventLoop] = VirtualLoop,
) -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """``run(coroutine)`` on a loop whose time costs nothing; no task may be left when it returns."""
    loop = make_loop()
    _broken_rules.clear()

    def run(work: Coroutine[Any, Any, T]) -> T:
        result = loop.run_until_complete(work)
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert left == [], f"tasks left: {left}"
        assert _broken_rules == []
        return result

    try:
        yield run
    finally:
        loop.close()


async def settle(rounds: int = 20) -> None:
    """Let everything happen that can happen now."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def refused(what: str = "refused") -> RealtimeError:
    """An error as a client raises it that did not get through."""
    return RealtimeTransportError(what)


class _PatientSelector(selectors.DefaultSelector):
    """Waits a moment for what is under way between sockets of this process; then the clock jumps."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(timeout if timeout is None else min(timeout, PATIENCE_S))
        if not ready and timeout:
            self.now += timeout
        return ready


class PatientLoop(asyncio.SelectorEventLoop):
    """Virtual time for both ends of a local connection: only what nobody answers takes its time."""

    def __init__(self) -> None:
        self.selector = _PatientSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


def on_patient_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on a :class:`PatientLoop`: a machine that stalls takes nothing of any time limit."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=PatientLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
