"""An event loop whose time passes only by sleeping, so that minutes take no time; a transport on it."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.packet import decode_packet

P = ParamSpec("P")


class _VirtualSelector(selectors.DefaultSelector):
    """Waits no time at all: the clock jumps instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by sleeping, and by :meth:`hang`."""

    def __init__(self) -> None:
        self.selector = _VirtualSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now

    def hang(self, seconds: float) -> None:
        """The machine does nothing for a while."""
        self.selector.now += seconds


def on_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on a :class:`VirtualLoop`. Not for what waits for a thread, a process or the network."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class NotingTransport:
    """A transport that notes what comes when, and plays sound in real time as an audio track does."""

    def __init__(self, loop: VirtualLoop, lead: float = 0.0) -> None:
        self.loop, self.lead = loop, lead
        self.packets: list[tuple[float, bytes, str | None]] = []
        self.sound: list[tuple[float, npt.NDArray[np.int16]]] = []
        self.queued_until = 0.0
        self.on_packet: Callable[[int], None] = lambda number: None

    @property
    def audio_lead_s(self) -> float:
        return self.lead

    @property
    def audio_queued_s(self) -> float:
        return max(0.0, self.queued_until - self.loop.time())

    async def send_packet(self, data: bytes, *, topic: str | None = None) -> None:
        self.packets.append((self.loop.time(), data, topic))
        self.on_packet(len(self.packets))

    async def send_audio(self, samples: npt.NDArray[np.int16], sample_rate: int) -> None:
        played = max(self.queued_until, self.loop.time()) if self.lead else self.loop.time()
        self.sound.append((played, samples))
        self.queued_until = played + len(samples) / sample_rate

    async def aclose(self) -> None:
        pass

    def heard_at(self) -> float:
        """When the first sample that is not silence was played."""
        for played, samples in self.sound:
            if samples.any():
                return played + int(np.flatnonzero(samples)[0]) / 24000
        raise AssertionError("only silence")

    def frame_times(self) -> list[float]:
        return [at for at, data, _ in self.packets if decode_packet(data).seq is not None]
