"""What comes of the library's sound: blocks, and when they arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import numpy as np
import pytest
from livekit import rtc

from avatarkit_rtc.providers import livekit_audio
from avatarkit_rtc.providers.livekit_audio import FEED_RATE, TrackFeed


class Stream:
    """In place of ``rtc.AudioStream``: 20 ms of sound at each of ``at``, in seconds."""

    def __init__(self, at: list[float], clock: list[float]) -> None:
        self._at, self._clock = at, clock

    async def __aiter__(self) -> AsyncIterator[rtc.AudioFrameEvent]:
        for t in self._at:
            self._clock[0] = t
            yield rtc.AudioFrameEvent(rtc.AudioFrame(np.zeros(960, np.int16).tobytes(), FEED_RATE, 1, 960))

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("read_at", "arrived"),
    [
        ([1.00, 1.02], [0.99, 1.00, 1.01, 1.02]),
        # The loop was held up, and hears of two at once: none arrived before the one that came before it.
        ([1.00, 1.002, 1.003], [0.99, 1.00, 1.00, 1.002, 1.002, 1.003]),
    ],
)
async def test_arrivals_never_go_back(
    monkeypatch: pytest.MonkeyPatch, read_at: list[float], arrived: list[float]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(rtc, "AudioStream", lambda *_, **__: Stream(read_at, clock))
    monkeypatch.setattr(livekit_audio, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    feed = TrackFeed(None)  # type: ignore[arg-type]
    blocks = [block async for block in feed]
    assert [block.t for block in blocks] == pytest.approx(arrived)
    assert {block.samples.shape for block in blocks} == {(480, 1)}
