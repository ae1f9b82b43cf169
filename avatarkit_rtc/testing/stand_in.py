"""The stand-in avatar: plays utterances as an avatar service does, into a room or a loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.testing.performer import Utterance
from avatarkit_rtc.testing.schedule import (
    ScheduledAudio,
    SentKind,
    StandInOptions,
    audio_schedule,
    check_utterances,
    motion_schedule,
)

__all__ = ["OnSent", "SentKind", "SessionClock", "StandInAvatar", "StandInOptions", "Transport"]

_MAX_CATCH_UP_S: Final = 3 * FRAME_INTERVAL_S
"""A sender held up for longer goes on later, it does not send a burst."""
_AUDIO_SLACK_S: Final = 0.010

OnSent: TypeAlias = Callable[[int | None, int | None, SentKind, float], None]
"""``f(round, seq, kind, monotonic_time)``"""


class Transport(Protocol):
    """What carries an avatar's motion and sound."""

    @property
    def audio_lead_s(self) -> float:
        """How many seconds before it is due sound is to be handed over; 0 when nothing is queued."""

    @property
    def audio_queued_s(self) -> float:
        """Seconds of sound handed over and not yet sent."""

    async def send_packet(self, data: bytes, *, topic: str | None = None) -> None:
        """Send one packet, lossy; ``topic`` if not that of motion. What cannot be sent now is dropped."""

    async def send_audio(self, samples: npt.NDArray[np.int16], sample_rate: int) -> None:
        """Send mono sound, shape (n,); waits while too much is queued."""

    async def aclose(self) -> None:
        """Leave. More than once is fine; never raises."""


class SessionClock:
    """Offsets of a session on a clock. One clock for motion and sound: what delays one delays both."""

    def __init__(self, start: float) -> None:
        self._start = start
        self.delayed_s = 0.0
        """By how much hiccups have moved the session, in seconds."""

    def due(self, offset: float) -> float:
        """When ``offset`` is due."""
        return self._start + offset

    def keep_up(self, offset: float, now: float, slack: float) -> None:
        """``offset`` happens ``now``: when it is later than ``slack``, move the rest of the session back."""
        late = now - self.due(offset)
        if late > slack:
            self._start += late
            self.delayed_s += late


class StandInAvatar:
    """Plays ``utterances`` round by round through ``transport``, which stays open: who made it closes it.

    Motion goes out on a grid of 40 ms. After a hiccup of up to three frames it catches up; after a longer
    one the whole session goes on later, motion and sound together.
    """

    def __init__(
        self,
        transport: Transport,
        utterances: Sequence[Utterance],
        options: StandInOptions | None = None,
        on_sent: OnSent | None = None,
    ) -> None:
        """
        Args:
            transport: where to send.
            utterances: one a round, again from the first after the last; all with one sample rate.
            options: how to behave; an avatar service's ways by default.
            on_sent: called right before each packet is handed to the transport.

        Raises:
            ConfigurationError: there is no utterance, one is empty, or the sample rates differ.
        """
        check_utterances(utterances)
        self._transport = transport
        self._utterances = tuple(utterances)
        self._options = options if options is not None else StandInOptions()
        self._on_sent = on_sent
        self._running: asyncio.Task[None] | None = None
        self._done: asyncio.Event | None = None
        self.sent: Counter[SentKind] = Counter()
        """Packets handed to the transport, by kind."""
        self._clock = SessionClock(0.0)

    @property
    def delayed_s(self) -> float:
        """By how many seconds hiccups of this machine have moved the session."""
        return self._clock.delayed_s

    async def run(self) -> None:
        """Play until all rounds are over or :meth:`stop` is called. It may run again, from the beginning.

        Raises:
            RuntimeError: it runs already.
        """
        if self._running is not None:
            raise RuntimeError("this stand-in avatar runs already")
        done = self._done = asyncio.Event()
        self._running = asyncio.create_task(self._play(), name="stand-in avatar")
        try:
            # asyncio.wait does not raise when stop() cancels the task, only when somebody cancels the caller.
            await asyncio.wait([self._running])
            if not self._running.cancelled():
                self._running.result()
        finally:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None
            done.set()

    async def stop(self) -> None:
        """End :meth:`run`, and wait until it has ended. Does nothing when it does not run."""
        if self._running is not None and self._done is not None:
            self._running.cancel()
            await self._done.wait()

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        clock = self._clock = SessionClock(loop.time() + max(0.0, self._transport.audio_lead_s))
        parts = [
            asyncio.create_task(self._play_motion(clock), name="stand-in motion"),
            asyncio.create_task(self._play_audio(clock), name="stand-in sound"),
        ]
        try:
            await asyncio.gather(*parts)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)

    async def _play_motion(self, clock: SessionClock) -> None:
        loop = asyncio.get_running_loop()
        for packet in motion_schedule(self._utterances, self._options):
            await _until(clock, packet.offset)
            now = loop.time()
            clock.keep_up(packet.offset, now, _MAX_CATCH_UP_S)
            self.sent[packet.kind] += 1
            if self._on_sent is not None:
                self._on_sent(packet.round, packet.seq, packet.kind, now)
            await self._transport.send_packet(packet.data, topic=packet.topic)

    async def _play_audio(self, clock: SessionClock) -> None:
        lead = self._transport.audio_lead_s
        for block in audio_schedule(self._utterances, self._options):
            await _until(clock, block.offset, lead)
            if block.samples is not None:
                await self._send_block(clock, block, block.samples)

    async def _send_block(
        self, clock: SessionClock, block: ScheduledAudio, samples: npt.NDArray[np.int16]
    ) -> None:
        loop = asyncio.get_running_loop()
        lead, queued = self._transport.audio_lead_s, self._transport.audio_queued_s
        if lead > 0 and queued <= 0:
            # At the start, after sound was withheld, and after a hiccup longer than the queue. Silence fills
            # it to its usual depth, so that the sound's delay stays constant.
            await self._transport.send_audio(
                np.zeros(round(lead * block.sample_rate), np.int16), block.sample_rate
            )
            queued = lead
        slack = _AUDIO_SLACK_S if lead > 0 else _MAX_CATCH_UP_S
        clock.keep_up(block.offset, loop.time() + queued, slack)
        await self._transport.send_audio(samples, block.sample_rate)


async def _until(clock: SessionClock, offset: float, lead: float = 0.0) -> None:
    """Sleep until ``lead`` before ``offset`` is due, which may move meanwhile."""
    loop = asyncio.get_running_loop()
    wait = 1.0
    while wait > 0:
        wait = clock.due(offset) - lead - loop.time()
        await asyncio.sleep(max(0.0, wait))
