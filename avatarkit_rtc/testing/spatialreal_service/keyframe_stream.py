"""Motion over the WebSocket: several keyframes a message, ahead of time, faster than it is played."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.testing.spatialreal_service.behaviour import Behaviour
from avatarkit_rtc.testing.spatialreal_service.playback import Listener
from avatarkit_rtc.testing.spatialreal_service.turn import Turn

SendMotion: TypeAlias = Callable[[Turn, Sequence[MotionFrame], bool], Awaitable[None]]
"""``await f(turn, frames, end)`` sends a message. It waits while the network does not take more, which is all
the flow control there is: a client that does not read is not sent to."""


class KeyframeStream:
    """Sends the motion of turns in the order they come, as soon as it is there."""

    def __init__(
        self,
        send: SendMotion,
        listener: Listener,
        behaviour: Behaviour,
    ) -> None:
        self._send, self._listener = send, listener
        self._inference_s, self._keyframes = behaviour.inference_s, behaviour.keyframes
        self._interval_s = behaviour.keyframes * FRAME_INTERVAL_S / behaviour.speed
        self._stale_messages = behaviour.stale_messages
        self._turns: deque[Turn] = deque()
        self._stale: deque[tuple[Turn, list[MotionFrame]]] = deque()
        self._changed = asyncio.Event()

    @property
    def busy(self) -> bool:
        """See :class:`~avatarkit_rtc.testing.spatialreal_service.playback.Playback`, also for the rest."""
        return bool(self._turns)

    def add(self, turn: Turn) -> None:
        """Likewise."""
        self._turns.append(turn)
        self.changed()

    def changed(self) -> None:
        """Likewise."""
        self._changed.set()

    def turns(self) -> Iterator[Turn]:
        """Likewise."""
        return iter(self._turns)

    def interrupt(self, turn: Turn, reason: str) -> None:
        """Likewise, but for the stale messages."""
        if turn not in self._turns:
            return
        turn.interrupted, turn.over = reason, True
        self._turns.remove(turn)
        for number in range(self._stale_messages):
            start = turn.played + number * self._keyframes
            if frames := turn.frames[start : start + self._keyframes]:
                self._stale.append((turn, frames))
        self.changed()

    async def run(self) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            if self._stale:
                await self._send(*self._stale.popleft(), False)
                continue
            turn = self._turns[0] if self._turns else None
            if turn is None or not self._ready(turn):
                await self._changed.wait()
                continue
            await asyncio.sleep(max(0.0, turn.heard_at + self._inference_s - loop.time()))
            started = loop.time()
            await self._send_next(turn)
            await asyncio.sleep(max(0.0, started + self._interval_s - loop.time()))

    def _ready(self, turn: Turn) -> bool:
        return turn.ended or len(turn.frames) - turn.played >= self._keyframes

    async def _send_next(self, turn: Turn) -> None:
        if turn.over:  # interrupted meanwhile
            return
        first = turn.played == 0
        frames = turn.frames[turn.played : turn.played + self._keyframes]
        turn.played += len(frames)
        end = turn.ended and turn.played >= len(turn.frames)
        if end:
            turn.over = True
            self._turns.remove(turn)
        await self._send(turn, frames, end)
        if first and frames:
            self._listener.on_started(turn)
        self._listener.on_frame(turn)
        if end:
            self._listener.on_ended(turn)

    async def aclose(self) -> None:
        """Nothing to free."""
