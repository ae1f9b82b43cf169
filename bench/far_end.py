"""The other participant of the sound measurements: speaks as the avatar, records what the user publishes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from livekit import rtc

RATE: Final = 48000
IDENTITY: Final = "spatialreal-avatar"


class FarEnd:
    """A participant made with LiveKit's SDK alone."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.speech: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        """What is said next, mono at 48 kHz; silence when it is used up."""
        self.frames: list[tuple[float, npt.NDArray[np.int16]]] = []
        """What was heard: arrival (monotonic seconds) and samples, mono at 48 kHz, 10 ms each."""
        self.track: rtc.Track | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def joined(self, url: str, token: str, *, speaks: bool = True) -> AsyncIterator[FarEnd]:
        """In the room while the body runs."""

        def subscribed(track: rtc.Track, *_: Any) -> None:
            self.track = track
            self._start(self._hear(track))

        self.room.on("track_subscribed", subscribed)
        await self.room.connect(url, token)
        try:
            if speaks:
                source = rtc.AudioSource(RATE, 1, 60)
                track = rtc.LocalAudioTrack.create_audio_track("egress-audio", source)
                await self.room.local_participant.publish_track(track)
                self._start(self._speak(source))
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.room.disconnect()

    async def wait_until_heard(self, timeout_s: float = 20.0) -> None:
        """Wait for the first sound of the user's track.

        Raises:
            TimeoutError: there was none.
        """
        async with asyncio.timeout(timeout_s):
            while not self.frames:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def heard(self, start: float, end: float) -> npt.NDArray[np.int16]:
        """Samples, shape (n,), that arrived between two moments (monotonic seconds)."""
        parts = [samples for t, samples in self.frames if start <= t < end]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def _start(self, work: Any) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _speak(self, source: rtc.AudioSource) -> None:
        while True:
            block, self.speech = self.speech[:480], self.speech[480:]
            samples = np.zeros(480, np.int16)
            samples[: len(block)] = block
            await source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, 480))

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, capacity=0)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16).copy()
                self.frames.append((time.monotonic(), samples))
        finally:
            await stream.aclose()
