"""The user's sound through a real LiveKit server to another participant, before and after a reconnect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np
import pytest
from livekit import rtc

from avatarkit_rtc.audio import AudioPublisher, PushSource
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from tests.support.livekit import LiveKitServer
from tests.support.pulse import audible, peak_frequency, tone
from tests.support.tries import despite_stalls_async


class Listener:
    """Somebody else in the room, who hears the newest track named ``voice``."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.heard = np.empty(0, np.int16)
        self.subscribed = asyncio.Event()
        """The track hands out blocks, of silence where nothing was sent yet; cleared by the caller."""
        self._track: asyncio.Queue[rtc.Track] = asyncio.Queue()
        self.room.on("track_subscribed", lambda track, *_: self._track.put_nowait(track))

    async def hear(self, seconds: float) -> np.ndarray:
        """That much of what comes after the first loud sample of the next track, shape (n,), 48 kHz."""
        stream = rtc.AudioStream(await self._track.get(), sample_rate=48000, num_channels=1)
        self.heard = heard = np.empty(0, np.int16)
        try:
            async for event in stream:
                self.subscribed.set()
                block = np.frombuffer(event.frame.data, np.int16)
                if len(heard) or np.abs(block.astype(int)).max() > 3000:
                    self.heard = heard = np.concatenate([heard, block])
                if len(heard) >= seconds * 48000:
                    break
        finally:
            await stream.aclose()
        return heard


async def test_what_is_published_is_heard_and_heard_again_after_a_reconnect(
    livekit_server: LiveKitServer, join_token: Callable[..., str]
) -> None:
    listener = Listener()
    await listener.room.connect(livekit_server.url, join_token("listener"))
    provider = LiveKitProvider()
    config = ConnectionConfig(url=livekit_server.url, token=join_token("user"))
    await provider.connect(config)
    source = PushSource(16000, max_seconds=0.2)
    errors: list[Exception] = []
    voice = AudioPublisher(provider, source, "voice", on_error=errors.append)

    async def speak() -> None:
        for _ in range(100):
            await source.push(tone(500, 1.0, rate=16000))

    speaking = asyncio.create_task(speak())
    try:
        await voice.start()
        heard = await asyncio.wait_for(listener.hear(0.5), 20)
        assert peak_frequency(heard[4800:]) == pytest.approx(500, abs=5)

        await provider.disconnect()
        await asyncio.sleep(0.3)
        await provider.connect(config)
        await voice.reopen()
        sent = voice.blocks_sent
        heard = await asyncio.wait_for(listener.hear(0.5), 20)
        assert peak_frequency(heard[4800:]) == pytest.approx(500, abs=5)
        assert voice.blocks_sent > sent
        assert not voice.finished
    finally:
        speaking.cancel()
        await voice.aclose()
        await provider.disconnect()
        await listener.room.disconnect()
    assert not source.ended
    assert len(errors) <= 1  # the connection that went down under it


async def test_audio_ended_comes_after_the_last_sound_has_left(
    livekit_server: LiveKitServer, join_token: Callable[..., str]
) -> None:
    listener = Listener()
    await listener.room.connect(livekit_server.url, join_token("listener"))
    player = AvatarPlayer(LiveKitProvider(), play_audio=False)
    ended = asyncio.Event()
    player.on("audio-ended", ended.set)

    @despite_stalls_async
    async def publish_and_hear() -> None:
        ended.clear()
        listener.subscribed.clear()
        hearing = asyncio.create_task(listener.hear(1.2))
        source = PushSource(48000, max_seconds=2.0)
        await player.publish_audio(source)
        await asyncio.wait_for(listener.subscribed.wait(), 20)
        await source.push(np.concatenate([tone(500, 0.8), tone(900, 0.2)]))
        source.end()
        await asyncio.wait_for(ended.wait(), 20)
        await player.unpublish_audio()  # at once: what has not left by now is lost
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(hearing), 1.0)
        hearing.cancel()
        await asyncio.wait({hearing})
        heard = listener.heard
        last = np.flatnonzero(audible(heard))[-1] + 1
        end = heard[(last - 12) * 480 : (last - 2) * 480]
        assert peak_frequency(end) == pytest.approx(900, abs=15)
        assert last * 480 > 0.93 * 48000

    try:
        await player.connect(url=livekit_server.url, token=join_token("user"))
        for _ in range(2):
            await publish_and_hear()
    finally:
        await player.disconnect()
        await listener.room.disconnect()
