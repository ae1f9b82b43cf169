"""An avatar that speaks what comes, while it comes: what a service's egress does in a room.

The packets and their order are those of :mod:`avatarkit_rtc.testing.schedule`; the turns are not known
beforehand, and may be held or cut off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, Literal

import numpy as np

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.motion.packet import (
    encode_frame,
    encode_idle,
    encode_message,
    encode_transition,
    encode_transition_end,
)
from avatarkit_rtc.testing.spatialreal_service.performance import Sound, frame_samples
from avatarkit_rtc.testing.spatialreal_service.playback import Listener
from avatarkit_rtc.testing.spatialreal_service.turn import Turn
from avatarkit_rtc.testing.stand_in import SessionClock, Transport

_TRANSITION_TICKS: Final = 8
_TRANSITION_END_TICKS: Final = 20
_SOUND_DELAY_TICKS: Final = 1
"""A service sends its sound one frame later than its motion."""
_MAX_CATCH_UP_S: Final = 3 * FRAME_INTERVAL_S
_MAX_UNSENT: Final = 50
_PROGRESS_FRAMES: Final = 25
_BLOCKS: Final = 2
"""Blocks of sound in a tick of 40 ms."""


class _Phase(Enum):
    IDLE = auto()
    TRANSITION = auto()
    SPEAKING = auto()
    ENDING = auto()


class LiveAvatar:
    """Plays turns in the order they come, each 40 ms a packet, and one unbroken stream of sound."""

    def __init__(
        self,
        transport: Transport,
        sample_rate: int,
        listener: Listener,
        *,
        avatar_id: str = "",
        inference_s: float = 0.1,
        while_paused: Literal["nothing", "idle"] = "nothing",
    ) -> None:
        """
        Args:
            transport: where to send; its ``audio_lead_s`` is 0 or less.
            sample_rate: of the turns' sound, a multiple of 100.
            listener: is told how it goes.
            avatar_id: told with each frame.
            inference_s: how long after its first sound a turn may start.
            while_paused: which packets go out while a turn is held.
        """
        self._transport, self._sample_rate, self._listener = transport, sample_rate, listener
        self._avatar_id, self._inference_s, self._while_paused = avatar_id, inference_s, while_paused
        self._waiting: deque[Turn] = deque()
        self._turn: Turn | None = None
        self._draining: Turn | None = None
        self._drain_ticks = 0
        self._phase, self._ticks_left = _Phase.IDLE, 0
        self._packet = encode_idle()
        self._last_messages: deque[bytes] = deque(maxlen=2)
        self._tail: Sound = np.zeros(0, np.int16)
        self._size = frame_samples(sample_rate)
        self._sound = self._silence(_SOUND_DELAY_TICKS)
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue(_MAX_UNSENT)
        self._loop = asyncio.get_running_loop()
        self.dropped_packets = 0
        """Packets that were not sent because the network did not take them."""
        self.starved_ticks = 0
        """How often a turn's next frame was due and its sound had not come yet."""
        self.silent_since = self._loop.time()
        """Since when nothing is played, in seconds of the event loop's clock, while not :attr:`busy`."""

    @property
    def busy(self) -> bool:
        """A turn is being played, or waits."""
        return self._turn is not None or self._draining is not None or bool(self._waiting)

    def add(self, turn: Turn) -> None:
        """Play ``turn`` after those before it; its sound and motion may still be coming."""
        self._waiting.append(turn)

    def turns(self) -> Iterator[Turn]:
        """The turns that are not over, the oldest first."""
        for turn in (self._draining, self._turn, *self._waiting):
            if turn is not None:
                yield turn

    def interrupt(self, turn: Turn, reason: str) -> None:
        """Cut ``turn`` off: no more motion and sound of it."""
        turn.interrupted, turn.over = reason, True
        if turn in self._waiting:
            self._waiting.remove(turn)
        if turn is self._draining or turn is self._turn:
            self._tail = np.zeros(0, np.int16)
            self._sound = np.zeros_like(self._sound)
        if turn is self._draining:
            self._draining = None
        if turn is self._turn:
            self._turn = None
            self._go_to_idle()
        self.silent_since = self._loop.time()

    async def run(self) -> None:
        """Play until cancelled."""
        sender = asyncio.create_task(self._send_packets(), name="live avatar's packets")
        try:
            await self._play()
        finally:
            sender.cancel()
            await asyncio.wait([sender])

    async def _play(self) -> None:
        clock, tick = SessionClock(self._loop.time()), 0
        block = self._size // _BLOCKS
        lead = self._transport.audio_lead_s
        while True:
            offset = tick * FRAME_INTERVAL_S
            await self._until(clock.due(offset))
            clock.keep_up(offset, self._loop.time(), _MAX_CATCH_UP_S)
            self._tick()
            for number in range(_BLOCKS):
                await self._until(clock.due(offset + number * FRAME_INTERVAL_S / _BLOCKS) - lead)
                samples, self._sound = self._sound[:block], self._sound[block:]
                await self._transport.send_audio(samples, self._sample_rate)
            tick += 1

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._loop.time()))

    async def _send_packets(self) -> None:
        while True:
            await self._transport.send_packet(await self._unsent.get())

    def _send(self, packet: bytes) -> None:
        try:
            self._unsent.put_nowait(packet)
        except asyncio.QueueFull:
            self.dropped_packets += 1

    # ---- what is sent in each tick ------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._turn is None:
            self._start_next()
        turn = self._turn
        self._finish_drained()
        if turn is None:
            self._rest()
        elif turn.paused:
            self._play_tail()
            if self._while_paused == "idle":
                self._send(encode_idle())
        elif self._phase is _Phase.TRANSITION and self._ticks_left > 0:
            self._ticks_left -= 1
            self._play_tail()
            self._send(self._packet)
        else:
            self._phase = _Phase.SPEAKING
            self._speak(turn)

    def _start_next(self) -> None:
        while self._waiting:
            turn = self._waiting[0]
            if turn.paused or self._loop.time() < turn.heard_at + self._inference_s:
                return
            if turn.ended and not turn.frames:
                self._waiting.popleft()
                self._over(turn)
                continue
            if turn.frames:
                self._turn = self._waiting.popleft()
                self._phase, self._ticks_left = _Phase.TRANSITION, _TRANSITION_TICKS
                self._packet = encode_transition(self._message(turn, 0))
                self._last_messages.clear()
            return

    def _message(self, turn: Turn, index: int) -> bytes:
        return encode_message(turn.frames[index], req_id=turn.req_id, avatar_id=self._avatar_id)

    def _speak(self, turn: Turn) -> None:
        if turn.played >= len(turn.frames):
            if not turn.ended:
                self.starved_ticks += 1
                self._sound = np.concatenate([self._sound, self._silence(1)])
                return
            self._tail = turn.sound_after(turn.played)
            self._draining, self._drain_ticks, self._turn = turn, _SOUND_DELAY_TICKS, None
            self._go_to_idle()
            self._rest()
            return
        index = turn.played
        if index == 0:
            self._tail = np.zeros(0, np.int16)
        message = self._message(turn, index)
        copies = [*reversed(self._last_messages), None, None][:2]
        self._send(encode_frame(index, message, start=index == 0, previous=copies))
        self._last_messages.append(message)
        self._sound = np.concatenate([self._sound, turn.sound_of(index)])
        turn.played += 1
        if index == 0:
            self._listener.on_started(turn)
        elif index % _PROGRESS_FRAMES == 0:
            self._listener.on_progress(turn)
        self._listener.on_frame(turn)

    def _go_to_idle(self) -> None:
        if self._phase is _Phase.SPEAKING and self._last_messages:
            self._phase, self._ticks_left = _Phase.ENDING, _TRANSITION_END_TICKS
            self._packet = encode_transition_end(self._last_messages[-1])
        else:
            self._phase = _Phase.IDLE

    def _rest(self) -> None:
        self._play_tail()
        if self._phase is _Phase.ENDING and self._ticks_left > 0:
            self._ticks_left -= 1
            self._send(self._packet)
        else:
            self._phase = _Phase.IDLE
            self._send(encode_idle())

    def _play_tail(self) -> None:
        """Sound that goes on after its motion, then silence."""
        piece, self._tail = self._tail[: self._size], self._tail[self._size :]
        rest = np.zeros(self._size - len(piece), np.int16)
        self._sound = np.concatenate([self._sound, piece, rest])

    def _finish_drained(self) -> None:
        turn = self._draining
        if turn is None:
            return
        if len(self._tail):
            self._drain_ticks = 1 + _SOUND_DELAY_TICKS
            return
        self._drain_ticks -= 1
        if self._drain_ticks <= 0:
            self._draining = None
            self._over(turn)

    def _over(self, turn: Turn) -> None:
        turn.over = True
        self.silent_since = self._loop.time()
        self._listener.on_ended(turn)

    def _silence(self, ticks: int) -> Sound:
        return np.zeros(ticks * self._size, np.int16)
