"""Keeping a source that has no clock of its own to real time."""

from __future__ import annotations

import asyncio


class Pace:
    """Real time for a source that has none, a little ahead of it. Late by more than the lead, it does not
    catch up: the receiver has run dry by then, and a burst would be a lasting delay in its queue."""

    def __init__(self, lead_s: float) -> None:
        """Let through ``lead_s`` seconds of sound ahead of real time."""
        self._lead_s = lead_s
        self._due: float | None = None

    async def wait(self, duration: float) -> None:
        """Wait until the next ``duration`` seconds of sound may go."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._due is None or now > self._due:
            self._due = now
        early = self._due - self._lead_s - now
        if early > 0:
            await asyncio.sleep(early)
        self._due += duration
