"""A player whose provider speaks with the stand-in of SpatialReal's service itself."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.integrations.spatialreal.provider import SpatialRealProvider
from avatarkit_rtc.integrations.spatialreal.vendor import load_spatialreal
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.testing import Utterance, load_clip, perform
from avatarkit_rtc.testing.spatialreal_service import SpatialRealService
from tests.support.playing import NotingView, Record
from tests.support.virtual_loop import VirtualLoop

RATE = 24000
QUICK = ReconnectPolicy(attempts=2, first_delay_s=0.02, max_delay_s=0.05)


class HearingView(NotingView):
    """Notes poses and sound."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[ReceivedAudio] = []

    def sound(self, block: ReceivedAudio) -> None:
        self.blocks.append(block)

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """All the sound in one."""
        return np.concatenate([block.samples[:, 0] for block in self.blocks])


def provider_of(service: SpatialRealService, **options: Any) -> SpatialRealProvider:
    settings: dict[str, Any] = {
        "api_key": service.api_key,
        "app_id": service.app_id,
        "avatar_id": service.avatar_id,
        "console_url": service.console_url,
        "ingress_url": service.ingress_url,
        "sample_rate": RATE,
        "retry": QUICK,
    }
    return SpatialRealProvider(**settings | options)


class Performance:
    """A provider, its player, and notes of what they do."""

    def __init__(self, service: SpatialRealService, *, watch_idle: bool = False, **options: Any) -> None:
        self.service = service
        self.provider = provider_of(service, **options)
        self.view = HearingView()
        self.player = AvatarPlayer(self.provider, self.view, play_audio=False, watch_idle=watch_idle)
        self.record = Record(self.player)


@contextlib.asynccontextmanager
async def performing(service: SpatialRealService, **options: Any) -> AsyncIterator[Performance]:
    """A connected one."""
    performance = Performance(service, **options)
    async with performance.player:
        await performance.player.connect()
        yield performance


def clip(seconds: float) -> Utterance:
    """The clip that AVATARKIT_CLIP and AVATARKIT_CLIP_PCM name (24 kHz), else one made by code."""
    if "AVATARKIT_CLIP" in os.environ:
        pcm = os.environ.get("AVATARKIT_CLIP_PCM")
        return load_clip(Path(os.environ["AVATARKIT_CLIP"]), Path(pcm) if pcm else None, RATE)
    return perform(7, seconds, RATE)


def virtually(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test, sockets and all, in no time: on an event loop whose time passes only by sleeping."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        load_spatialreal()  # else in a thread, for which a virtual clock does not wait
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*arguments, **named))  # type: ignore[arg-type]

    return run


async def voice(samples: npt.NDArray[np.int16], piece_s: float = 0.1) -> AsyncIterator[npt.NDArray[np.int16]]:
    """``samples``, shape (n,), bit by bit and at once. Files and arrays are read in threads, for which a
    virtual clock does not wait."""
    size = round(piece_s * RATE)
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


async def until(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    """Wait until ``condition()`` is true, by the event loop's clock."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not condition():
        assert loop.time() < deadline, f"timed out waiting for {what}"
        await asyncio.sleep(0.005)
