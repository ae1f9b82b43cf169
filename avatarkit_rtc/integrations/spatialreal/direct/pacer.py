"""The timer around the stage: every 10 ms what is due goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from avatarkit_rtc.integrations.spatialreal.direct.outputs import Output
from avatarkit_rtc.integrations.spatialreal.direct.stage import Stage


class Pacer:
    """Ticks a stage in real time. All calls on the event loop."""

    def __init__(self, stage: Stage, deliver: Callable[[list[Output]], None]) -> None:
        """``deliver`` is given what has come of each call, in order."""
        self._stage = stage
        self._deliver = deliver
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, or go on."""
        if self._timer is None:
            self._stage.restart()
            self._tick()

    def stop(self) -> None:
        """Let time stand still. More than once is fine."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hand_over(self) -> None:
        """Deliver now what has come of calls to the stage."""
        outputs = self._stage.take()
        if outputs:
            self._deliver(outputs)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._stage.tick(loop.time())
        due = self._stage.next_deadline()
        assert due is not None  # it was ticked
        self._timer = loop.call_at(due, self._tick)
        self.hand_over()  # behind the timer: who is told may stop it
