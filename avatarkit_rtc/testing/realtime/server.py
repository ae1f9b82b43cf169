"""A stand-in of an OpenAI-style realtime server on this machine, on a real WebSocket, with faults on demand.

    async with StandInRealtimeServer() as server:
        client = WebSocketRealtimeClient(server.url, key=server.key)

Needs aiohttp: ``pip install 'avatarkit-rtc[realtime]'``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

from avatarkit_rtc.errors import ConfigurationError, ServerError
from avatarkit_rtc.testing.local_site import serve_locally
from avatarkit_rtc.testing.realtime.replies import Reply
from avatarkit_rtc.testing.realtime.session import Event, ModelSession, Moment, Step

if TYPE_CHECKING:
    from aiohttp import web

_KEPT: Final = 5000
_LARGEST: Final = 16 << 20
_END_S: Final = 1.0

NOISE: Final[Sequence[str | bytes]] = (
    "{",
    "[]",
    "null",
    '"text"',
    "{}",
    '{"type": 7}',
    '{"type": "something.new", "event_id": "event_x"}',
    '{"type": "response.output_audio.delta"}',
    '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "&&&"}',
    '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": 5}',
    '{"type": "response.output_text.delta", "response_id": "resp_of_nobody", "delta": "late"}',
    '{"type": "response.function_call_arguments.done", "call_id": null, "arguments": "{"}',
    '{"type": "response.done", "response": "over"}',
    '{"type": "response.done", "response": {"id": "resp_of_nobody", "status": "completed"}}',
    '{"type": "response.created", "response": 1}',
    '{"type": "error", "error": null}',
    "[" * 5000,
    b"\x00\xff binary",
)
"""Messages that are no events, or events of nothing: what :attr:`StandInRealtimeServer.noise` may be."""


class Received(NamedTuple):
    """An event of the client's."""

    at: float
    """When it came, in seconds of the event loop's clock."""
    event: Event
    """Without the sound: an ``append`` has the number of its bytes in place of ``audio``."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a moment of a session, once."""

    kind: Literal["drop", "close", "hang", "error"] = "drop"
    """``drop``: the connection breaks off. ``close``: it is closed in good order. ``hang``: nothing more is
    sent. ``error``: an ``error`` event in place of what would have come."""
    after: int = 1
    """At the how manieth such moment, from when it was ordered on."""


@dataclass(slots=True, eq=False)
class Connection:
    """A client that came."""

    session: ModelSession
    socket: web.WebSocketResponse = field(repr=False)
    request: web.Request = field(repr=False)
    received: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """The events that came, the newest 5000."""
    sent: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """When which kind of event was sent, in seconds of the event loop's clock; the newest 5000."""
    closed: bool = False
    hanging: bool = False
    """Nothing more is sent."""

    @property
    def url(self) -> str:
        """Path and query that the client asked for."""
        return self.request.path_qs

    def events(self, kind: str) -> list[Event]:
        """The events of type ``kind`` that came."""
        return [each.event for each in self.received if each.event.get("type") == kind]

    def drop(self) -> None:
        """Break the connection off, without a word."""
        self.closed = True
        if self.request.transport is not None:
            self.request.transport.abort()


class StandInRealtimeServer:
    """Answers any number of clients; each turn gets the next of :attr:`replies`, else :attr:`reply`."""

    def __init__(
        self,
        *,
        key: str = "stand-in-key",
        beta: bool = False,
        replies: Iterable[Reply] = (),
        reply: Reply | None = None,
        speed: float = 10.0,
    ) -> None:
        """
        Args:
            key: what clients have to show.
            beta: speak the protocol of the preview.
            replies: what to say to the first turns.
            reply: what to say after these.
            speed: how much faster than real time sound is sent; ``math.inf`` for at once, less than 1 for a
                model that does not keep up.

        Raises:
            ConfigurationError: the speed is not positive.
        """
        if not speed > 0:
            raise ConfigurationError(f"speed must be more than 0, not {speed}")
        self.key = key
        self.tokens: set[str] = set()
        """Further keys that are good: those of a :class:`StandInSessionServer`."""
        self.replies: deque[Reply] = deque(replies)
        self.reply = reply or Reply()
        self.speed = speed
        self.latency_s = 0.0
        """Pause before each response begins."""
        self.noise: Sequence[str | bytes] = ()
        """Sent, one message each, between the events of every response."""
        self.connections: list[Connection] = []
        """The clients that came, in order."""
        self.refused = 0
        """Clients that were turned away."""
        self.on_sent: Callable[[str], None] | None = None
        """Called with the type of each event at the moment it is sent."""
        self._beta = beta
        self._refusals: deque[tuple[int, dict[str, str]]] = deque()
        self._faults: dict[Moment, deque[Fault]] = {}
        self._seen: dict[Moment, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self._port}/v1/realtime?model=stand-in"

    @property
    def connection(self) -> Connection:
        """The client that came last.

        Raises:
            ServerError: none has.
        """
        if not self.connections:
            raise ServerError("no client has connected to the stand-in realtime server")
        return self.connections[-1]

    # -- on demand -------------------------------------------------------------------------------------------

    def refuse(self, status: int = 503, *, times: int = 1, retry_after: str | None = None) -> None:
        """The next ``times`` clients get the HTTP ``status`` in place of a connection."""
        headers = {"Retry-After": retry_after} if retry_after is not None else {}
        self._refusals.extend([(status, headers)] * times)

    def fail(self, moment: Moment | str, *faults: Fault) -> None:
        """At ``moment`` happen ``faults``, one after the other, each once."""
        self._faults.setdefault(Moment(moment), deque()).extend(faults)
        self._seen.pop(Moment(moment), None)

    async def send(self, data: Event | str | bytes) -> None:
        """Send ``data`` to the client that came last: an event, or whatever it is."""
        await self._send(self.connection, data)

    async def speech_started(self) -> None:
        """The user of the client that came last begins to speak, whatever the microphone says."""
        for event in self.connection.session.speech_started():
            await self._send(self.connection, event)

    async def speech_stopped(self) -> None:
        """That user has spoken; the model responds."""
        for event in self.connection.session.speech_stopped():
            await self._send(self.connection, event)
        self._respond_if_wanted(self.connection)

    def speak(self, reply: Reply | None = None) -> None:
        """The model speaks to the client that came last, unasked: ``reply``, else the next one."""
        if reply is not None:
            self.replies.appendleft(reply)
        self._begin_response(self.connection)

    async def wait_for(self, kind: str, count: int = 1, timeout: float = 10.0) -> list[Event]:
        """Wait until ``count`` events of type ``kind`` came, over all connections; returns those.

        Raises:
            ServerError: they did not within ``timeout`` seconds.
        """

        def found() -> list[Event]:
            return [event for connection in self.connections for event in connection.events(kind)]

        await self._until(lambda: len(found()) >= count, f"{count} of {kind}", timeout)
        return found()

    async def wait_connections(self, count: int, timeout: float = 10.0) -> None:
        """Wait until ``count`` clients have been let in.

        Raises:
            ServerError: they did not come within ``timeout`` seconds.
        """
        await self._until(lambda: len(self.connections) >= count, f"{count} connections", timeout)

    async def _until(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise ServerError(f"the stand-in realtime server waited {timeout:g} s for {what}") from error

    # -- life ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/v1/realtime", self._serve)
        self._runner, self._port = await serve_locally(app, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self.connections:
            if not connection.closed:
                connection.drop()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._runner is not None:
            await self._runner.cleanup()

    # -- connections -----------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._refusals:
            self.refused += 1
            status, headers = self._refusals.popleft()
            return web.json_response({"error": {"message": "not now"}}, status=status, headers=headers)
        if bearer != self.key and bearer not in self.tokens:
            self.refused += 1
            return web.json_response({"error": {"message": f"Incorrect API key: {bearer}"}}, status=401)
        socket = web.WebSocketResponse(max_msg_size=_LARGEST, timeout=_END_S)
        await socket.prepare(request)
        number = len(self.connections) + 1
        session = ModelSession(number=number, model=request.query.get("model", ""), beta=self._beta)
        connection = Connection(session, socket, request)
        self.connections.append(connection)
        self._changed.set()
        if not await self._fault(connection, Moment.CONNECTED):
            await self._send(connection, session.created())
        try:
            await self._read(connection)
        finally:
            connection.closed = True
        return socket

    async def _read(self, connection: Connection) -> None:
        from aiohttp import WSMsgType

        loop = asyncio.get_running_loop()
        async for message in connection.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            sound = {"audio": len(event["audio"])} if "audio" in event else {}
            connection.received.append(Received(loop.time(), event | sound))
            self._changed.set()
            if event.get("type") == "session.update" and await self._fault(connection, Moment.PATCH, event):
                continue
            for answer in connection.session.receive(event):
                await self._send(connection, answer)
            self._respond_if_wanted(connection)

    def _respond_if_wanted(self, connection: Connection) -> None:
        if connection.session.wants_response and not connection.session.responding:
            self._begin_response(connection)

    # -- responses -------------------------------------------------------------------------------------------

    def _begin_response(self, connection: Connection) -> None:
        connection.session.wants_response = False
        reply = self.replies.popleft() if self.replies else self.reply
        task = asyncio.create_task(self._respond(connection, reply), name="stand-in response")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _respond(self, connection: Connection, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        began, sound_s = loop.time(), 0.0
        noise = iter(self.noise)
        for step in connection.session.respond(reply):
            if step.moment is Moment.DONE and await self._fault(connection, Moment.DONE):
                return
            await self._send(connection, step.event)
            if (garbage := next(noise, None)) is not None:
                await self._send(connection, garbage)
            if await self._after(connection, step):
                return
            sound_s += step.sound_s
            if step.sound_s and not math.isinf(self.speed):
                await asyncio.sleep(max(0.0, began + sound_s / self.speed - loop.time()))

    async def _after(self, connection: Connection, step: Step) -> bool:
        moment = step.moment
        if moment is None or moment is Moment.DONE:
            return connection.closed
        return await self._fault(connection, moment) or connection.closed

    async def _fault(self, connection: Connection, moment: Moment, of: Event | None = None) -> bool:
        """Let happen what was ordered for ``moment``; True where nothing else is to follow."""
        faults = self._faults.get(moment)
        if not faults:
            return False
        self._seen[moment] = self._seen.get(moment, 0) + 1
        if self._seen[moment] < faults[0].after:
            return False
        fault = faults.popleft()
        self._seen.pop(moment)
        if fault.kind == "drop":
            connection.drop()
        elif fault.kind == "close":
            await connection.socket.close()
        elif fault.kind == "hang":
            connection.hanging = True
        else:
            error = connection.session.error("It was told to fail.", code="told_to_fail", of=of)
            await self._send(connection, error)
        return True

    async def _send(self, connection: Connection, data: Event | str | bytes) -> None:
        if connection.closed or connection.hanging or connection.socket.closed:
            return
        kind = str(data["type"]) if isinstance(data, dict) else "noise"
        connection.sent.append((asyncio.get_running_loop().time(), kind))
        if self.on_sent is not None:
            self.on_sent(kind)
        with contextlib.suppress(ConnectionError):  # the client has gone meanwhile
            if isinstance(data, bytes):
                await connection.socket.send_bytes(data)
            else:
                await connection.socket.send_str(data if isinstance(data, str) else json.dumps(data))
