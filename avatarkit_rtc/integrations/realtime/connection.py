"""One open WebSocket to an OpenAI-style realtime server: its reading, what was asked on it, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

from avatarkit_rtc.errors import (
    RealtimeError,
    RealtimeServerError,
    RealtimeTimeoutError,
    RealtimeTransportError,
)
from avatarkit_rtc.integrations.http import load_aiohttp
from avatarkit_rtc.integrations.realtime import wire
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.decoder import Committed, Decoded, Decoder, Refusal
from avatarkit_rtc.integrations.realtime.events import (
    AssistantStarted,
    ClientEvent,
    ConnectionLost,
    ErrorReported,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
)
from avatarkit_rtc.integrations.realtime.patches import DOUBT_S, Patches, answer
from avatarkit_rtc.integrations.realtime.turns import Turns

if TYPE_CHECKING:
    import aiohttp

_log = logging.getLogger("avatarkit_rtc.realtime")

NEEDS: Final = ("a realtime model", "realtime")
"""What needs aiohttp, and the extra that brings it."""

MAX_MESSAGE_BYTES: Final = 4 << 20
"""Longest message that is taken, 60 s of sound in one delta. A longer one ends the connection."""

SILENT_S: Final = 5.0
"""The user does not speak any more when no sound was sent for so long, whatever the server has said."""

_BUSY: Final = "conversation_already_has_active_response"
_NOTHING_TO_CANCEL: Final = "response_cancel_not_active"
_GOOD_ENDS: Final = (1000, 1001, 1005)
_TOO_BIG: Final = 1009


class Owner(Protocol):
    """Who has the connection."""

    def tell(self, event: ClientEvent) -> None:
        """Something happened."""

    def lost(self, connection: Connection, event: ConnectionLost) -> None:
        """It broke off, after :meth:`Connection.established`; it closes itself."""


class Connection:
    """Reads until the end, which is either :meth:`close` or a loss."""

    def __init__(
        self,
        owner: Owner,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        *,
        dialect: wire.Dialect | None,
        sample_rate: int | None,
        send_timeout_s: float,
    ) -> None:
        """
        Args:
            owner: who is told.
            session: of the socket; closed with it.
            socket: read from now on.
            dialect: to speak; None to go by what the server says.
            sample_rate: of the model's sound, where the server does not say.
            send_timeout_s: longest time for one message to be sent.
        """
        self._owner = owner
        self._dialect = dialect
        self._send_timeout_s = send_timeout_s
        self._session = session
        self._socket = socket
        self.decoder = Decoder(sample_rate)
        self.turns = Turns(lambda: self.decoder.creates_responses)
        self.abandoned = False
        """Nobody wants to hear of it any more."""
        self._created: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._patches = Patches(min(DOUBT_S, send_timeout_s / 4))
        self._numbers = 0
        self._harmless: deque[str] = deque(maxlen=32)  # events of ours whose failure matters to nobody
        self._asking: str | None = None
        self._voice: str | None = None
        self._detection: object = None
        self._appended_at = float("-inf")
        self._listening: asyncio.TimerHandle | None = None
        self._loss: ConnectionLost | None = None
        self._established = self._closing = False
        self._closed = asyncio.Event()
        self._asks: set[asyncio.Task[None]] = set()
        self._reader = asyncio.create_task(self._read(), name="realtime events")

    # -- asking ----------------------------------------------------------------------------------------------

    async def begin(self, config: RealtimeSessionConfig) -> None:
        """Wait for the session, and configure it.

        Raises:
            RealtimeError: there is none.
        """
        await self._created
        await self.configure(config)

    async def configure(self, config: RealtimeSessionConfig) -> None:
        """Send ``config`` and wait until the server has taken it over.

        Raises:
            RealtimeServerError: it did not.
            RealtimeTransportError: the connection broke off.
        """
        new_voice = config.voice != self._voice
        message = wire.session_update(config, self._dialect or self.decoder.dialect or "ga", voice=new_voice)
        event_id = self._next_id()
        accepted = self._patches.sent(event_id)
        try:
            await self.send(message, event_id)
            await accepted
        finally:
            self._patches.forget(event_id)
        self._voice = config.voice

    async def ask(self) -> None:
        """Ask for a response."""
        self._asking = self._next_id()
        await self.send(wire.create_response(), self._asking)

    async def append(self, pcm: bytes) -> None:
        """Send further sound of the user's."""
        self._appended_at = asyncio.get_running_loop().time()
        await self.send(wire.append(pcm))

    async def commit(self) -> None:
        """End the user's turn, and have it responded to."""
        await self.send(wire.commit())
        if self.turns.committed():
            await self.ask()

    async def interrupt(self, item_id: str | None, played_ms: int | None) -> None:
        """Cancel what is under way, or was asked for and has not begun yet; of the message ``item_id`` the
        first ``played_ms`` were heard, and of those behind it nothing."""
        responding = self.turns.responding
        self.turns.cancelled()
        self.decoder.cancelled()
        if responding:
            await self._cancel()
        if item_id is not None and played_ms is not None:
            for name, kept_ms in self.decoder.cut(item_id, played_ms):
                await self.send(wire.truncate(name, kept_ms), self._harmless_id())

    async def _cancel(self) -> None:
        await self.send(wire.cancel_response(), self._harmless_id())

    async def send(self, message: wire.Message, event_id: str | None = None) -> None:
        """Send ``message`` as ``event_id``; None for an id of its own, by which an error of it is known from
        one of an update.

        Raises:
            RealtimeTransportError: it could not be sent.
        """
        text = wire.encode({"event_id": event_id or self._next_id(), **message})
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._socket.send_str(text)
        except TimeoutError:
            text = f"the realtime server took nothing for {self._send_timeout_s:g} s"
            raise RealtimeTimeoutError(text) from None
        except (OSError, RuntimeError) as error:  # aiohttp: ClientConnectionResetError is an OSError
            raise RealtimeTransportError("the connection to the realtime server has gone") from error

    def _next_id(self) -> str:
        self._numbers += 1
        return f"ours-{self._numbers}"

    def _harmless_id(self) -> str:
        self._harmless.append(self._next_id())
        return self._harmless[-1]

    # -- hearing ---------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        aiohttp = load_aiohttp(*NEEDS)
        lost = ConnectionLost("failed")
        try:
            async for message in self._socket:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    for event in self.decoder.receive(message.data):
                        self._happened(event)
            lost = self._end()
        except Exception as error:  # whatever it is, the connection is of no use any more
            _log.exception("reading from the realtime server failed")
            lost = ConnectionLost("failed", error)
        finally:
            self._over(lost)

    def _end(self) -> ConnectionLost:
        """Why the reading has come to its end."""
        code, error = self._socket.close_code, self._socket.exception()
        if code in _GOOD_ENDS:
            return ConnectionLost(
                "closed", RealtimeTransportError(f"the server closed the connection ({code})")
            )
        if code == _TOO_BIG:
            text = f"the server sent a message of more than {MAX_MESSAGE_BYTES} bytes"
            return ConnectionLost("too-big", RealtimeTransportError(text))
        if isinstance(error, TimeoutError):
            text = "the server gave no sign of life"
            return ConnectionLost("timeout", RealtimeTimeoutError(text))
        said = f", {type(error).__name__}" if error is not None else ""
        return ConnectionLost("failed", RealtimeTransportError(f"the connection broke off ({code}{said})"))

    def _happened(self, event: Decoded) -> None:
        if isinstance(event, Refusal):
            self._refused(event.error)
            return
        if isinstance(event, Committed):
            self._silent()
            return
        if isinstance(event, SessionCreated) and not self._created.done():
            self._created.set_result(None)
        elif isinstance(event, SessionUpdated):
            self._patches.accepted()
            if self.decoder.turn_detection != self._detection:
                self._silent()
        self._detection = self.decoder.turn_detection
        if isinstance(event, AssistantStarted) and self.turns.unwanted:
            # Cancelled before it began: the server may not have known then what to cancel.
            self.decoder.cancelled(event.response_id)
            self._soon(self._cancel, "cancel a response")
        else:
            self._tell(event)
        if self.turns.happened(event):
            self._soon(self.ask, "ask for a response")
        if isinstance(event, SpeechStarted):
            self._appended_at = asyncio.get_running_loop().time()
            if self._listening is None:
                self._listen()

    def _silent(self) -> None:
        if self.turns.silent():
            self._soon(self.ask, "ask for a response")

    def _listen(self) -> None:
        """Notice that the user cannot be speaking any more."""
        loop = asyncio.get_running_loop()
        self._listening = None
        if not self.turns.speaking:
            return
        left_s = self._appended_at + SILENT_S - loop.time()
        if left_s > 0:
            self._listening = loop.call_later(left_s, self._listen)
        else:
            self._silent()

    def _refused(self, error: RealtimeServerError) -> None:
        """The server reports an error: of an update, of something that matters to nobody, or a real one."""
        if error.event_id is not None and error.event_id in self._harmless:
            _log.debug("%s", error)
            return
        if error.server_code == _NOTHING_TO_CANCEL:
            return
        if error.server_code != _BUSY and self._patches.refused(error):
            return
        if error.event_id is not None and error.event_id == self._asking:
            busy = error.server_code == _BUSY
            if self.turns.refused(busy=busy):
                self._soon(self.ask, "ask for a response")
            if busy:
                return
        if not self._created.done():
            self._created.set_exception(error)
            return
        self._tell(ErrorReported(error))

    def _soon(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        async def done() -> None:
            with contextlib.suppress(RealtimeError):  # then the connection has gone, which is told elsewhere
                await work()

        task = asyncio.create_task(done(), name=name)
        self._asks.add(task)
        task.add_done_callback(self._asks.discard)

    def _tell(self, event: ClientEvent) -> None:
        if not self.abandoned and not self._closing:
            self._owner.tell(event)

    # -- end -------------------------------------------------------------------------------------------------

    def established(self) -> None:
        """A loss is an event from now on."""
        self._established = True
        if self._loss is not None:
            self._owner.lost(self, self._loss)

    def _over(self, lost: ConnectionLost) -> None:
        """Nothing more comes."""
        error = lost.error or RealtimeTransportError("the connection to the realtime server has gone")
        answer(self._created, error)
        self._patches.lost(error)
        if self._closing or self.abandoned:
            return
        self._loss = lost
        closing = asyncio.create_task(self.close(), name="close a lost realtime connection")
        self._asks.add(closing)
        closing.add_done_callback(self._asks.discard)
        if self._established:
            self._owner.lost(self, lost)

    async def close(self) -> None:
        """Close the socket; nothing is told of it. Never raises; further calls wait for the first one."""
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        if self._listening is not None:
            self._listening.cancel()
        this = asyncio.current_task()
        ours = {task for task in (self._reader, *self._asks) if task is not this}
        for task in ours:
            task.cancel()
        try:
            if ours:
                await asyncio.wait(ours)
            with contextlib.suppress(Exception):
                await self._socket.close()
        finally:
            with contextlib.suppress(Exception):
                await self._session.close()
            self._closed.set()
