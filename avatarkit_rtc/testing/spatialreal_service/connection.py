"""One WebSocket of the stand-in service: handshake, sound in, motion or playback signals out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from google.protobuf.message import DecodeError

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.testing.spatialreal_service import wire
from avatarkit_rtc.testing.spatialreal_service.behaviour import Behaviour, objection
from avatarkit_rtc.testing.spatialreal_service.faults import (
    INVALID_ARGUMENT,
    INVALID_REQUEST,
    SESSION_TIMEOUT,
    SocketFault,
)
from avatarkit_rtc.testing.spatialreal_service.keyframe_stream import KeyframeStream
from avatarkit_rtc.testing.spatialreal_service.performance import Performer
from avatarkit_rtc.testing.spatialreal_service.playback import Playback, PlaybackOver
from avatarkit_rtc.testing.spatialreal_service.turn import Turn

if TYPE_CHECKING:
    from aiohttp import web

    from avatarkit_rtc.testing.spatialreal_service.egress import RoomEgress

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
        ``interrupt``, ``pause``, ``resume`` came; ``started``, ``ended``, ``interrupted`` was played;
        ``fault`` struck."""
        self.egress: RoomEgress | None = None
        """What plays into a room, if the client wants that."""
        self.close_code: int | None = None
        """With which the WebSocket was closed; 1006 when it ended without a word. None while it is open."""
        self.lost_messages = 0
        """Signals that were not sent because the client did not read."""
        self._ws, self._abort = ws, abort
        self._performer, self._behaviour, self._faults, self._refusal = performer, behaviour, faults, refusal
        self._playback: Playback | None = None
        self._current: Turn | None = None
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue(256)
        self._writing = asyncio.Lock()
        self._struck: dict[Turn, SocketFault] = {}
        self._pauses: dict[Turn, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
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
            await self.fail(INVALID_ARGUMENT, "the first message must configure the session", INVALID_REQUEST)
            return False
        config = self.config = message.client_configure_session
        if self._refusal is not None:
            await self.fail(self._refusal[0], self._refusal[1], self._refusal[0])
            return False
        if (wrong := objection(config)) is not None:
            await self.fail(INVALID_ARGUMENT, wrong, INVALID_REQUEST)
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
            from avatarkit_rtc.testing.spatialreal_service.egress import RoomEgress

            self._playback = self.egress = RoomEgress(
                self.config.livekit_egress, self.config.sample_rate, self, self._behaviour, self.avatar_id
            )
        else:
            self._outbox = asyncio.Queue(2)
            self._playback = KeyframeStream(self._send_motion, self, self._behaviour)
        self._start(self._play(self._playback), "playback")
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
                await self.fail(INVALID_ARGUMENT, "not a message", INVALID_REQUEST)
        elif received.type is WSMsgType.TEXT:
            await self.fail(INVALID_ARGUMENT, "a text message", INVALID_REQUEST)
        return None

    def _hear(self, audio: pb.ClientAudioInput) -> None:
        assert self.config is not None
        turn = self._current
        if turn is None or turn.req_id != audio.req_id:
            if any(turn.req_id == audio.req_id for turn in self.turns):
                return  # the rest of one that was cut off
            rate = self.config.sample_rate
            turn = self._current = Turn(audio.req_id, self._performer(rate), rate, self._loop.time())
            self._begin(turn)
        if turn.ended:
            return
        if audio.audio:
            self.events.append(("audio", turn.req_id))
            turn.hear(audio.audio)
        if audio.end:
            self.events.append(("end", turn.req_id))
            turn.end()
        if self._playback is not None:
            self._playback.changed()

    def _begin(self, turn: Turn) -> None:
        if self._behaviour.preempts:
            for earlier in self._playing():
                self._cut_off(earlier, "preempted")
        self.turns.append(turn)
        fault = self._faults("sentence")
        if fault is not None:
            self._struck[turn] = fault
        if self._playback is not None:
            self._playback.add(turn)

    def _playing(self) -> list[Turn]:
        return list(self._playback.turns()) if self._playback is not None else []

    async def _interrupt(self, req_id: str) -> None:
        self.events.append(("interrupt", req_id))
        for turn in self._playing():
            if turn.req_id == req_id:
                self._cut_off(turn, "explicit")

    def _cut_off(self, turn: Turn, reason: str) -> None:
        if self._playback is not None:
            self._playback.interrupt(turn, reason)
        if turn is self._current:
            self._current = None
        self._struck.pop(turn, None)
        self.events.append(("interrupted", turn.req_id))
        if self.egress is not None:
            self._say_state(turn, _State.INTERRUPTED, reason)

    async def _hold(self, req_id: str, *, paused: bool) -> None:
        self.events.append(("pause" if paused else "resume", req_id))
        can = self._behaviour.capabilities
        turn = next((turn for turn in self.turns if turn.req_id == req_id), None)
        controlled = self.egress is not None and "playback_control" in can
        if controlled and turn is not None and not turn.over:
            turn.paused = paused
            self._limit_pause(turn)
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

    def _limit_pause(self, turn: Turn) -> None:
        timer = self._pauses.pop(turn, None)
        if timer is not None:
            timer.cancel()
        timeout_s = self._behaviour.pause_timeout_s
        if turn.paused and timeout_s is not None:
            self._pauses[turn] = self._loop.call_later(timeout_s, self._pause_ends, turn)

    def _pause_ends(self, turn: Turn) -> None:
        del self._pauses[turn]
        if not turn.over and not self.closed.is_set():
            self._cut_off(turn, "pause_timeout")

    # ---- what is played -----------------------------------------------------------------------------------

    async def _play(self, playback: Playback) -> None:
        try:
            await playback.run()
        except PlaybackOver as over:
            if over.error_code is not None:
                await self.fail(over.error_code, str(over), over.close_code)
            else:
                await self.close(over.close_code, str(over))

    async def _send_motion(self, turn: Turn, frames: Sequence[MotionFrame], end: bool) -> None:
        await self._outbox.put(wire.animation(self.id, turn.req_id, self.avatar_id, frames, end=end))

    def on_started(self, turn: Turn) -> None:
        """See :class:`~avatarkit_rtc.testing.spatialreal_service.playback.Listener`, also for the rest."""
        self.events.append(("started", turn.req_id))
        if self.egress is not None:
            self._say(wire.animation(self.id, turn.req_id, self.avatar_id))
            self._say_state(turn, _State.PLAYING)

    def on_progress(self, turn: Turn) -> None:
        """Likewise."""
        self._say(wire.animation(self.id, turn.req_id, self.avatar_id))

    def on_frame(self, turn: Turn) -> None:
        """Likewise."""
        fault = self._struck.get(turn)
        if fault is not None and turn.played * FRAME_INTERVAL_S >= fault.after_s:
            del self._struck[turn]
            self.events.append(("fault", turn.req_id))
            self._start(self.strike(fault), "fault")

    def on_ended(self, turn: Turn) -> None:
        """Likewise."""
        self._struck.pop(turn, None)
        self.events.append(("ended", turn.req_id))
        if self.egress is not None:
            for _ in range(self._behaviour.ends):
                self._say(wire.animation(self.id, turn.req_id, self.avatar_id, end=True))
            self._say_state(turn, _State.ENDED)

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
        for timer in self._pauses.values():
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._playback is not None:
            await self._playback.aclose()
        self.closed.set()
