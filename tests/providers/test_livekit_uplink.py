"""The user's voice on its way into a real room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import numpy as np
import numpy.typing as npt
import pytest
from livekit import rtc

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError, NotConnectedError, PublishError
from avatarkit_rtc.providers.base import AudioUplink, ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.providers.livekit_audio import TrackFeed
from avatarkit_rtc.testing.server import LocalServer
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.room_peer import RATE, Peer, listen, play_tone, tone_of

MINT = Callable[..., str]


def block(samples: npt.NDArray[np.int16], rate: int = RATE) -> AudioBlock:
    return AudioBlock(samples, rate, time.monotonic())


def tone(seconds: float, tone_hz: float, rate: int = RATE, channels: int = 1) -> npt.NDArray[np.int16]:
    wave = np.sin(2 * np.pi * tone_hz * np.arange(int(seconds * rate)) / rate) * 8000
    return np.repeat(wave.astype(np.int16)[:, None], channels, axis=1)


async def keep_writing(uplink: AudioUplink, tone_hz: float, rate: int, channels: int) -> None:
    while True:
        await uplink.write(block(tone(0.1, tone_hz, rate, channels), rate))


@pytest.fixture
async def provider(livekit_server: LiveKitServer, join_token: MINT) -> AsyncIterator[LiveKitProvider]:
    provider = LiveKitProvider()
    await provider.connect(ConnectionConfig(livekit_server.url, join_token("visitor")))
    yield provider
    await provider.disconnect()


@pytest.fixture
async def ear(livekit_server: LiveKitServer, room_name: str) -> AsyncIterator[Peer]:
    async with Peer(livekit_server, room_name, "ear") as ear:
        yield ear


def published(ear: Peer) -> dict[str, rtc.RemoteTrackPublication]:
    visitor = ear.room.remote_participants.get("visitor")
    return {p.name: p for p in visitor.track_publications.values()} if visitor is not None else {}


async def heard_pitch(ear: Peer, name: str) -> float:
    await until(lambda: name in published(ear) and published(ear)[name].track, f"the track {name}")
    track = published(ear)[name].track
    assert isinstance(track, rtc.RemoteAudioTrack)
    feed = TrackFeed(track)
    await listen(feed, 20)
    result = await tone_of(feed)
    await feed.aclose()
    return result


@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (16000, 1), (44100, 2)])
async def test_uplink_is_heard_by_others(
    provider: LiveKitProvider, ear: Peer, rate: int, channels: int
) -> None:
    uplink = await provider.open_uplink(name="mic", sample_rate=rate, channels=channels)
    writing = asyncio.create_task(keep_writing(uplink, 500, rate, channels))
    # Blocks of 100 ms hold whole periods of this tone, so they join without a click.
    assert await heard_pitch(ear, "mic") == pytest.approx(500, abs=25)
    assert published(ear)["mic"].source == rtc.TrackSource.SOURCE_MICROPHONE
    writing.cancel()
    await uplink.aclose()
    await uplink.aclose()
    await until(lambda: "mic" not in published(ear), "its end")


async def test_write_holds_back_who_is_faster_than_real_time(provider: LiveKitProvider) -> None:
    uplink = await provider.open_uplink(name="mic", sample_rate=48000, channels=1)
    before = time.monotonic()
    for _ in range(10):
        await uplink.write(block(tone(0.1, 500)))
    assert time.monotonic() - before > 0.7
    await uplink.write(block(tone(1.0, 500)))
    assert time.monotonic() - before > 1.6, "one long block is held back too"


async def test_clear_drops_what_is_queued(provider: LiveKitProvider) -> None:
    uplink = await provider.open_uplink(name="mic", sample_rate=48000, channels=1)
    await uplink.write(block(tone(0.1, 500)))
    uplink.clear()
    await asyncio.wait_for(uplink.write(block(tone(0.05, 500))), 5)


async def test_wrong_blocks_are_refused(provider: LiveKitProvider) -> None:
    uplink = await provider.open_uplink(name="mic", sample_rate=48000, channels=1)
    with pytest.raises(ConfigurationError, match="1 channels"):
        await uplink.write(block(tone(0.1, 500, channels=2)))
    with pytest.raises(ConfigurationError, match="48000"):
        await uplink.write(block(tone(0.1, 500), rate=16000))
    with pytest.raises(ConfigurationError):
        await provider.open_uplink(name="mic", sample_rate=1, channels=1)


@pytest.mark.parametrize("end", ["aclose", "disconnect"])
async def test_write_to_a_closed_uplink_ends(provider: LiveKitProvider, end: str) -> None:
    uplink = await provider.open_uplink(name="mic", sample_rate=48000, channels=1)
    writing = asyncio.create_task(keep_writing(uplink, 500, 48000, 1))
    await asyncio.sleep(0.3)
    await (uplink.aclose() if end == "aclose" else provider.disconnect())
    with pytest.raises(PublishError, match="closed"):
        await asyncio.wait_for(writing, 5)
    uplink.clear()


async def test_ready_track_can_be_published_twice_and_its_source_lives_on(
    provider: LiveKitProvider, ear: Peer
) -> None:
    source = rtc.AudioSource(RATE, 1, 200)
    track = rtc.LocalAudioTrack.create_audio_track("song", source)
    playing = asyncio.create_task(play_tone(source, 800))
    for _ in range(2):
        publication = await provider.publish_track(track)
        assert await heard_pitch(ear, "song") == pytest.approx(800, abs=25)
        await publication.aclose()
        await until(lambda: "song" not in published(ear), "its end")
    assert not playing.done(), "the source still takes sound"
    playing.cancel()


async def test_only_audio_tracks_of_livekit_can_be_published(provider: LiveKitProvider) -> None:
    with pytest.raises(PublishError, match="LocalAudioTrack"):
        await provider.publish_track(object())


async def test_token_that_may_not_publish(livekit_server: LiveKitServer, join_token: MINT) -> None:
    provider = LiveKitProvider()
    token = join_token("listener-only", can_publish=False)
    await provider.connect(ConnectionConfig(livekit_server.url, token))
    with pytest.raises(PublishError, match="can_publish"):
        await provider.open_uplink(name="mic", sample_rate=48000, channels=1)
    await provider.disconnect()


async def test_publishing_given_up_leaves_no_track(provider: LiveKitProvider, ear: Peer) -> None:
    for step in range(4):
        opening = asyncio.create_task(provider.open_uplink(name="mic", sample_rate=48000, channels=1))
        await asyncio.sleep(0.01 * step)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            await opening.result().aclose()
    await asyncio.sleep(0.5)
    await until(lambda: not published(ear), "an empty list")


async def test_uplink_goes_on_after_the_server_was_restarted(own_server: LocalServer) -> None:
    provider = LiveKitProvider()
    await provider.connect(ConnectionConfig(own_server.url, mint_token(own_server, "r", "visitor")))
    async with Peer(own_server, "r", "ear") as ear:
        uplink = await provider.open_uplink(name="mic", sample_rate=RATE, channels=1)
        writing = asyncio.create_task(keep_writing(uplink, 500, RATE, 1))
        await until(lambda: published(ear), "the track")
        room = provider.get_native_client()
        assert room is not None
        await asyncio.to_thread(own_server.kill)
        await until(lambda: room.connection_state == rtc.ConnectionState.CONN_RECONNECTING, "the loss")
        with pytest.raises(NotConnectedError, match="reconnecting"):
            await provider.open_uplink(name="other", sample_rate=RATE, channels=1)
        await asyncio.to_thread(own_server.start)
        await until(lambda: room.connection_state == rtc.ConnectionState.CONN_CONNECTED, "the reconnect", 30)
        await until(lambda: "mic" in published(ear), "the track again", 30)
        assert await heard_pitch(ear, "mic") == pytest.approx(500, abs=25)
        assert not writing.done()
        await uplink.aclose()
        await until(lambda: not published(ear), "its end")
        await asyncio.wait([writing], timeout=5)
        assert isinstance(writing.exception(), PublishError)
    await provider.disconnect()
