"""One WebSocket of the stand-in service: handshake, sound in, motion or playback signals out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from google.protobuf.message import DecodeError

from avatarkit_rtc.errors import ConnectError, ConnectTimeoutError
from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.testing.spatialreal_service import wire
from avatarkit_rtc.testing.spatialreal_service.behaviour import Behaviour, objection
from avatarkit_rtc.testing.spatialreal_service.faults import (
    SESSION_TIMEOUT,
    UPSTREAM_UNAVAILABLE,
    SocketFault,
)
from avatarkit_rtc.testing.spatialreal_service.live_avatar import LiveAvatar
from avatarkit_rtc.testing.spatialreal_service.motion_stream import MotionStream
from avatarkit_rtc.testing.spatialreal_service.performance import Performer
from avatarkit_rtc.testing.spatialreal_service.turn import Turn

if TYPE_CHECKING:
    from aiohttp import web

    from avatarkit_rtc.testing.room import RoomTransport

INVALID_REQUEST: Final = 4000
"""A close code of ours in the range 40xx: the request is at fault."""
_UNAUTHENTICATED, _UNAVAILABLE, _INVALID_ARGUMENT = 16, 14, 3
"""Codes of gRPC, with which a service relays what failed behind it."""
_KEPT_TURNS: Final = 100
_KEPT_EVENTS: Final = 1000
_State = pb.ServerPlaybackState

_log = logging.getLogger("avatarkit_rtc")


class Connection:
    """One session, from its handshake to its end."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        abort: Callable[[], None],
        *,
        connection_id: str,
        avatar_id: str,
        performer: Performer,
        behaviour: Behaviour,
        faults: Callable[[Literal["handshake", "sentence"]], SocketFault | None],
        refusal: tuple[int, str] | None,
    ) -> None:
        """
        Args:
            ws: the prepared WebSocket.
            abort: ends its TCP connection without a word.
            connection_id: its name.
            avatar_id: the avatar the client asked for.
            performer: makes the motion.
            behaviour: how the service behaves.
            faults: gives the next fault of a kind.
            refusal: close code and text, when the client is not to be let in.
        """
        self.id, self.avatar_id = connection_id, avatar_id
        self.config: pb.ClientConfigureSession | None = None
        """What the client asked for; its tokens are in it."""
        self.turns: deque[Turn] = deque(maxlen=_KEPT_TURNS)
        """The latest turns."""
        self.events: deque[tuple[str, str]] = deque(maxlen=_KEPT_EVENTS)
        """The latest things that happened, each with the request id it is about: ``audio``, ``end``,
        ``interrupt``, ``pause``, ``resume`` came; ``started``, ``ended``, ``interrupted`` was played."""
        self.transport: RoomTransport | None = None
        """The egress's way into the room."""
        self.avatar: LiveAvatar | None = None
        """The egress's avatar, once it is in the room."""
        self.close_code: int | None = None
        """With which the WebSocket was closed; 1006 when it ended without a word. None while it is open."""
        self.lost_messages = 0
        """Signals that were not sent because the client did not read."""
        self._ws, self._abort = ws, abort
        self._performer, self._behaviour, self._faults, self._refusal = performer, behaviour, faults, refusal
        self._stream: MotionStream | None = None
        self._queued: deque[Turn] = deque()
        self._current: Turn | None = None
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue(256)
        self._writing = asyncio.Lock()
        self._struck: dict[Turn, SocketFault] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self.closed = asyncio.Event()
        """Set when it is over, the egress's leave of the room included."""

    async def run(self) -> None:
        """Serve it to its end."""
        try:
            if await self._handshake():
                await self._serve()
        finally:
            await self._tear_down()

    async def strike(self, fault: SocketFault) -> None:
        """Let ``fault`` happen now."""
        async with self._writing:
            await asyncio.sleep(fault.delay_s)
            with contextlib.suppress(ConnectionError, RuntimeError):
                if fault.garbage is not None:
                    await self._ws.send_bytes(fault.garbage)
                if fault.text is not None:
                    await self._ws.send_str(fault.text)
                if fault.error_code is not None:
                    req_id = self._current.req_id if self._current is not None else ""
                    await self._ws.send_bytes(
                        wire.error(self.id, fault.error_code, fault.error_message, req_id)
                    )
        if fault.close_code is not None:
            await self.close(fault.close_code, fault.reason)
        if fault.cut:
            self._abort()

    async def close(self, code: int = 1001, reason: str = "") -> None:
        """Close the WebSocket. More than once is fine."""
        if self._closing is None:
            # In a task of its own, which the end of the session does not cut off.
            self._closing = asyncio.create_task(self._close(code, reason), name="stand-in service: close")
        await asyncio.shield(self._closing)

    async def _close(self, code: int, reason: str) -> None:
        self.close_code = code
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._ws.close(code=code, message=reason.encode())

    async def fail(self, code: int, message: str, close_code: int) -> None:
        """Say what is wrong, and close."""
        await self.strike(
            SocketFault(error_code=code, error_message=message, close_code=close_code, reason=message[:60])
        )

    # ---- handshake ----------------------------------------------------------------------------------------

    async def _handshake(self) -> bool:
        message = await self._receive()
        if message is None:
            return False
        if message.WhichOneof("data") != "client_configure_session":
            await self.fail(
                _INVALID_ARGUMENT, "the first message must configure the session", INVALID_REQUEST
            )
            return False
        config = self.config = message.client_configure_session
        if self._refusal is not None:
            await self.fail(self._refusal[0], self._refusal[1], self._refusal[0])
            return False
        if (wrong := objection(config)) is not None:
            await self.fail(_INVALID_ARGUMENT, wrong, INVALID_REQUEST)
            return False
        fault = self._faults("handshake")
        if fault is not None:
            await self.strike(fault)
            if fault != SocketFault(delay_s=fault.delay_s):  # more than slow
                if fault.hang:
                    await self._receive()
                return False
        async with self._writing:
            await self._ws.send_bytes(wire.confirm(self.id, self._behaviour.capabilities))
        return True

    # ---- the session --------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        assert self.config is not None
        self._start(self._write(), "outgoing messages")
        if self.config.egress_type == pb.EGRESS_TYPE_LIVEKIT:
            self._start(self._play_in_room(self.config), "egress")
        else:
            self._outbox = asyncio.Queue(2)
            self._stream = MotionStream(
                self._send_motion,
                inference_s=self._behaviour.inference_s,
                keyframes=self._behaviour.keyframes,
                speed=self._behaviour.speed,
                stale_messages=self._behaviour.stale_messages,
            )
            self._start(self._stream.run(), "motion")
        if self._behaviour.max_session_s is not None:
            self._start(self._time_out(self._behaviour.max_session_s), "session's time limit")
        while (message := await self._receive()) is not None:
            kind = message.WhichOneof("data")
            if kind == "client_audio_input":
                self._hear(message.client_audio_input)
            elif kind == "client_interrupt":
                await self._interrupt(message.client_interrupt.req_id)
            elif kind == "client_pause":
                await self._hold(message.client_pause.req_id, paused=True)
            elif kind == "client_resume":
                await self._hold(message.client_resume.req_id, paused=False)

    async def _receive(self) -> pb.Message | None:
        """The next message; None at the end. What cannot be understood ends the session."""
        from aiohttp import WSMsgType

        received = await self._ws.receive()
        if received.type is WSMsgType.BINARY:
            try:
                return pb.Message.FromString(received.data)
            except DecodeError:
                await self.fail(_INVALID_ARGUMENT, "not a message", INVALID_REQUEST)
        elif received.type is WSMsgType.TEXT:
            await self.fail(_INVALID_ARGUMENT, "a text message", INVALID_REQUEST)
        return None

    def _hear(self, audio: pb.ClientAudioInput) -> None:
        assert self.config is not None
        self._heard_at = self._loop.time()
        turn = self._current
        if turn is None or turn.req_id != audio.req_id:
            if any(turn.req_id == audio.req_id for turn in self.turns):
                return  # the rest of one that was cut off
            rate = self.config.sample_rate
            turn = self._current = Turn(audio.req_id, self._performer(rate), rate, self._loop.time())
            self._begin(turn)
        if audio.audio:
            self.events.append(("audio", turn.req_id))
            turn.hear(audio.audio)
        if audio.end:
            self.events.append(("end", turn.req_id))
            turn.end()
        if self._stream is not None:
            self._stream.changed()

    def _begin(self, turn: Turn) -> None:
        if self._behaviour.preempts:
            for earlier in list(self._playing()):
                self._cut_off(earlier, "preempted")
        self.turns.append(turn)
        fault = self._faults("sentence")
        if fault is not None:
            self._struck[turn] = fault
        if self._stream is not None:
            self._stream.add(turn)
        elif self.avatar is not None:
            self.avatar.add(turn)
        else:
            self._queued.append(turn)

    def _playing(self) -> Sequence[Turn]:
        playing = self._stream or self.avatar
        return [*(playing.turns() if playing is not None else ()), *self._queued]

    async def _interrupt(self, req_id: str) -> None:
        self.events.append(("interrupt", req_id))
        for turn in self._playing():
            if turn.req_id == req_id:
                self._cut_off(turn, "explicit")

    def _cut_off(self, turn: Turn, reason: str) -> None:
        if turn in self._queued:
            self._queued.remove(turn)
            turn.interrupted, turn.over = reason, True
        elif self._stream is not None:
            self._stream.interrupt(turn, reason)
        elif self.avatar is not None:
            self.avatar.interrupt(turn, reason)
        if turn is self._current:
            self._current = None
        self._struck.pop(turn, None)
        self.events.append(("interrupted", turn.req_id))
        if self._stream is None:
            self._say_state(turn, _State.INTERRUPTED, reason)

    async def _hold(self, req_id: str, *, paused: bool) -> None:
        self.events.append(("pause" if paused else "resume", req_id))
        can = self._behaviour.capabilities
        turn = next((turn for turn in self.turns if turn.req_id == req_id), None)
        controlled = self._stream is None and "playback_control" in can
        if controlled and turn is not None and not turn.over:
            turn.paused = paused
        # An answer comes always, with what is the case afterwards.
        if turn is None:
            turn = next(iter(self._playing()), None)
        state, played = _State.STATE_UNSPECIFIED, 0
        if turn is not None:
            played = turn.played_ms
            state = _State.PLAYING
            if turn.interrupted:
                state = _State.INTERRUPTED
            elif turn.over:
                state = _State.ENDED
            elif turn.paused:
                state = _State.PAUSED
        if "playback_state" in can:
            await self._outbox.put(wire.playback_state(self.id, req_id, state, played))

    # ---- without an egress --------------------------------------------------------------------------------

    async def _send_motion(self, turn: Turn, frames: Sequence[MotionFrame], end: bool) -> None:
        if turn.played and ("started", turn.req_id) not in self.events:
            self.events.append(("started", turn.req_id))
        await self._outbox.put(wire.animation(self.id, turn.req_id, self.avatar_id, frames, end=end))
        self.on_frame(turn)
        if end:
            self.events.append(("ended", turn.req_id))

    # ---- with an egress -----------------------------------------------------------------------------------

    async def _play_in_room(self, config: pb.ClientConfigureSession) -> None:
        from avatarkit_rtc.testing.room import RoomTransport, avatar_token

        egress = config.livekit_egress
        token = egress.api_token
        if not token:
            behalf = egress.extra_attributes.get("lk.publish_on_behalf", "agent")
            token = avatar_token(
                egress.api_key,
                egress.api_secret,
                egress.room_name,
                egress.publisher_id,
                publish_on_behalf=behalf,
            )
        transport = self.transport = RoomTransport(egress.url, token, sample_rate=config.sample_rate)
        try:
            await transport.connect()
        except ConnectError as error:
            # A token that is not let in is the client's fault; a server that does not answer is not.
            refused = not isinstance(error, ConnectTimeoutError) and "401" in str(error)
            code, close = (
                (_UNAUTHENTICATED, INVALID_REQUEST) if refused else (_UNAVAILABLE, UPSTREAM_UNAVAILABLE)
            )
            await self.fail(code, f"egress: {error}", close)
            return
        avatar = self.avatar = LiveAvatar(
            transport,
            config.sample_rate,
            self,
            inference_s=self._behaviour.inference_s,
            while_paused=self._behaviour.while_paused,
        )
        while self._queued:
            avatar.add(self._queued.popleft())
        self._start(avatar.run(), "avatar")
        if egress.idle_timeout > 0:
            self._start(self._end_when_silent(avatar, egress.idle_timeout), "idle timeout")
        await transport.wait_closed()
        await self.fail(_UNAVAILABLE, "egress: the room was closed", UPSTREAM_UNAVAILABLE)

    def on_started(self, turn: Turn) -> None:
        """See :class:`~avatarkit_rtc.testing.spatialreal_service.live_avatar.Listener`."""
        self.events.append(("started", turn.req_id))
        self._say(wire.animation(self.id, turn.req_id, self.avatar_id))
        self._say_state(turn, _State.PLAYING)

    def on_progress(self, turn: Turn) -> None:
        """Likewise."""
        self._say(wire.animation(self.id, turn.req_id, self.avatar_id))

    def on_frame(self, turn: Turn) -> None:
        """Likewise; also of motion over the WebSocket."""
        fault = self._struck.get(turn)
        if fault is not None and turn.played * FRAME_INTERVAL_S >= fault.after_s:
            del self._struck[turn]
            self._start(self.strike(fault), "fault")

    def on_ended(self, turn: Turn) -> None:
        """Likewise."""
        self.events.append(("ended", turn.req_id))
        for _ in range(self._behaviour.ends):
            self._say(wire.animation(self.id, turn.req_id, self.avatar_id, end=True))
        self._say_state(turn, _State.ENDED)

    async def _end_when_silent(self, avatar: LiveAvatar, timeout_s: float) -> None:
        while True:
            # Neither played nor heard anything.
            since = max(avatar.silent_since, self._heard_at)
            wait = timeout_s if avatar.busy else since + timeout_s - self._loop.time()
            if wait <= 0:
                await self.close(1000, "idle timeout")
                return
            await asyncio.sleep(wait)

    # ---- the rest -----------------------------------------------------------------------------------------

    async def _time_out(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.fail(SESSION_TIMEOUT, "the session has lasted its longest", SESSION_TIMEOUT)

    def _say_state(self, turn: Turn, state: pb.ServerPlaybackState.State, reason: str = "") -> None:
        if "playback_state" in self._behaviour.capabilities:
            self._say(wire.playback_state(self.id, turn.req_id, state, turn.played_ms, reason))

    def _say(self, message: bytes) -> None:
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.lost_messages += 1

    async def _write(self) -> None:
        while True:
            message = await self._outbox.get()
            async with self._writing:
                try:
                    await self._ws.send_bytes(message)
                except (ConnectionError, RuntimeError):  # closed meanwhile
                    return

    def _start(self, work: Coroutine[Any, Any, None], what: str) -> None:
        task = asyncio.create_task(work, name=f"stand-in service: {what}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)
            self._abort()

    async def _tear_down(self) -> None:
        if self._closing is not None:
            await asyncio.wait([self._closing])
        if self.close_code is None:
            code = self._ws.close_code
            self.close_code = 1006 if code is None else code
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self.transport is not None:
            await self.transport.aclose()
        self.closed.set()
